/**
 * ListOffsets, version 5: first and next offset of partitions. From this version on a leader that does
 * not know its high watermark yet says so (OFFSET_NOT_AVAILABLE) instead of a lower one.
 *
 *     ListOffsets Request (Version: 5) => replica_id isolation_level [topics]
 *       topics => name [partitions]
 *         partitions => partition_index current_leader_epoch timestamp
 *     ListOffsets Response (Version: 5) => throttle_time_ms [topics]
 *       topics => name [partitions]
 *         partitions => partition_index error_code timestamp offset leader_epoch
 */
import type { WireAnswer, WireRequest } from './broker-connection.ts'
import type { WireReader } from './wire-reader.ts'

/** Instead of a time: the first offset that is stored, and the high watermark. */
export const EARLIEST = -2n
export const LATEST = -1n

export interface OffsetQuestion {
  readonly partition: number
  readonly leaderEpoch: number
}

export interface OffsetResult {
  readonly errorCode: number
  readonly offset: bigint
}

export interface OffsetsAnswer extends WireAnswer {
  readonly results: ReadonlyMap<number, OffsetResult>
}

const NO_REPLICA = -1
/** The high watermark, not the end of the last finished transaction. */
const READ_UNCOMMITTED = 0

export function offsetsRequest(
  topic: string,
  questions: readonly OffsetQuestion[],
  timestamp: typeof EARLIEST | typeof LATEST,
): WireRequest<OffsetsAnswer> {
  return {
    apiKey: 2,
    apiName: 'ListOffsets',
    apiVersion: 5,
    isFlexible: false,
    encode: (writer) => {
      writer.int32(NO_REPLICA).int8(READ_UNCOMMITTED)
      writer.arrayLength(1).string(topic).arrayLength(questions.length)
      for (const { partition, leaderEpoch } of questions) {
        writer.int32(partition).int32(leaderEpoch).int64(timestamp)
      }
    },
    decode: (reader) => {
      const throttleMs = reader.int32()
      return { throttleMs, results: new Map(reader.array(readTopic).flat()) }
    },
  }
}

function readTopic(reader: WireReader): [number, OffsetResult][] {
  reader.string()
  return reader.array(() => {
    const partition = reader.int32()
    const errorCode = reader.int16()
    reader.int64()
    const offset = reader.int64()
    reader.int32()
    return [partition, { errorCode, offset }]
  })
}
