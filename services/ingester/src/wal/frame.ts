/**
 * One frame of a WAL segment (docs/format/wal.md): 32 bytes, the payload, zeros to the next 8.
 *
 *   0 payload bytes u32 | 4 type u8, zeros 3 | 8 first offset u64 | 16 count u32 |
 *   20 group index u32 | 24 header crc u32 | 28 frame crc u32
 *   of a record: 16 append time u64 in the place of count and group index
 *
 * Header crc: over bytes 0-23, started with the segment's salt. Frame crc: over the payload, started
 * with the header crc. A damaged payload thus leaves a trusted length and offset behind, and the
 * reader goes on exactly at the next frame. Group index: offsets of the same group of writes before
 * this frame: everything before `first offset - group index` was acknowledged before the group began.
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'

import { align8 } from './segment-header.ts'

export const FRAME_HEADER_BYTES = 32
/** The largest request (64 MiB) in columns; no reader ever allocates more for one frame. */
export const FRAME_PAYLOAD_BYTES_MAX = 128 * 1024 * 1024
/** Payloads below this are copied beside their headers: an iovec of their own costs more. */
const COPIED_BYTES_MAX = 16 * 1024

/**
 * data: an appended payload. end: clean end of the log at `first offset`, nothing follows. hole: the
 * offsets are gone for the reason in the payload (UTF-8), found by an earlier recovery. record: a copy
 * of what another log has at that offset.
 */
export const FrameType = { data: 1, end: 2, hole: 3, record: 4 } as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export interface FrameHeader {
  readonly type: FrameType
  readonly payloadBytes: number
  readonly firstOffset: bigint
  /** Offsets that the frame covers; 0 for `end`. */
  readonly count: number
  readonly groupIndex: number
  /** Of a record: when the log took it, milliseconds since 1970; else 0. */
  readonly appendUnixMs: number
  readonly headerCrc: number
  readonly frameCrc: number
}

export interface NewFrame {
  readonly type: FrameType
  readonly firstOffset: bigint
  readonly count: number
  readonly groupIndex: number
  /** Of a record. */
  readonly appendUnixMs?: number
  readonly payload: Uint8Array
}

/** The room of a frame in its segment. */
export function frameBytes(payloadBytes: number): number {
  return align8(FRAME_HEADER_BYTES + payloadBytes)
}

export interface EncodedFrames {
  /** To be written one after the other; large payloads are the caller's own memory. */
  readonly buffers: Uint8Array[]
  readonly byteLength: number
  readonly lastCrc: number
}

export function encodeFrames(frames: readonly NewFrame[], salt: number): EncodedFrames {
  const scratch = Buffer.alloc(scratchBytes(frames))
  const buffers: Uint8Array[] = []
  let byteLength = 0
  let lastCrc = 0
  let start = 0
  let end = 0
  for (const frame of frames) {
    const { payload } = frame
    lastCrc = writeFrameHeader(scratch, end, frame, salt)
    end += FRAME_HEADER_BYTES
    const padding = align8(payload.length) - payload.length
    if (payload.length <= COPIED_BYTES_MAX) {
      scratch.set(payload, end)
      end += payload.length
    } else {
      buffers.push(scratch.subarray(start, end), payload)
      start = end
    }
    end += padding
    byteLength += frameBytes(payload.length)
  }
  if (end > start) buffers.push(scratch.subarray(start, end))
  return { buffers, byteLength, lastCrc }
}

function scratchBytes(frames: readonly NewFrame[]): number {
  let bytes = 0
  for (const { payload } of frames) {
    const isCopied = payload.length <= COPIED_BYTES_MAX
    bytes += FRAME_HEADER_BYTES + align8(payload.length) - (isCopied ? 0 : payload.length)
  }
  return bytes
}

function writeFrameHeader(bytes: Buffer, at: number, frame: NewFrame, salt: number): number {
  bytes.writeUInt32LE(frame.payload.length, at)
  bytes.writeUInt8(frame.type, at + 4)
  bytes.writeBigUInt64LE(frame.firstOffset, at + 8)
  if (frame.type === FrameType.record) {
    bytes.writeBigUInt64LE(BigInt(frame.appendUnixMs ?? 0), at + 16)
  } else {
    bytes.writeUInt32LE(frame.count, at + 16)
    bytes.writeUInt32LE(frame.groupIndex, at + 20)
  }
  const headerCrc = crc32(bytes.subarray(at, at + 24), salt)
  const frameCrc = crc32(frame.payload, headerCrc)
  bytes.writeUInt32LE(headerCrc, at + 24)
  bytes.writeUInt32LE(frameCrc, at + 28)
  return frameCrc
}

/**
 * The frame header at `at` (32 bytes must be there), or undefined where there is none of this
 * segment: cheap checks first, as a reader asks this of every 8th byte behind a damaged range.
 */
export function decodeFrameHeader(
  view: DataView,
  at: number,
  salt: number,
): FrameHeader | undefined {
  const type = view.getUint32(at + 4, true)
  if (type < FrameType.data || type > FrameType.record) return undefined
  const payloadBytes = view.getUint32(at, true)
  if (payloadBytes > FRAME_PAYLOAD_BYTES_MAX) return undefined
  const headerCrc = view.getUint32(at + 24, true)
  if (headerCrcOf(view, at, salt) !== headerCrc) return undefined
  const isRecord = type === FrameType.record
  return {
    type: type as FrameType,
    payloadBytes,
    firstOffset: view.getBigUint64(at + 8, true),
    count: isRecord ? 1 : view.getUint32(at + 16, true),
    groupIndex: isRecord ? 0 : view.getUint32(at + 20, true),
    appendUnixMs: isRecord ? Number(view.getBigUint64(at + 16, true)) : 0,
    headerCrc,
    frameCrc: view.getUint32(at + 28, true),
  }
}

export function isPayloadIntact(header: FrameHeader, payload: Uint8Array): boolean {
  return crc32(payload, header.headerCrc) === header.frameCrc
}

/** CRC-32 of the 24 bytes at `at`, as zlib's: on so few the native call would cost ten times this. */
function headerCrcOf(view: DataView, at: number, start: number): number {
  let crc = ~start
  for (let word = at; word < at + 24; word += 8) {
    const first = view.getInt32(word, true) ^ crc
    const second = view.getInt32(word + 4, true)
    crc =
      CRC_TABLES[0x700 + (first & 0xff)]! ^
      CRC_TABLES[0x600 + ((first >>> 8) & 0xff)]! ^
      CRC_TABLES[0x500 + ((first >>> 16) & 0xff)]! ^
      CRC_TABLES[0x400 + (first >>> 24)]! ^
      CRC_TABLES[0x300 + (second & 0xff)]! ^
      CRC_TABLES[0x200 + ((second >>> 8) & 0xff)]! ^
      CRC_TABLES[0x100 + ((second >>> 16) & 0xff)]! ^
      CRC_TABLES[second >>> 24]!
  }
  return ~crc >>> 0
}

/** Slicing by 8: table t holds the CRC of a byte that t bytes follow. */
const CRC_TABLES = (() => {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : 0xedb88320)
    tables[byte] = crc
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256]!
    tables[at] = (before >>> 8) ^ tables[before & 0xff]!
  }
  return tables
})()
