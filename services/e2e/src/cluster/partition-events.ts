/** What ingesters say in their logs about partitions: when each was owned, and how long nobody fetched it. */
interface LogLine {
  readonly msg: string
  readonly time: string
  readonly partition?: number
  readonly pauseMs?: number
  readonly start?: string
}

interface PartitionEvent {
  readonly msg: string
  readonly timeMs: number
  readonly partition: number
  readonly pauseMs: number
  /** Where an owner began. */
  readonly start: string | undefined
}

/** Of all logs together, in the order of time. */
function partitionEvents(logs: readonly string[]): PartitionEvent[] {
  return logs
    .flatMap((log) => log.split('\n'))
    .flatMap((line) => parsed(line) ?? [])
    .flatMap(({ msg, time, partition, pauseMs = 0, start }) =>
      partition === undefined ? [] : [{ msg, timeMs: Date.parse(time), partition, pauseMs, start }],
    )
    .sort((left, right) => left.timeMs - right.timeMs)
}

/** A partition went from one owner to the next in order. */
export interface HandOver {
  readonly partition: number
  /** Unix milliseconds at which its owner stopped fetching. */
  readonly atMs: number
  /** From there until the next owner fetched. */
  readonly pauseMs: number
}

/** How long no owner fetched each partition between handing over and owning again, milliseconds. */
export function handOverPausesMs(logs: readonly string[]): number[] {
  return handOvers(logs).map(({ pauseMs }) => pauseMs)
}

export function handOvers(logs: readonly string[]): HandOver[] {
  const pausedAtMs = new Map<number, number>()
  const found: HandOver[] = []
  for (const { msg, timeMs, partition, pauseMs } of partitionEvents(logs)) {
    if (msg === 'partition handed over') pausedAtMs.set(partition, timeMs - pauseMs)
    if (msg !== 'partition owned') continue
    const startMs = pausedAtMs.get(partition)
    pausedAtMs.delete(partition)
    if (startMs !== undefined) found.push({ partition, atMs: startMs, pauseMs: timeMs - startMs })
  }
  return found
}

/** When each partition was owned for the first time after `sinceUnixMs`, by these logs. */
export function ownedSince(logs: readonly string[], sinceUnixMs: number): Map<number, number> {
  const owned = new Map<number, number>()
  for (const { msg, timeMs, partition } of partitionEvents(logs)) {
    if (msg !== 'partition owned' || timeMs < sinceUnixMs || owned.has(partition)) continue
    owned.set(partition, timeMs)
  }
  return owned
}

/** Offsets at which owners began, by partition. */
export function ownerStarts(logs: readonly string[]): Map<number, Set<string>> {
  const starts = new Map<number, Set<string>>()
  for (const { msg, partition, start } of partitionEvents(logs)) {
    if (msg !== 'partition owned' || start === undefined) continue
    starts.set(partition, (starts.get(partition) ?? new Set()).add(start))
  }
  return starts
}

/** undefined: no line of ours, or one that a kill has cut. */
function parsed(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line) as LogLine
  } catch {
    return undefined
  }
}
