/**
 * What an ingester tells in its beats, as JSON: which partitions can't take more (routing reads those
 * two lists, routing/partition-states.ts), and how each of its partitions is (for people).
 *
 *     {"saturated":[3],"halted":[],"partitions":[[3,"owned",1200,4,12,1767225600000],...]}
 *
 * A partition: number, state, lag in records and in seconds, age of the oldest row that is not
 * committed in seconds, valid-through in Unix milliseconds (0: not known yet).
 */
import { MEMBER_STATUS_BYTES_MAX } from './cluster-metadata.ts'

export interface PartitionStatus {
  readonly partition: number
  readonly state: string
  readonly lagOffsets: number
  readonly lagSeconds: number
  readonly oldestSeconds: number
  readonly validThroughUnixMs: number
  /** It can't keep up: some streams had better go elsewhere. */
  readonly isSaturated: boolean
  readonly isHalted: boolean
}

/** The lists of routing always fit; of the partitions as many as there is room for, the slowest first. */
export function serializeIngesterStatus(partitions: readonly PartitionStatus[]): string {
  const numbers = (of: readonly PartitionStatus[]): number[] => of.map((each) => each.partition)
  const saturated = numbers(partitions.filter(({ isSaturated }) => isSaturated))
  const halted = numbers(partitions.filter(({ isHalted }) => isHalted))
  const rows = partitions
    .toSorted((left, right) => right.lagSeconds - left.lagSeconds)
    .map((each) => [
      each.partition,
      each.state,
      each.lagOffsets,
      Math.round(each.lagSeconds),
      Math.round(each.oldestSeconds),
      each.validThroughUnixMs,
    ])
  for (;;) {
    const text = JSON.stringify({ saturated, halted, partitions: rows })
    if (text.length <= MEMBER_STATUS_BYTES_MAX || rows.length === 0) return text
    rows.length = Math.floor(rows.length * 0.75)
  }
}

/** The partitions of a status; none where it is not understood. */
export function parseIngesterStatus(
  text: string,
): readonly Omit<PartitionStatus, 'isSaturated' | 'isHalted'>[] {
  let rows: unknown
  try {
    rows = (JSON.parse(text) as { partitions?: unknown } | null)?.partitions
  } catch {
    return []
  }
  if (!Array.isArray(rows)) return []
  return rows.flatMap((row: unknown) => {
    if (!Array.isArray(row)) return []
    const [partition, state, ...figures] = row as unknown[]
    if (typeof partition !== 'number' || typeof state !== 'string') return []
    if (!figures.every((figure) => typeof figure === 'number')) return []
    const [lagOffsets = 0, lagSeconds = 0, oldestSeconds = 0, validThroughUnixMs = 0] = figures
    return [{ partition, state, lagOffsets, lagSeconds, oldestSeconds, validThroughUnixMs }]
  })
}
