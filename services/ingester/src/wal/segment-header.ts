/**
 * The head of a WAL segment, and its file name (docs/format/wal.md).
 *
 *   magic u64 | version u16 | header bytes u16 | header crc u32 | uuid 16 | sequence u64 |
 *   base offset u64 | created unix ms u64 | predecessor: uuid 16, next offset u64, crc u32,
 *   partition u32 | log id bytes u16 | topic bytes u16 | log id | topic | zeros to 8
 *
 * The name repeats sequence, base offset and uuid: frames are salted by uuid and partition, so the
 * name alone is enough to read them when the header is damaged. All numbers are little-endian.
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'

import { AppError } from '@tributary/common/errors'

export interface SegmentIdentity {
  /** Standalone: the store's uuid. Cluster: Kafka's cluster id and topic id. */
  readonly logId: string
  readonly topic: string
  readonly partition: number
}

export interface SegmentName {
  /** Ascends by one for each segment that a log ever had. */
  readonly sequence: bigint
  /** No frame of the segment has a lower offset. */
  readonly baseOffset: bigint
  readonly uuid: Uint8Array
}

export interface Predecessor {
  readonly uuid: Uint8Array
  /** Everything below it was acknowledged or given up before this segment began. */
  readonly nextOffset: bigint
  /** The CRC of the last frame; 0 where there was none. */
  readonly lastCrc: number
}

export interface SegmentHeader extends SegmentName {
  /** Left out: SegmentVersion.log. */
  readonly version?: SegmentVersion
  readonly identity: SegmentIdentity
  readonly createdUnixMs: bigint
  readonly predecessor: Predecessor | undefined
}

/** log: frames are data, holes and ends. cache: they are records, copies of what another log has. */
export const SegmentVersion = { log: 1, cache: 2 } as const
export type SegmentVersion = (typeof SegmentVersion)[keyof typeof SegmentVersion]
/** "TRIBWAL\n" */
export const SEGMENT_MAGIC = 0x0a_4c_41_57_42_49_52_54n
export const UUID_BYTES = 16
const FIXED_BYTES = 96
/** 96 + two names of at most 255 bytes, rounded up to 8. */
export const SEGMENT_HEADER_BYTES_MAX = 608
const NAME_BYTES_MAX = 255
const CRC_POSITION = 12
const NAME_PATTERN = /^(\d{10})-(\d{20})-([0-9a-f]{32})\.wal$/

export type HeaderOutcome =
  | { readonly kind: 'valid'; readonly header: SegmentHeader; readonly headerBytes: number }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'newer_version'; readonly version: number }

export function segmentFileName(name: SegmentName): string {
  const sequence = name.sequence.toString().padStart(10, '0')
  const baseOffset = name.baseOffset.toString().padStart(20, '0')
  return `${sequence}-${baseOffset}-${Buffer.from(name.uuid).toString('hex')}.wal`
}

/** The parts of a segment's file name; undefined for any other file. */
export function parseSegmentFileName(fileName: string): SegmentName | undefined {
  const match = NAME_PATTERN.exec(fileName)
  if (match === null) return undefined
  return {
    sequence: BigInt(match[1]!),
    baseOffset: BigInt(match[2]!),
    uuid: new Uint8Array(Buffer.from(match[3]!, 'hex')),
  }
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const logId = Buffer.from(header.identity.logId)
  const topic = Buffer.from(header.identity.topic)
  checkNames(logId, topic)
  const headerBytes = align8(FIXED_BYTES + logId.length + topic.length)
  const bytes = Buffer.alloc(headerBytes)
  bytes.writeBigUInt64LE(SEGMENT_MAGIC, 0)
  bytes.writeUInt16LE(header.version ?? SegmentVersion.log, 8)
  bytes.writeUInt16LE(headerBytes, 10)
  bytes.set(header.uuid, 16)
  bytes.writeBigUInt64LE(header.sequence, 32)
  bytes.writeBigUInt64LE(header.baseOffset, 40)
  bytes.writeBigUInt64LE(header.createdUnixMs, 48)
  if (header.predecessor !== undefined) {
    bytes.set(header.predecessor.uuid, 56)
    bytes.writeBigUInt64LE(header.predecessor.nextOffset, 72)
    bytes.writeUInt32LE(header.predecessor.lastCrc, 80)
  }
  bytes.writeUInt32LE(header.identity.partition, 84)
  bytes.writeUInt16LE(logId.length, 88)
  bytes.writeUInt16LE(topic.length, 90)
  bytes.set(logId, FIXED_BYTES)
  bytes.set(topic, FIXED_BYTES + logId.length)
  bytes.writeUInt32LE(crc32(bytes), CRC_POSITION)
  return bytes
}

/** Reads a header from the first bytes of a file; never throws. */
export function decodeSegmentHeader(file: Uint8Array): HeaderOutcome {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  if (bytes.length < FIXED_BYTES || bytes.readBigUInt64LE(0) !== SEGMENT_MAGIC) {
    return { kind: 'damaged' }
  }
  const headerBytes = bytes.readUInt16LE(10)
  if (headerBytes < FIXED_BYTES || headerBytes > bytes.length || headerBytes % 8 !== 0) {
    return { kind: 'damaged' }
  }
  const checked = Buffer.from(bytes.subarray(0, headerBytes))
  checked.writeUInt32LE(0, CRC_POSITION)
  if (crc32(checked) !== bytes.readUInt32LE(CRC_POSITION)) return { kind: 'damaged' }
  const version = bytes.readUInt16LE(8)
  if (version !== SegmentVersion.log && version !== SegmentVersion.cache) {
    return { kind: 'newer_version', version }
  }
  const topicStart = FIXED_BYTES + bytes.readUInt16LE(88)
  const topicEnd = topicStart + bytes.readUInt16LE(90)
  if (topicEnd > headerBytes) return { kind: 'damaged' }
  const predecessorUuid = new Uint8Array(checked.subarray(56, 72))
  const hasPredecessor = predecessorUuid.some((byte) => byte !== 0)
  const header: SegmentHeader = {
    version,
    uuid: new Uint8Array(checked.subarray(16, 32)),
    sequence: bytes.readBigUInt64LE(32),
    baseOffset: bytes.readBigUInt64LE(40),
    createdUnixMs: bytes.readBigUInt64LE(48),
    predecessor: hasPredecessor
      ? {
          uuid: predecessorUuid,
          nextOffset: bytes.readBigUInt64LE(72),
          lastCrc: bytes.readUInt32LE(80),
        }
      : undefined,
    identity: {
      logId: bytes.toString('utf8', FIXED_BYTES, topicStart),
      topic: bytes.toString('utf8', topicStart, topicEnd),
      partition: bytes.readUInt32LE(84),
    },
  }
  return { kind: 'valid', header, headerBytes }
}

export function isSameIdentity(a: SegmentIdentity, b: SegmentIdentity): boolean {
  return a.logId === b.logId && a.topic === b.topic && a.partition === b.partition
}

/** What starts the CRC of every frame of a segment: a frame of another segment or partition never fits. */
export function segmentSalt(uuid: Uint8Array, identity: SegmentIdentity): number {
  const names = `${identity.logId}\0${identity.topic}\0${identity.partition}`
  return crc32(names, crc32(uuid))
}

export function align8(bytes: number): number {
  return (bytes + 7) & ~7
}

function checkNames(logId: Uint8Array, topic: Uint8Array): void {
  if (logId.length <= NAME_BYTES_MAX && topic.length <= NAME_BYTES_MAX) return
  throw new AppError('invalid_config', 'log id or topic is too long', {
    details: { logIdBytes: logId.length, topicBytes: topic.length, bytesMax: NAME_BYTES_MAX },
  })
}
