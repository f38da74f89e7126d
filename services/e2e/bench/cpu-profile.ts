/** Reads what `node --cpu-prof --heap-prof` writes and says which functions cost most. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

export interface FunctionCost {
  readonly name: string
  /** Of the profile's busy time (idle left out), or of its allocated bytes. */
  readonly percent: number
  /** Milliseconds or bytes. */
  readonly amount: number
}

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

interface HeapNode {
  readonly callFrame: CallFrame
  readonly selfSize: number
  readonly children: readonly HeapNode[]
}

/** Paths of all profiles in a folder, one per thread. */
export function profilesIn(folder: string, ending: 'cpuprofile' | 'heapprofile'): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(`.${ending}`))
    .sort()
    .map((name) => join(folder, name))
}

/** Self time by function, dearest first; `(garbage collector)` and `(program)` are functions too. */
export function dearestFunctions(path: string, count: number): FunctionCost[] {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(path, 'utf8')) as CpuProfile
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const costs = new Map<string, number>()
  for (const [i, id] of samples.entries()) {
    const name = names.get(id) ?? '?'
    if (name === '(idle)') continue
    costs.set(name, (costs.get(name) ?? 0) + timeDeltas[i]! / 1000)
  }
  return ranked(costs, count)
}

/** Bytes on the heap at the end of the profile, by the function that allocated them. */
export function largestAllocators(path: string, count: number): FunctionCost[] {
  const { head } = JSON.parse(readFileSync(path, 'utf8')) as { head: HeapNode }
  const costs = new Map<string, number>()
  const visit = ({ callFrame, selfSize, children }: HeapNode): void => {
    const name = nameOf(callFrame)
    if (selfSize > 0) costs.set(name, (costs.get(name) ?? 0) + selfSize)
    children.forEach(visit)
  }
  visit(head)
  return ranked(costs, count)
}

function ranked(costs: ReadonlyMap<string, number>, count: number): FunctionCost[] {
  const all = [...costs.values()].reduce((sum, amount) => sum + amount, 0)
  return [...costs]
    .sort(([, left], [, right]) => right - left)
    .slice(0, count)
    .map(([name, amount]) => ({ name, amount, percent: (100 * amount) / all }))
}

function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  return url === '' ? name : `${name} ${basename(url)}:${lineNumber + 1}`
}
