/** What a process tree has used, as Linux counts it in /proc. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

export interface ProcessUsage {
  /** User and system time of the process and its children, all threads, in microseconds. */
  readonly cpuUs: number
  readonly rssBytes: number
  /** Highest resident set since the start or the last reset. */
  readonly peakRssBytes: number
  readonly contextSwitches: number
  /** Calls of write, writev, pwrite and send. */
  readonly writeCalls: number
  readonly descriptors: number
}

/** CLK_TCK: 100 on every Linux that runs Node. */
const TICK_US = 10_000

/** Sums over a process and all of its descendants. */
export function usageOf(pid: number): ProcessUsage {
  const usages = treeOf(pid).map(usageOfOne)
  const sum = (pick: (usage: ProcessUsage) => number): number =>
    usages.reduce((total, usage) => total + pick(usage), 0)
  return {
    cpuUs: sum(({ cpuUs }) => cpuUs),
    rssBytes: sum(({ rssBytes }) => rssBytes),
    peakRssBytes: sum(({ peakRssBytes }) => peakRssBytes),
    contextSwitches: sum(({ contextSwitches }) => contextSwitches),
    writeCalls: sum(({ writeCalls }) => writeCalls),
    descriptors: sum(({ descriptors }) => descriptors),
  }
}

/** User and system time by the names of the threads, in microseconds; children not among them. */
export function threadCpuUs(pid: number): Map<string, number> {
  const times = new Map<string, number>()
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const stat = readOr(`/proc/${pid}/task/${thread}/stat`, '')
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
    const label = Number(thread) === pid ? 'main' : name
    times.set(label, (times.get(label) ?? 0) + ticks * TICK_US)
  }
  return times
}

/** Makes peakRssBytes start over; where the kernel does not allow it the old peak stays. */
export function resetPeakRss(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
  } catch {
    // the peak since the start is an upper bound
  }
}

function treeOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(treeOf)]
}

/** Processes that this one has started and that run. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readOr(`/proc/${pid}/task/${thread}/children`, '').split(' ').filter(Boolean).map(Number),
  )
}

function usageOfOne(pid: number): ProcessUsage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // the name, field 2, may hold spaces; utime, stime, cutime, cstime are fields 14 to 17
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 15).reduce((sum, value) => sum + Number(value), 0)
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const threads = readdirSync(`/proc/${pid}/task`)
  return {
    cpuUs: ticks * TICK_US,
    rssBytes: 1024 * numberAfter(status, 'VmRSS:'),
    peakRssBytes: 1024 * numberAfter(status, 'VmHWM:'),
    contextSwitches: threads.reduce((sum, thread) => {
      const text = readOr(`/proc/${pid}/task/${thread}/status`, '')
      return (
        sum +
        numberAfter(text, '\nvoluntary_ctxt_switches:') +
        numberAfter(text, 'nonvoluntary_ctxt_switches:')
      )
    }, 0),
    writeCalls: numberAfter(readOr(`/proc/${pid}/io`, ''), 'syscw:'),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  }
}

function numberAfter(text: string, label: string): number {
  const at = text.indexOf(label)
  return at < 0 ? 0 : Number.parseInt(text.slice(at + label.length), 10)
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return otherwise
  }
}
