/**
 * Fetch, version 13: by topic id, so that a topic that was deleted and made again by the same name is
 * never read as if it were the old one; and with the epoch of the last record read, so that a leader
 * whose log went another way says so.
 *
 *     Fetch Request (Version: 13) => replica_id max_wait_ms min_bytes max_bytes isolation_level
 *                                    session_id session_epoch [topics] [forgotten_topics_data] rack_id
 *       topics => topic_id [partitions]
 *         partitions => partition current_leader_epoch fetch_offset last_fetched_epoch log_start_offset
 *                       partition_max_bytes
 *     Fetch Response (Version: 13) => throttle_time_ms error_code session_id [responses]
 *       responses => topic_id [partitions]
 *         partitions => partition_index error_code high_watermark last_stable_offset log_start_offset
 *                       [aborted_transactions] preferred_read_replica records, diverging_epoch (tag 0)
 *           diverging_epoch => epoch end_offset
 */
import type { WireAnswer, WireRequest } from './broker-connection.ts'
import type { WireReader } from './wire-reader.ts'

export interface FetchPosition {
  readonly partition: number
  /** The offset wanted next. */
  readonly next: bigint
  /** As metadata gave it; -1 where it is not known. */
  readonly leaderEpoch: number
  /**
   * Of the leader that the last record was read from, which had all records below; -1 before the first.
   * The epoch in a batch is not under its checksum.
   */
  readonly lastEpoch: number
}

export interface FetchLimits {
  /** How long the broker waits where it has nothing. */
  readonly waitMs: number
  readonly bytesMax: number
  /** A partition's first batch comes whole, however large. */
  readonly partitionBytesMax: number
}

export interface FetchResult {
  readonly partition: number
  readonly errorCode: number
  readonly highWatermark: bigint
  readonly logStart: bigint
  /** Record batches, the last one perhaps cut; a view of the answer. */
  readonly records: Buffer
  /** The log was truncated below what was read: where the common part ends. */
  readonly divergesAt: bigint | undefined
}

export interface FetchAnswer extends WireAnswer {
  readonly errorCode: number
  readonly results: readonly FetchResult[]
}

const NO_REPLICA = -1
const READ_UNCOMMITTED = 0
/** Neither makes nor continues a fetch session: every request names all it wants. */
const NO_SESSION = 0
const NO_SESSION_EPOCH = -1
const NO_OFFSET = -1n
const DIVERGING_EPOCH_TAG = 0

export function fetchRequest(
  topicId: string,
  positions: readonly FetchPosition[],
  limits: FetchLimits,
): WireRequest<FetchAnswer> {
  return {
    apiKey: 1,
    apiName: 'Fetch',
    apiVersion: 13,
    isFlexible: true,
    encode: (writer) => {
      writer.int32(NO_REPLICA).int32(limits.waitMs).int32(1).int32(limits.bytesMax)
      writer.int8(READ_UNCOMMITTED).int32(NO_SESSION).int32(NO_SESSION_EPOCH)
      writer.compactArrayLength(1).uuid(topicId).compactArrayLength(positions.length)
      for (const { partition, next, leaderEpoch, lastEpoch } of positions) {
        writer.int32(partition).int32(leaderEpoch).int64(next).int32(lastEpoch)
        writer.int64(NO_OFFSET).int32(limits.partitionBytesMax).noTags()
      }
      writer.noTags().compactArrayLength(0).compactString('').noTags()
    },
    decode: (reader) => {
      const throttleMs = reader.int32()
      const errorCode = reader.int16()
      reader.int32()
      const results = reader.compactArray(readTopic).flat()
      reader.tags()
      return { throttleMs, errorCode, results }
    },
  }
}

function readTopic(reader: WireReader): FetchResult[] {
  reader.uuid()
  const results = reader.compactArray(readPartition)
  reader.tags()
  return results
}

function readPartition(reader: WireReader): FetchResult {
  const partition = reader.int32()
  const errorCode = reader.int16()
  const highWatermark = reader.int64()
  reader.int64()
  const logStart = reader.int64()
  reader.compactArray(() => {
    reader.bytes(16)
    reader.tags()
  })
  reader.int32()
  const records = reader.compactBytes()
  let divergesAt: bigint | undefined
  reader.tags((tag, field) => {
    if (tag !== DIVERGING_EPOCH_TAG) return
    const epoch = field.int32()
    const endOffset = field.int64()
    if (epoch >= 0 && endOffset >= 0n) divergesAt = endOffset
  })
  return { partition, errorCode, highWatermark, logStart, records, divergesAt }
}
