/**
 * Produce, version 7: any number of partitions of one topic, one batch each, answered one by one. No
 * transaction, no producer id: see "Decisions" in ARCHITECTURE.md.
 *
 *     Produce Request (Version: 7) => transactional_id acks timeout_ms [topic_data]
 *       topic_data => name [partition_data]
 *         partition_data => index INT32, records RECORDS (a length of 4 bytes and the batch)
 *     Produce Response (Version: 7) => [responses] throttle_time_ms
 *       responses => name [partition_responses]
 *         partition_responses => index error_code base_offset log_append_time_ms log_start_offset
 */
import type { WireAnswer, WireRequest } from './broker-connection.ts'
import type { WireReader } from './wire-reader.ts'

export interface ProducePart {
  readonly partition: number
  /** As encodeRecordBatch wrote it. */
  readonly batch: Buffer
}

export interface ProduceResult {
  readonly errorCode: number
  /** Of the first record; negative where none was stored. */
  readonly baseOffset: bigint
  /** By the broker's clock, Unix milliseconds; -1 where the topic keeps the producer's times. */
  readonly appendUnixMs: number
}

export interface ProduceAnswer extends WireAnswer {
  /** By partition. A partition that is missing here was not acknowledged. */
  readonly results: ReadonlyMap<number, ProduceResult>
}

/** All replicas in sync. */
const ACKS_ALL = -1

/** @param timeoutMs how long the broker waits for the replicas; each partition at most once */
export function produceRequest(
  topic: string,
  parts: readonly ProducePart[],
  timeoutMs: number,
): WireRequest<ProduceAnswer> {
  return {
    apiKey: 0,
    apiName: 'Produce',
    apiVersion: 7,
    isFlexible: false,
    encode: (writer) => {
      writer.string(null).int16(ACKS_ALL).int32(timeoutMs)
      writer.arrayLength(1).string(topic).arrayLength(parts.length)
      for (const { partition, batch } of parts) {
        writer.int32(partition).int32(batch.length).shared(batch)
      }
    },
    decode: (reader) => {
      const results = new Map(reader.array(readTopic).flat())
      return { results, throttleMs: reader.int32() }
    },
  }
}

function readTopic(reader: WireReader): [number, ProduceResult][] {
  reader.string()
  return reader.array(() => {
    const partition = reader.int32()
    const errorCode = reader.int16()
    const baseOffset = reader.int64()
    const appendUnixMs = Number(reader.int64())
    reader.int64()
    return [partition, { errorCode, baseOffset, appendUnixMs }]
  })
}
