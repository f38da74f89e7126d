/** Combinations of switches, few of them, such that each pair of settings of two switches is in one. */
export type Switches = Readonly<Record<string, readonly string[]>>

/** Greedy: each combination takes what covers most of the pairs that are left. */
export function coveringCombinations(switches: Switches): Record<string, string>[] {
  const names = Object.keys(switches)
  const left = new Set<string>()
  for (const [position, one] of names.entries()) {
    for (const other of names.slice(position + 1)) {
      for (const a of switches[one]!) {
        for (const b of switches[other]!) left.add(pairOf(one, a, other, b))
      }
    }
  }
  const combinations: Record<string, string>[] = []
  while (left.size > 0) {
    const [seed] = left
    const combination = Object.fromEntries(JSON.parse(seed!) as [string, string][])
    for (const name of names) combination[name] ??= best(switches[name]!, name, combination, left)
    for (const pair of pairsOf(names, combination)) left.delete(pair)
    combinations.push(combination)
  }
  return combinations
}

function best(
  settings: readonly string[],
  name: string,
  combination: Readonly<Record<string, string>>,
  left: ReadonlySet<string>,
): string {
  const gains = settings.map((setting) => {
    const others = Object.entries(combination)
    return others.filter(([other, value]) => left.has(pairOf(name, setting, other, value))).length
  })
  return settings[gains.indexOf(Math.max(...gains))]!
}

function* pairsOf(
  names: readonly string[],
  combination: Readonly<Record<string, string>>,
): Generator<string> {
  for (const [position, one] of names.entries()) {
    for (const other of names.slice(position + 1)) {
      yield pairOf(one, combination[one]!, other, combination[other]!)
    }
  }
}

function pairOf(one: string, a: string, other: string, b: string): string {
  const pair = [
    [one, a],
    [other, b],
  ]
  return JSON.stringify(one < other ? pair : pair.toReversed())
}
