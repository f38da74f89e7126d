/** What a decision is made from: how all ingesters together are at one time. */

export interface ClusterFigures {
  /** Monotonic. */
  readonly atMs: number
  /** As the StatefulSet asks for. */
  readonly replicas: number
  /** Ingesters that live and take partitions. */
  readonly working: number
  /** 0 while nobody knows. */
  readonly partitions: number
  /** Partitions without an owner. */
  readonly unowned: number
  /** Whether every working ingester has answered, and rates are known. */
  readonly isComplete: boolean
  /** How far fetching is behind, of the partition where that is most; halted ones do not count. */
  readonly lagSeconds: number
  /** The same of partitions whose owner has others too: only these would get more of an ingester. */
  readonly movableLagSeconds: number
  /** Records in the log that were not fetched. */
  readonly backlogRecords: number
  readonly arrivedPerSecond: number
  readonly fetchedPerSecond: number
  /** Rows in memory as a share of what may be there, of the fullest ingester. */
  readonly memoryShare: number
  /** Share of its time that an ingester is busy, event loop or flush workers, summed over all. */
  readonly busySum: number
}

/** For the log and for Events: few digits. */
export function figuresForPeople(figures: ClusterFigures): Readonly<Record<string, unknown>> {
  const { replicas, working, partitions, unowned, lagSeconds, backlogRecords } = figures
  const { arrivedPerSecond, fetchedPerSecond, memoryShare, busySum } = figures
  return {
    ...{ replicas, working, partitions, unowned, backlogRecords },
    lagSeconds: Number(lagSeconds.toFixed(1)),
    arrivedPerSecond: Math.round(arrivedPerSecond),
    fetchedPerSecond: Math.round(fetchedPerSecond),
    memoryShare: Number(memoryShare.toFixed(2)),
    busyShare: Number((busySum / Math.max(1, working)).toFixed(2)),
  }
}
