/**
 * What an ingester says in its beat about the partitions that it owns, as far as routers care: members
 * `saturated` and `halted` of its status, which is a JSON object with whatever else it tells.
 *
 *     {"saturated":[3,40],"halted":[7],...}
 *
 * Saturated: it can't keep up (fetching is paused, or lag grows); every second stream goes elsewhere
 * while it lasts. Halted: nothing moves until a person acts; all streams go elsewhere.
 */
import { AppError } from '../errors.ts'
import { JsonReader } from '../object-store/json-reader.ts'
import { PARTITIONS_MAX } from './routing-table.ts'

/** Of the whole status of a member; what is longer is not read. */
export const STATUS_BYTES_MAX = 64 * 1024

export interface PartitionStates {
  readonly saturated: readonly number[]
  readonly halted: readonly number[]
}

const NONE: PartitionStates = { saturated: [], halted: [] }

/** The states in a status; none where it does not tell any, or is not understood. */
export function readPartitionStates(status: string): PartitionStates {
  try {
    const json = JsonReader.parse(
      Buffer.from(status, 'utf8'),
      STATUS_BYTES_MAX,
      'routing_table_damaged',
    )
    const names = json.names(1000)
    const list = (name: keyof PartitionStates): number[] =>
      names.includes(name) ? json.integers(name, PARTITIONS_MAX, 0, PARTITIONS_MAX - 1) : []
    return { saturated: list('saturated'), halted: list('halted') }
  } catch (error) {
    if (error instanceof AppError) return NONE
    throw error
  }
}
