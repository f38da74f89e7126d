/**
 * The envelope: what stands before the Arrow stream of a batch in the WAL, in Kafka and in memory.
 * It says whose rows follow and lets a repeat be found without opening the batch. docs/format/
 * envelope.md has the same drawing; numbers are little-endian, times are nanoseconds since 1970.
 *
 *      0 +---------------------------------------------------------------+
 *        | "TRB1"                        | version u16   | zero u16      |
 *      8 | CRC-32 of bytes 12 to the end | header bytes u32              |
 *     16 | Arrow bytes u32               | signal | tenant bytes | zero u16 |
 *     24 | batch id, 16 bytes                                            |
 *     40 | rows u32                      | chunks u32                    |
 *     48 | arrival u64                                                   |
 *     56 | least time u64                                                |
 *     64 | greatest time u64                                             |
 *     72 | OTLP bytes u64                                                |
 *     80 +---------------------------------------------------------------+
 *        | per chunk 28 bytes: hash, 16 bytes | first row u32 | rows u32 |
 *        |                     flags u32: bit 0 removable, others zero   |
 *        | tenant, UTF-8 | zeros to a multiple of 8                      |
 *     header bytes +-----------------------------------------------------+
 *        | the Arrow stream, Arrow bytes long; nothing behind it         |
 *        +---------------------------------------------------------------+
 *
 * Every bit counts: the CRC covers all that follows it, and what stands before it has one valid
 * value. Chunks stand in ascending row order, do not overlap and lie inside the rows; rows of no
 * chunk are never removed as repeats.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'

import { toAppError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { signalName, type Signal } from '../signal.ts'
import { ALIGNMENT_BYTES, padded } from './arrow-format.ts'
import { CHUNK_HASH_BYTES, type BatchChunks } from './chunk-list.ts'
import { envelopeDamage } from './envelope-damage.ts'

export interface EnvelopeHeader {
  signal: Signal
  tenant: string
  /** 16 bytes, unique to the batch. */
  batchId: Uint8Array
  rowCount: number
  /** Bytes of OTLP protobuf that the rows came in. */
  otlpBytes: number
  arrivalUnixNano: bigint
  minTimeUnixNano: bigint
  maxTimeUnixNano: bigint
  chunks: BatchChunks
}

export const ENVELOPE_VERSION = 2
/** The bytes T R B 1 as a little-endian number. */
const MAGIC = 0x31425254
const CRC_AT = 8
/** Where the bytes begin that the CRC covers. */
const COVERED_AT = 12
const FIXED_BYTES = 80
const CHUNK_BYTES = 28
const ID_BYTES = 16
const HASH_BYTES = CHUNK_HASH_BYTES
const REMOVABLE_FLAG = 1
/** Rows of a batch are numbered in 32 bits with a sign. */
const ROW_COUNT_MAX = 0x7fff_ffff
const ARROW_BYTES_MAX = 0x7fff_ffff

const tenantDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Joins a header and an Arrow stream, which is copied; `writeEnvelopeWithBatch` saves that copy. */
export function encodeEnvelope(header: EnvelopeHeader, arrow: Uint8Array): Uint8Array {
  const headerBytes = envelopeHeaderBytes(header)
  const bytes = new Uint8Array(headerBytes + arrow.byteLength)
  bytes.set(arrow, headerBytes)
  sealEnvelope(bytes, header)
  return bytes
}

/** Bytes before the Arrow stream, a multiple of 8. */
export function envelopeHeaderBytes(header: EnvelopeHeader): number {
  const chunkBytes = CHUNK_BYTES * header.chunks.count
  return padded(FIXED_BYTES + chunkBytes + Buffer.byteLength(header.tenant))
}

/**
 * Writes the header into bytes that hold the Arrow stream behind `envelopeHeaderBytes` bytes, and
 * the CRC over both.
 */
export function sealEnvelope(bytes: Uint8Array, header: EnvelopeHeader): void {
  const headerBytes = envelopeHeaderBytes(header)
  assertHeader(header)
  bytes.fill(0, 0, headerBytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, ENVELOPE_VERSION, true)
  view.setUint32(12, headerBytes, true)
  view.setUint32(16, bytes.byteLength - headerBytes, true)
  view.setUint8(20, header.signal)
  view.setUint8(21, Buffer.byteLength(header.tenant))
  bytes.set(header.batchId, 24)
  view.setUint32(40, header.rowCount, true)
  view.setUint32(44, header.chunks.count, true)
  view.setBigUint64(48, header.arrivalUnixNano, true)
  view.setBigUint64(56, header.minTimeUnixNano, true)
  view.setBigUint64(64, header.maxTimeUnixNano, true)
  view.setBigUint64(72, BigInt(header.otlpBytes), true)
  writeChunks(header.chunks, bytes, view)
  bytes.set(Buffer.from(header.tenant), FIXED_BYTES + CHUNK_BYTES * header.chunks.count)
  view.setUint32(CRC_AT, crc32(bytes.subarray(COVERED_AT)), true)
}

function writeChunks(chunks: BatchChunks, bytes: Uint8Array, view: DataView): void {
  const { count, hashes, rowStarts, rowCounts, removable } = chunks
  let at = FIXED_BYTES
  for (let chunk = 0; chunk < count; chunk++) {
    copyHash(hashes, chunk * HASH_BYTES, bytes, at)
    view.setUint32(at + 16, rowStarts[chunk]!, true)
    view.setUint32(at + 20, rowCounts[chunk]!, true)
    view.setUint32(at + 24, removable[chunk] === 1 ? REMOVABLE_FLAG : 0, true)
    at += CHUNK_BYTES
  }
}

/** A native copy of so few bytes costs more. */
function copyHash(from: Uint8Array, fromAt: number, to: Uint8Array, toAt: number): void {
  for (let byte = 0; byte < HASH_BYTES; byte++) to[toAt + byte] = from[fromAt + byte]!
}

/** What `decodeEnvelope` would refuse in a header of our own is a bug, found before it is stored. */
function assertHeader(header: EnvelopeHeader): void {
  assert.ok(signalName(header.signal) !== undefined)
  assert.ok(Buffer.byteLength(header.tenant) <= LIMITS.tenantNameBytesMax)
  assert.equal(header.batchId.byteLength, ID_BYTES)
  assert.ok(Number.isSafeInteger(header.otlpBytes) && header.otlpBytes >= 0)
  assert.ok(header.minTimeUnixNano <= header.maxTimeUnixNano)
  const times = [header.arrivalUnixNano, header.minTimeUnixNano, header.maxTimeUnixNano]
  for (const time of times) assert.equal(time, BigInt.asUintN(64, time))
  const { count, hashes, rowStarts, rowCounts } = header.chunks
  assert.ok(hashes.byteLength >= count * HASH_BYTES)
  let rowsBefore = 0
  for (let chunk = 0; chunk < count; chunk++) {
    assert.ok(rowStarts[chunk]! >= rowsBefore && rowCounts[chunk]! > 0)
    rowsBefore = rowStarts[chunk]! + rowCounts[chunk]!
  }
  assert.ok(rowsBefore <= header.rowCount && header.rowCount <= ROW_COUNT_MAX)
}

/**
 * Reads an envelope; `arrow` and the batch id are views of `bytes`. Throws
 * AppError('envelope_damaged') where a bit differs from what was written, or for a version that
 * this build does not know (details: found and known version).
 */
export function decodeEnvelope(bytes: Uint8Array): { header: EnvelopeHeader; arrow: Uint8Array } {
  if (bytes.byteLength < FIXED_BYTES) {
    throw envelopeDamage('an envelope is cut off', { byteCount: bytes.byteLength })
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerBytes = checkFrame(view, bytes)
  const header = readHeader(view, bytes, headerBytes)
  return { header, arrow: viewOf(bytes, headerBytes, bytes.byteLength - headerBytes) }
}

/** Whether this is the refusal of an envelope that a newer build wrote. */
export function isNewerEnvelope(error: unknown): boolean {
  const { code, details } = toAppError(error)
  return code === 'envelope_damaged' && Number(details['found']) > Number(details['known'])
}

/** Checks magic, version, CRC and lengths; gives the header's length. */
function checkFrame(view: DataView, bytes: Uint8Array): number {
  if (view.getUint32(0, true) !== MAGIC) throw envelopeDamage('no envelope begins here')
  const version = view.getUint16(4, true)
  if (version !== ENVELOPE_VERSION) {
    const details = { found: version, known: ENVELOPE_VERSION }
    throw envelopeDamage(
      `an envelope of version ${version}; this build reads version ${ENVELOPE_VERSION}`,
      details,
    )
  }
  const stored = view.getUint32(CRC_AT, true)
  const computed = crc32(bytes.subarray(COVERED_AT))
  if (stored !== computed || view.getUint16(6, true) !== 0) {
    throw envelopeDamage('the checksum of an envelope differs', { stored, computed })
  }
  const headerBytes = view.getUint32(12, true)
  const arrowBytes = view.getUint32(16, true)
  const isTiled = headerBytes + arrowBytes === bytes.byteLength
  if (!isTiled || headerBytes < FIXED_BYTES || headerBytes % ALIGNMENT_BYTES !== 0) {
    const details = { headerBytes, arrowBytes, byteCount: bytes.byteLength }
    throw envelopeDamage('the lengths of an envelope differ', details)
  }
  if (arrowBytes > ARROW_BYTES_MAX) throw envelopeDamage('an envelope too large', { arrowBytes })
  return headerBytes
}

function readHeader(view: DataView, bytes: Uint8Array, headerBytes: number): EnvelopeHeader {
  const signal = view.getUint8(20)
  const tenantBytes = view.getUint8(21)
  const rowCount = view.getUint32(40, true)
  const chunkCount = view.getUint32(44, true)
  const otlpBytes = view.getBigUint64(72, true)
  const tenantAt = FIXED_BYTES + CHUNK_BYTES * chunkCount
  if (padded(tenantAt + tenantBytes) !== headerBytes) {
    throw envelopeDamage('the parts of an envelope differ', {
      headerBytes,
      chunkCount,
      tenantBytes,
    })
  }
  const header = {
    signal: readSignal(signal),
    tenant: readTenant(bytes.subarray(tenantAt, tenantAt + tenantBytes)),
    batchId: viewOf(bytes, 24, ID_BYTES),
    rowCount,
    otlpBytes: Number(otlpBytes),
    arrivalUnixNano: view.getBigUint64(48, true),
    minTimeUnixNano: view.getBigUint64(56, true),
    maxTimeUnixNano: view.getBigUint64(64, true),
    chunks: readChunks(view, bytes, chunkCount, rowCount),
  }
  const isPadded = bytes.subarray(tenantAt + tenantBytes, headerBytes).every((byte) => byte === 0)
  if (!isPadded || view.getUint16(22, true) !== 0 || rowCount > ROW_COUNT_MAX) {
    throw envelopeDamage('an envelope with values where none belong', { rowCount })
  }
  if (header.minTimeUnixNano > header.maxTimeUnixNano || !Number.isSafeInteger(header.otlpBytes)) {
    throw envelopeDamage('an envelope with impossible values', { otlpBytes })
  }
  return header
}

function readSignal(signal: number): Signal {
  if (signalName(signal) === undefined) throw envelopeDamage('an unknown signal', { signal })
  return signal as Signal
}

function readTenant(bytes: Uint8Array): string {
  if (bytes.byteLength > LIMITS.tenantNameBytesMax) {
    throw envelopeDamage('a tenant with too long a name', { byteCount: bytes.byteLength })
  }
  try {
    // copied: a decoder may refuse shared memory, where slabs keep envelopes
    return tenantDecoder.decode(new Uint8Array(bytes))
  } catch (cause) {
    throw envelopeDamage('the tenant of an envelope is not UTF-8', { cause: String(cause) })
  }
}

function readChunks(
  view: DataView,
  bytes: Uint8Array,
  chunkCount: number,
  envelopeRows: number,
): BatchChunks {
  const hashes = new Uint8Array(HASH_BYTES * chunkCount)
  const rowStarts = new Int32Array(chunkCount)
  const rowCounts = new Int32Array(chunkCount)
  const removable = new Uint8Array(chunkCount)
  let rowsBefore = 0
  for (let index = 0; index < chunkCount; index++) {
    const at = FIXED_BYTES + CHUNK_BYTES * index
    const rowStart = view.getUint32(at + 16, true)
    const rowCount = view.getUint32(at + 20, true)
    const flags = view.getUint32(at + 24, true)
    const isInOrder = rowStart >= rowsBefore && rowCount > 0
    rowsBefore = rowStart + rowCount
    if (!isInOrder || rowsBefore > envelopeRows || flags > REMOVABLE_FLAG) {
      throw envelopeDamage('a chunk with wrong rows', { index, rowStart, rowCount, flags })
    }
    copyHash(bytes, at, hashes, HASH_BYTES * index)
    rowStarts[index] = rowStart
    rowCounts[index] = rowCount
    removable[index] = flags
  }
  return { count: chunkCount, hashes, rowStarts, rowCounts, removable }
}

/** A plain Uint8Array, also of a Buffer. */
function viewOf(bytes: Uint8Array, at: number, byteCount: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, byteCount)
}
