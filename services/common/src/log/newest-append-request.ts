/**
 * ListOffsets, version 7, for the newest append time of partitions (KIP-734; brokers from 3.0 on).
 *
 *     ListOffsets Request (Version: 7) => replica_id isolation_level [topics]
 *       topics => name [partitions]
 *         partitions => partition_index current_leader_epoch timestamp
 *     ListOffsets Response (Version: 7) => throttle_time_ms [topics]
 *       topics => name [partitions]
 *         partitions => partition_index error_code timestamp offset leader_epoch
 *
 * Arrays and strings are compact, and every structure ends with tags.
 */
import type { WireAnswer, WireRequest } from './broker-connection.ts'
import { NO_ERROR } from './kafka-error.ts'
import type { OffsetQuestion } from './offsets-request.ts'
import type { WireReader } from './wire-reader.ts'

/** Instead of a time: the record with the largest one. */
const MAX_TIMESTAMP = -3n
const NO_REPLICA = -1
const READ_UNCOMMITTED = 0

export interface NewestAppendAnswer extends WireAnswer {
  /** Unix milliseconds, the newest over the partitions that told; -1 where they hold no record. */
  readonly newestUnixMs: number
}

export function newestAppendRequest(
  topic: string,
  questions: readonly OffsetQuestion[],
): WireRequest<NewestAppendAnswer> {
  return {
    apiKey: 2,
    apiName: 'ListOffsets',
    apiVersion: 7,
    isFlexible: true,
    encode: (writer) => {
      writer.int32(NO_REPLICA).int8(READ_UNCOMMITTED)
      writer.compactArrayLength(1).compactString(topic).compactArrayLength(questions.length)
      for (const { partition, leaderEpoch } of questions) {
        writer.int32(partition).int32(leaderEpoch).int64(MAX_TIMESTAMP).noTags()
      }
      writer.noTags().noTags()
    },
    decode: (reader) => {
      const throttleMs = reader.int32()
      const times = reader.compactArray(readTopic).flat()
      reader.tags()
      return { throttleMs, newestUnixMs: Math.max(-1, ...times) }
    },
  }
}

function readTopic(reader: WireReader): number[] {
  reader.compactString()
  const times = reader.compactArray((partition) => {
    partition.int32()
    const errorCode = partition.int16()
    const timestamp = partition.int64()
    partition.int64()
    partition.int32()
    partition.tags()
    return errorCode === NO_ERROR ? Number(timestamp) : -1
  })
  reader.tags()
  return times
}
