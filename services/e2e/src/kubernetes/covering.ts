/**
 * Combinations of switches, few of them, such that each choice of settings of two switches, or of as many
 * as `strength` says, is in one.
 */
import assert from 'node:assert/strict'

export type Switches = Readonly<Record<string, readonly string[]>>

type Combination = Record<string, string>

/** Greedy: each combination takes what covers most of the choices that are left. */
export function coveringCombinations(switches: Switches, strength = 2): Combination[] {
  const names = Object.keys(switches)
  const isPossible = Number.isInteger(strength) && strength >= 1 && strength <= names.length
  assert(isPossible, `${String(strength)} of ${String(names.length)} switches at once`)
  const left = new Set<string>()
  for (const some of subsets(names, strength)) {
    for (const choice of choicesOf(some, switches)) left.add(keyOf(some, choice))
  }
  const combinations: Combination[] = []
  while (left.size > 0) {
    const [seed] = left
    const combination = Object.fromEntries(JSON.parse(seed!) as [string, string][])
    for (const name of names) {
      combination[name] ??= best(name, switches, combination, left, strength)
    }
    for (const some of subsets(names, strength)) left.delete(keyOf(some, combination))
    combinations.push(combination)
  }
  return combinations
}

/** The setting that covers most together with those that are chosen. */
function best(
  name: string,
  switches: Switches,
  combination: Readonly<Combination>,
  left: ReadonlySet<string>,
  strength: number,
): string {
  const names = Object.keys(switches)
  const chosen = names.filter((other) => Object.hasOwn(combination, other))
  const groups = [...subsets(chosen, strength - 1)].map((some) =>
    names.filter((other) => other === name || some.includes(other)),
  )
  const gains = switches[name]!.map((setting) => {
    const tried = { ...combination, [name]: setting }
    return groups.filter((group) => left.has(keyOf(group, tried))).length
  })
  return switches[name]![gains.indexOf(Math.max(...gains))]!
}

/** Subsets of a size, their members in the order of the list. */
function* subsets(names: readonly string[], size: number): Generator<readonly string[]> {
  if (size === 0) {
    yield []
    return
  }
  for (const [position, first] of names.entries()) {
    for (const rest of subsets(names.slice(position + 1), size - 1)) yield [first, ...rest]
  }
}

function* choicesOf(names: readonly string[], switches: Switches): Generator<Combination> {
  const [first, ...rest] = names
  if (first === undefined) {
    yield {}
    return
  }
  for (const setting of switches[first]!) {
    for (const others of choicesOf(rest, switches)) yield { [first]: setting, ...others }
  }
}

function keyOf(names: readonly string[], combination: Readonly<Combination>): string {
  return JSON.stringify(names.map((name) => [name, combination[name]]))
}
