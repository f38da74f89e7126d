/**
 * The sidecar of a commit: the hashes of the chunks that it stored and when each was appended, from
 * which the next owner of the partition loads its window of repeats. Little-endian (the same in
 * docs/format/commit.md):
 *
 *   0            8         10      12      16      24      32          36           42   44
 *   | "TRBHASH1" | version | 24    | count | start | end   | partition | log tag    | 0  | CRC-32 |
 *   | 8 B        | u16     | u16   | u32   | u64   | u64   | u32       | 6 B        | u16| u32    |
 *   48: count x ( hash 16 B | appended at u64, milliseconds since 1970 )
 *
 * The CRC-32 covers all bytes but its own.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'

import type { ObjectStore } from '../object-store/object-store.ts'
import type { OffsetRange, PartitionId } from '../paths.ts'
import type { CommitRecord } from './commit-record.ts'
import { AppError } from '../errors.ts'
import { OFFSET_MAX, logTag } from '../paths.ts'

const MAGIC = Buffer.from('TRBHASH1')
const VERSION = 1
const HEADER_BYTES = 48
const HASH_BYTES = 16
const ENTRY_BYTES = HASH_BYTES + 8
const LOG_TAG_OFFSET = 36
const CRC_OFFSET = 44
/** A full memtable of 64 MiB in chunks of 40 B of OTLP, the smallest that holds an item. */
export const SIDECAR_CHUNKS_MAX = 1_600_000
export const SIDECAR_BYTES_MAX = HEADER_BYTES + SIDECAR_CHUNKS_MAX * ENTRY_BYTES

export interface SidecarChunk {
  /** 16 bytes. */
  readonly hash: Uint8Array
  /** When the envelope of the chunk was appended, milliseconds since 1970. */
  readonly appendUnixMs: number
}

/** Chunks that were appended together. */
export interface SidecarGroup {
  /** 16 bytes each, one behind the other. */
  readonly hashes: Uint8Array
  readonly appendUnixMs: number
}

export interface Sidecar extends OffsetRange {
  readonly partition: number
  /** `logTag` of paths.ts. */
  readonly logTag: string
  /** In the order of the log; the hashes are views of the bytes that were read. */
  readonly chunks: readonly SidecarChunk[]
}

/**
 * The bytes of the sidecar of the commit of `range`.
 * @throws AppError encode_failed above SIDECAR_CHUNKS_MAX chunks
 */
export function serializeSidecar(
  id: PartitionId,
  range: OffsetRange,
  groups: readonly SidecarGroup[],
): Uint8Array {
  const count = groups.reduce((sum, { hashes }) => sum + hashes.length, 0) / HASH_BYTES
  if (count > SIDECAR_CHUNKS_MAX) {
    throw new AppError('encode_failed', 'too many chunks for one commit', { details: { count } })
  }
  const bytes = Buffer.alloc(HEADER_BYTES + count * ENTRY_BYTES)
  MAGIC.copy(bytes)
  bytes.writeUInt16LE(VERSION, 8)
  bytes.writeUInt16LE(ENTRY_BYTES, 10)
  bytes.writeUInt32LE(count, 12)
  bytes.writeBigUInt64LE(range.start, 16)
  bytes.writeBigUInt64LE(range.end, 24)
  bytes.writeUInt32LE(id.partition, 32)
  bytes.write(logTag(id), LOG_TAG_OFFSET, 'hex')
  let offset = HEADER_BYTES
  for (const { hashes, appendUnixMs } of groups) {
    assert.equal(hashes.length % HASH_BYTES, 0, 'a chunk hash has 16 bytes')
    const appended = BigInt(Math.trunc(appendUnixMs))
    for (let at = 0; at < hashes.length; at += HASH_BYTES) {
      for (let byte = 0; byte < HASH_BYTES; byte++) bytes[offset + byte] = hashes[at + byte]!
      bytes.writeBigUInt64LE(appended, offset + HASH_BYTES)
      offset += ENTRY_BYTES
    }
  }
  bytes.writeUInt32LE(checksum(bytes), CRC_OFFSET)
  return bytes
}

/**
 * @param key what the bytes are called in errors
 * @throws AppError commit_damaged
 */
export function parseSidecar(bytes: Uint8Array, key?: string): Sidecar {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.length < HEADER_BYTES || !view.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw damaged('has no header', key)
  }
  if (view.readUInt16LE(8) !== VERSION || view.readUInt16LE(10) !== ENTRY_BYTES) {
    throw damaged('has an unknown version', key)
  }
  const count = view.readUInt32LE(12)
  if (view.length !== HEADER_BYTES + count * ENTRY_BYTES) throw damaged('has another length', key)
  if (view.readUInt32LE(CRC_OFFSET) !== checksum(view)) throw damaged('has another checksum', key)
  const start = view.readBigUInt64LE(16)
  const end = view.readBigUInt64LE(24)
  if (start >= end || end > OFFSET_MAX) throw damaged('has no offset range', key)
  const chunks = Array.from({ length: count }, (_chunk, index): SidecarChunk => {
    const offset = HEADER_BYTES + index * ENTRY_BYTES
    return {
      hash: view.subarray(offset, offset + HASH_BYTES),
      appendUnixMs: Number(view.readBigUInt64LE(offset + HASH_BYTES)),
    }
  })
  const tag = view.toString('hex', LOG_TAG_OFFSET, LOG_TAG_OFFSET + 6)
  return { start, end, partition: view.readUInt32LE(32), logTag: tag, chunks }
}

/**
 * Reads the sidecar of a commit.
 * @throws AppError object_missing; commit_damaged, also where it belongs to another commit
 */
export async function readSidecar(
  store: ObjectStore,
  record: Pick<CommitRecord, 'hashes' | 'start' | 'end' | keyof PartitionId>,
): Promise<readonly SidecarChunk[]> {
  if (record.hashes === null) return []
  const bytes = await store.get(record.hashes, { bytesMax: SIDECAR_BYTES_MAX })
  const key = record.hashes
  const sidecar = parseSidecar(bytes, key)
  const isOwn =
    String(sidecar.start) === record.start &&
    String(sidecar.end) === record.end &&
    sidecar.partition === record.partition &&
    sidecar.logTag === logTag(record)
  if (!isOwn) throw damaged('belongs to another commit', key)
  return sidecar.chunks
}

function checksum(bytes: Uint8Array): number {
  return crc32(bytes.subarray(CRC_OFFSET + 4), crc32(bytes.subarray(0, CRC_OFFSET)))
}

function damaged(problem: string, key: string | undefined): AppError {
  return new AppError('commit_damaged', `sidecar of chunk hashes ${problem}`, { details: { key } })
}
