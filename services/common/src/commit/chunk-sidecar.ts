/**
 * The sidecar of a commit: the hashes of the chunks that it stored and when each was appended, from
 * which the next owner of the partition loads its window of repeats. Little-endian:
 *
 *   0        8      10     12      16      24      32     36      40
 *   +--------+------+------+-------+-------+-------+------+-------+----------------------------+
 *   | "TRBHASH1" | ver | 24 | count | start | end  | CRC  | 0     | count x (hash 16 | time 8)  |
 *   +--------+------+------+-------+-------+-------+------+-------+----------------------------+
 *      8 B    u16    u16    u32     u64     u64     u32    u32      time: milliseconds since 1970
 *
 * The CRC-32 covers everything but itself. docs/format/commit.md says the same.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

import type { ObjectStore } from '../object-store/object-store.ts'
import type { OffsetRange, PartitionId } from '../paths.ts'
import { AppError } from '../errors.ts'
import { OFFSET_MAX, hashesKey } from '../paths.ts'

const MAGIC = Buffer.from('TRBHASH1')
const VERSION = 1
const HEADER_BYTES = 40
const HASH_BYTES = 16
const ENTRY_BYTES = HASH_BYTES + 8
const CRC_OFFSET = 32
/** A full memtable of 64 MiB in chunks of 40 B of OTLP, the smallest that holds an item. */
export const SIDECAR_CHUNKS_MAX = 1_600_000
export const SIDECAR_BYTES_MAX = HEADER_BYTES + SIDECAR_CHUNKS_MAX * ENTRY_BYTES

export interface ChunkSidecar extends OffsetRange {
  /** 16 bytes per chunk, in the order of the log. */
  readonly hashes: Uint8Array
  /** When the envelope of each chunk was appended, milliseconds since 1970. */
  readonly appendUnixMs: Float64Array
}

export function encodeChunkSidecar(sidecar: ChunkSidecar): Uint8Array {
  const count = sidecar.appendUnixMs.length
  assert.equal(sidecar.hashes.length, count * HASH_BYTES, 'a hash for every chunk')
  if (count > SIDECAR_CHUNKS_MAX) {
    throw new AppError('encode_failed', 'too many chunks for one commit', { details: { count } })
  }
  const bytes = Buffer.alloc(HEADER_BYTES + count * ENTRY_BYTES)
  MAGIC.copy(bytes)
  bytes.writeUInt16LE(VERSION, 8)
  bytes.writeUInt16LE(ENTRY_BYTES, 10)
  bytes.writeUInt32LE(count, 12)
  bytes.writeBigUInt64LE(sidecar.start, 16)
  bytes.writeBigUInt64LE(sidecar.end, 24)
  for (let index = 0; index < count; index++) {
    const offset = HEADER_BYTES + index * ENTRY_BYTES
    bytes.set(sidecar.hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES), offset)
    bytes.writeBigUInt64LE(BigInt(Math.trunc(sidecar.appendUnixMs[index]!)), offset + HASH_BYTES)
  }
  bytes.writeUInt32LE(checksum(bytes), CRC_OFFSET)
  return bytes
}

/** @throws AppError commit_damaged */
export function decodeChunkSidecar(bytes: Uint8Array): ChunkSidecar {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.length < HEADER_BYTES || !view.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw damaged('has no header')
  }
  if (view.readUInt16LE(8) !== VERSION || view.readUInt16LE(10) !== ENTRY_BYTES) {
    throw damaged('has an unknown version')
  }
  const count = view.readUInt32LE(12)
  if (view.length !== HEADER_BYTES + count * ENTRY_BYTES) throw damaged('has another length')
  if (view.readUInt32LE(CRC_OFFSET) !== checksum(view)) throw damaged('has another checksum')
  const start = view.readBigUInt64LE(16)
  const end = view.readBigUInt64LE(24)
  if (start >= end || end > OFFSET_MAX) throw damaged('has no offset range')
  const hashes = new Uint8Array(count * HASH_BYTES)
  const appendUnixMs = new Float64Array(count)
  for (let index = 0; index < count; index++) {
    const offset = HEADER_BYTES + index * ENTRY_BYTES
    hashes.set(view.subarray(offset, offset + HASH_BYTES), index * HASH_BYTES)
    appendUnixMs[index] = Number(view.readBigUInt64LE(offset + HASH_BYTES))
  }
  return { start, end, hashes, appendUnixMs }
}

/** Stores a sidecar, before its commit; answers its key. The same sidecar has the same key. */
export async function putChunkSidecar(
  store: ObjectStore,
  id: PartitionId,
  sidecar: ChunkSidecar,
): Promise<string> {
  const bytes = encodeChunkSidecar(sidecar)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const key = hashesKey(id, sidecar, sha256)
  await store.put(key, bytes, { sha256, contentType: 'application/octet-stream' })
  return key
}

/** @throws AppError object_missing, commit_damaged */
export async function getChunkSidecar(store: ObjectStore, key: string): Promise<ChunkSidecar> {
  return decodeChunkSidecar(await store.get(key, { bytesMax: SIDECAR_BYTES_MAX }))
}

function checksum(bytes: Uint8Array): number {
  return crc32(bytes.subarray(CRC_OFFSET + 4), crc32(bytes.subarray(0, CRC_OFFSET)))
}

function damaged(problem: string): AppError {
  return new AppError('commit_damaged', `sidecar of chunk hashes ${problem}`)
}
