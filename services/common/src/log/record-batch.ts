/**
 * Kafka's record batch, magic 2 (kafka.apache.org/documentation/#recordbatch): what one produce stores
 * of a partition as a whole, and what a fetch answers. Written in one pass with one copy of the values.
 *
 *     batch  | base offset 8 | length 4 | leader epoch 4 | magic 1 | CRC-32C 4 | attributes 2 |
 *            | last offset delta 4 | base time 8 | max time 8 | producer id 8 | producer epoch 2 |
 *            | base sequence 4 | record count 4 | records |
 *     record | length | attributes 1 | time delta | offset delta | key length | value length | value |
 *            | header count | headers |                              lengths, deltas: zigzag varints
 *     header | key length | key | value length | value |
 *
 * The length counts from the leader epoch on, the CRC covers everything from the attributes on. Ours
 * have no key, no compression and no producer id; of a traced batch they have the header `traceparent`,
 * as other instrumented clients of Kafka write it, else none.
 */
import { TRACEPARENT_LENGTH } from '../trace-context.ts'
import { crc32c } from './crc32c.ts'
import type { LogRecord, Traceparents } from './partition-log.ts'
import { WireReader } from './wire-reader.ts'

export const BATCH_HEADER_BYTES = 61
const TRACE_KEY = Buffer.from('traceparent')
/** Key and value, with a length of one byte each. */
export const TRACE_HEADER_BYTES = 2 + TRACE_KEY.length + TRACEPARENT_LENGTH
/** A record is its value and at most this, and its trace: three varints of 5 bytes, four single bytes. */
export const RECORD_FRAMING_BYTES_MAX = 19
/** Headers of other producers: more are not looked through. */
const HEADERS_MAX = 32

const LENGTH_AT = 8
const LENGTH_STARTS_AT = 12
const CRC_AT = 17
const CRC_STARTS_AT = 21
const MAGIC = 2
const COMPRESSION_MASK = 0x07
const APPEND_TIME_FLAG = 0x08
const CONTROL_FLAG = 0x20
/** Zigzag of -1: a record without a key. */
const NO_KEY = 1
const NOT_TRACED: Traceparents = []
/** An empty record: a damaged header cannot claim more than fit. */
const RECORD_BYTES_MIN = 7

/**
 * One batch of the values.
 * @param nowUnixMs is replaced by the broker's append time
 * @param traceparents of the values; undefined where none is traced
 */
export function encodeRecordBatch(
  values: readonly Uint8Array[],
  nowUnixMs: number,
  traceparents: Traceparents = NOT_TRACED,
): Buffer {
  let bytes = BATCH_HEADER_BYTES
  values.forEach((value, index) => {
    const body = recordBodyBytes(value.length, index, traceparents[index])
    bytes += varintBytes(body) + body
  })
  const batch = Buffer.allocUnsafe(bytes)
  const timestamp = BigInt(nowUnixMs)
  let at = batch.writeBigInt64BE(0n, 0)
  at = batch.writeInt32BE(bytes - LENGTH_STARTS_AT, at)
  at = batch.writeInt32BE(-1, at)
  at = batch.writeInt8(MAGIC, at)
  at = batch.writeInt32BE(0, at)
  at = batch.writeInt16BE(0, at)
  at = batch.writeInt32BE(values.length - 1, at)
  at = batch.writeBigInt64BE(timestamp, at)
  at = batch.writeBigInt64BE(timestamp, at)
  at = batch.writeBigInt64BE(-1n, at)
  at = batch.writeInt16BE(-1, at)
  at = batch.writeInt32BE(-1, at)
  at = batch.writeInt32BE(values.length, at)
  values.forEach((value, index) => {
    at = writeRecord(batch, at, value, index, traceparents[index])
  })
  batch.writeUInt32BE(crc32c(batch.subarray(CRC_STARTS_AT)), CRC_AT)
  return batch
}

function writeRecord(
  batch: Buffer,
  start: number,
  value: Uint8Array,
  index: number,
  traceparent: string | undefined,
): number {
  let at = writeVarint(batch, start, recordBodyBytes(value.length, index, traceparent))
  batch[at++] = 0
  batch[at++] = 0
  at = writeVarint(batch, at, index)
  batch[at++] = NO_KEY
  at = writeVarint(batch, at, value.length)
  batch.set(value, at)
  at += value.length
  at = writeVarint(batch, at, traceparent === undefined ? 0 : 1)
  if (traceparent === undefined) return at
  at = writeVarint(batch, at, TRACE_KEY.length)
  at += TRACE_KEY.copy(batch, at)
  at = writeVarint(batch, at, TRACEPARENT_LENGTH)
  return at + batch.write(traceparent, at, TRACEPARENT_LENGTH, 'latin1')
}

function recordBodyBytes(
  valueBytes: number,
  index: number,
  traceparent: string | undefined,
): number {
  const headerBytes = traceparent === undefined ? 0 : TRACE_HEADER_BYTES
  return 4 + varintBytes(index) + varintBytes(valueBytes) + valueBytes + headerBytes
}

/** Bytes of a number that is not negative as a zigzag varint. */
function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value * 2; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

function writeVarint(batch: Buffer, start: number, value: number): number {
  let at = start
  let rest = value * 2
  while (rest >= 0x80) {
    batch[at++] = (rest & 0x7f) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  batch[at++] = rest
  return at
}

/** Why reading stops before the end. */
export interface ReadProblem {
  readonly reason: string
  /** Nothing is stored from the wanted offset up to this one. */
  readonly gapEnd?: bigint
  /**
   * What the batch is said to hold, to be handed over when reading again does not help: the records
   * where they could be read, else the whole batch as the first value and empty ones behind it.
   */
  readonly records: readonly LogRecord[]
}

export interface ReadRecords {
  /** Views of the given bytes; offsets ascend by one, the first is the wanted one. */
  readonly records: LogRecord[]
  /** False where a time is a client's: the topic does not stamp the append time. */
  isAppendTime: boolean
  problem?: ReadProblem
}

/**
 * Reads the batches of a fetch in sequence, up to the first that does not fit. The last one may be cut:
 * brokers answer so many bytes, not so many batches.
 *
 * The offset of a batch is not under its checksum. Where the one before was read whole, it has to begin
 * with the wanted offset; elsewhere it may begin before, and its records below are left out.
 */
export function readRecordBatches(bytes: Buffer, from: bigint, isBoundary: boolean): ReadRecords {
  const read: ReadRecords = { records: [], isAppendTime: true }
  let next = from
  let hasToBegin = isBoundary
  for (let at = 0; at + LENGTH_STARTS_AT <= bytes.length && read.problem === undefined;) {
    const end = at + LENGTH_STARTS_AT + bytes.readInt32BE(at + LENGTH_AT)
    if (end > bytes.length) break
    if (end < at + BATCH_HEADER_BYTES) {
      read.problem = { reason: 'length', records: rawRecords(bytes.subarray(at), next, next) }
      break
    }
    const batch = readBatch(bytes.subarray(at, end))
    at = end
    // wholly before the wanted offset: only a broker that answers more than asked for
    if (batch.last < next && !hasToBegin) continue
    read.problem = problemOf(batch, next, hasToBegin)
    if (read.problem !== undefined) break
    for (const record of batch.records) if (record.offset >= next) read.records.push(record)
    read.isAppendTime &&= batch.isAppendTime
    next = batch.last + 1n
    hasToBegin = true
  }
  return read
}

function problemOf(batch: Batch, next: bigint, hasToBegin: boolean): ReadProblem | undefined {
  const records = batch.records.filter(({ offset }) => offset >= next)
  if (batch.problem !== undefined) return { reason: batch.problem, records }
  if (batch.base > next) return { reason: 'gap', gapEnd: batch.base, records: [] }
  if (batch.base < next && hasToBegin) return { reason: 'offset', records }
  // markers of transactions take offsets and hold nothing
  if (batch.isControl) return { reason: 'gap', gapEnd: batch.last + 1n, records: [] }
  return undefined
}

interface Batch {
  /** First and last offset. */
  readonly base: bigint
  readonly last: bigint
  readonly isAppendTime: boolean
  readonly isControl: boolean
  readonly records: readonly LogRecord[]
  readonly problem?: string
}

function readBatch(bytes: Buffer): Batch {
  const reader = new WireReader(bytes)
  const base = reader.int64()
  reader.bytes(8)
  const magic = reader.int8()
  const crc = reader.uint32()
  const attributes = reader.int16()
  const recordsMax = Math.ceil((bytes.length - BATCH_HEADER_BYTES) / RECORD_BYTES_MIN)
  const last = base + BigInt(Math.max(0, Math.min(recordsMax, reader.int32())))
  reader.int64()
  const maxUnixMs = Number(reader.int64())
  reader.bytes(14)
  const isAppendTime = (attributes & APPEND_TIME_FLAG) !== 0
  const isControl = (attributes & CONTROL_FLAG) !== 0
  const batch = { base, last, isAppendTime, isControl }
  if (magic !== MAGIC || (attributes & COMPRESSION_MASK) !== 0) {
    const problem = magic === MAGIC ? 'compressed' : 'magic'
    return { ...batch, records: rawRecords(bytes, base, last), problem }
  }
  const isSound = crc32c(bytes.subarray(CRC_STARTS_AT)) === crc
  if (isControl && isSound) return { ...batch, records: [] }
  const records = tryReadRecords(reader, base, maxUnixMs)
  if (records === undefined || !isSequence(records, base, last)) {
    return { ...batch, records: rawRecords(bytes, base, last), problem: 'records' }
  }
  return isSound ? { ...batch, records } : { ...batch, records, problem: 'checksum' }
}

function tryReadRecords(
  reader: WireReader,
  base: bigint,
  appendUnixMs: number,
): LogRecord[] | undefined {
  try {
    return reader.array(() => readRecord(reader, base, appendUnixMs))
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function readRecord(reader: WireReader, base: bigint, appendUnixMs: number): LogRecord {
  const bodyBytes = reader.varint()
  const endsAt = reader.remaining - bodyBytes
  reader.int8()
  reader.skipVarlong()
  const offset = base + BigInt(reader.varint())
  const keyBytes = reader.varint()
  if (keyBytes > 0) reader.bytes(keyBytes)
  const value = reader.bytes(Math.max(0, reader.varint()))
  const headers = reader.bytes(reader.remaining - endsAt)
  // the count alone: nearly all of ours
  if (headers.length <= 1) return { offset, appendUnixMs, value }
  const traceparent = readTraceparent(headers)
  return traceparent === undefined
    ? { offset, appendUnixMs, value }
    : { offset, appendUnixMs, value, traceparent }
}

/** Headers may be other producers', and whatever they are: what is not to be read is no trace. */
function readTraceparent(headers: Buffer): string | undefined {
  const reader = new WireReader(headers)
  try {
    for (let left = Math.min(HEADERS_MAX, reader.varint()); left > 0; left--) {
      const key = reader.bytes(reader.varint())
      const value = reader.bytes(Math.max(0, reader.varint()))
      if (key.equals(TRACE_KEY) && value.length === TRACEPARENT_LENGTH) {
        return value.toString('latin1')
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  return undefined
}

/** Whether the records are those of all offsets: a log that is never compacted has no others. */
function isSequence(records: readonly LogRecord[], first: bigint, last: bigint): boolean {
  return (
    BigInt(records.length) === last - first + 1n &&
    records.every(({ offset }, index) => offset === first + BigInt(index))
  )
}

/** The bytes as the value of the first offset, and nothing in the others. */
function rawRecords(bytes: Buffer, first: bigint, last: bigint): LogRecord[] {
  const records: LogRecord[] = [{ offset: first, appendUnixMs: 0, value: bytes }]
  for (let offset = first + 1n; offset <= last; offset++) {
    records.push({ offset, appendUnixMs: 0, value: bytes.subarray(0, 0) })
  }
  return records
}
