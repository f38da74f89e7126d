/** What can happen to whole segments: how many rows must survive, and which holes are told. */
import assert from 'node:assert/strict'
import { basename, join } from 'node:path'
import { test } from 'node:test'

import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'

import { FrameType, encodeFrames } from '../../src/wal/frame.ts'
import { encodeSegmentHeader, segmentFileName, segmentSalt } from '../../src/wal/segment-header.ts'
import type { WalOptions } from '../../src/wal/wal.ts'
import { DIRECTORY, payloadOf, replay, walOptions } from './log-fixture.ts'
import type { Replay } from './log-fixture.ts'

const ROWS_PER_SEGMENT = 10
const SEGMENTS = 5

interface Segment {
  path: string
  bytes: Uint8Array
}

/** Five segments of ten rows each: offsets 0-49, closed cleanly. */
async function makeSegments(overrides: Partial<WalOptions> = {}): Promise<Segment[]> {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs, { segmentBytesMax: 5500, ...overrides }))
  for (let number = 0; number < SEGMENTS * ROWS_PER_SEGMENT; number++) {
    await wal.append(payloadOf(number, 500))
  }
  await wal.close()
  const segments = fs.paths().map((path) => ({ path, bytes: fs.contentOf(path).slice() }))
  assert.equal(segments.length, SEGMENTS)
  return segments
}

async function recoverSegments(
  segments: readonly Segment[],
  startOffset = 0n,
): Promise<Replay & { fs: FaultFileSystem }> {
  const fs = new FaultFileSystem()
  for (const { path, bytes } of segments) fs.place(path, bytes)
  const again = await replay(walOptions(fs), startOffset)
  for (const [offset, payload] of again.frames) {
    assert.deepEqual(payload, payloadOf(Number(offset), 500))
  }
  return { ...again, fs }
}

const ALL = SEGMENTS * ROWS_PER_SEGMENT
const missing = (start: bigint, end: bigint) => [{ start, end, reason: 'wal_missing' }]

interface Damage {
  readonly name: string
  readonly damage: (segments: Segment[]) => Segment[] | Promise<Segment[]>
  readonly frames: number
  readonly holes: Replay['holes']
}

const DAMAGES: readonly Damage[] = [
  { name: 'nothing', damage: (segments) => segments, frames: ALL, holes: [] },
  {
    name: 'a missing segment',
    damage: (segments) => segments.filter((_, index) => index !== 2),
    frames: ALL - ROWS_PER_SEGMENT,
    holes: missing(20n, 30n),
  },
  {
    name: 'two missing segments in a row',
    damage: (segments) => segments.filter((_, index) => index !== 1 && index !== 2),
    frames: ALL - 2 * ROWS_PER_SEGMENT,
    holes: missing(10n, 30n),
  },
  {
    name: 'the first segment missing',
    damage: (segments) => segments.slice(1),
    frames: ALL - ROWS_PER_SEGMENT,
    holes: missing(0n, 10n),
  },
  {
    name: 'a segment cut in the middle of a row that its successor proves',
    damage: (segments) => replaceAt(segments, 1, (bytes) => bytes.subarray(0, bytes.length - 700)),
    frames: ALL - 2,
    holes: [{ start: 18n, end: 20n, reason: 'wal_damaged' }],
  },
  {
    name: 'an empty file in place of a segment',
    damage: (segments) => replaceAt(segments, 3, () => new Uint8Array()),
    frames: ALL - ROWS_PER_SEGMENT,
    holes: missing(30n, 40n),
  },
  {
    name: 'half a header in the last segment',
    damage: (segments) => replaceAt(segments, 4, (bytes) => bytes.subarray(0, 50)),
    frames: ALL - ROWS_PER_SEGMENT,
    holes: [],
  },
  {
    name: 'a header of zeros',
    damage: (segments) => replaceAt(segments, 2, (bytes) => bytes.fill(0, 0, 96)),
    frames: ALL,
    holes: [],
  },
  {
    name: 'two segments with their names swapped',
    damage: (segments) => {
      const [a, b] = [segments[1]!, segments[3]!]
      return [
        ...segments.filter((s) => s !== a && s !== b),
        { path: a.path, bytes: b.bytes },
        { path: b.path, bytes: a.bytes },
      ]
    },
    frames: ALL,
    holes: [],
  },
  {
    name: 'a segment there twice, under another name',
    damage: (segments) => [
      ...segments,
      { path: segments[4]!.path.replace('0000000004', '0000000009'), bytes: segments[1]!.bytes },
    ],
    frames: ALL,
    holes: [],
  },
  {
    name: 'an old segment put back in the place of a newer one',
    damage: (segments) => replaceAt(segments, 3, () => segments[0]!.bytes),
    frames: ALL - ROWS_PER_SEGMENT,
    holes: missing(30n, 40n),
  },
  {
    name: 'an old segment behind the end of a newer one, as in a recycled file',
    damage: (segments) =>
      replaceAt(segments, 2, (bytes) => Buffer.concat([bytes, segments[0]!.bytes])),
    frames: ALL,
    holes: [],
  },
  {
    name: 'the segment of another partition among ours',
    damage: async (segments) => {
      const foreign = await makeSegments({
        segmentIdentity: { logId: 'store-1', topic: 'default', partition: 1 },
      })
      return [...segments.filter((_, index) => index !== 2), foreign[2]!]
    },
    frames: ALL - ROWS_PER_SEGMENT,
    holes: missing(20n, 30n),
  },
  {
    name: 'the segment of another partition with a damaged header',
    damage: async (segments) => {
      const foreign = await makeSegments({
        segmentIdentity: { logId: 'store-1', topic: 'default', partition: 1 },
      })
      foreign[2]!.bytes.fill(0, 0, 16)
      return [...segments.filter((_, index) => index !== 2), foreign[2]!]
    },
    frames: ALL - ROWS_PER_SEGMENT,
    holes: [{ start: 20n, end: 30n, reason: 'wal_damaged' }],
  },
  {
    name: 'the same log of another store',
    damage: async (segments) => {
      const foreign = await makeSegments({
        segmentIdentity: { logId: 'store-2', topic: 'default', partition: 0 },
      })
      return [...segments.slice(0, 4), foreign[4]!]
    },
    frames: ALL - ROWS_PER_SEGMENT,
    holes: [],
  },
  {
    name: 'a folder full of other files',
    damage: (segments) => [
      ...segments,
      { path: join(DIRECTORY, 'notes.txt'), bytes: Buffer.from('x') },
      { path: `${segments[0]!.path}.100-200.broken`, bytes: Buffer.from('y') },
    ],
    frames: ALL,
    holes: [],
  },
]

function replaceAt(
  segments: readonly Segment[],
  index: number,
  change: (bytes: Uint8Array) => Uint8Array,
): Segment[] {
  return segments.map(({ path, bytes }, at) => ({
    path,
    bytes: at === index ? change(bytes) : bytes,
  }))
}

for (const { name, damage, frames, holes } of DAMAGES) {
  test(`recovery of ${name} keeps ${frames} of ${ALL} rows, and says the same twice`, async () => {
    const segments = await damage(await makeSegments())
    const again = await recoverSegments(segments)
    assert.equal(again.frames.size, frames)
    assert.deepEqual(again.holes, holes)
    // a row appended now gets an offset that none of the known ones had
    const next = again.wal.nextOffset
    assert.equal(await again.wal.append(payloadOf(Number(next), 500)), next)
    const third = await replay(walOptions(again.fs.losePower(0)))
    assert.deepEqual(third.holes, holes)
    assert.equal(third.frames.size, frames + 1)
    assert.equal(third.wal.nextOffset, next + 1n)
  })
}

test('damage below the end of the chain is nobody’s business', async () => {
  const segments = replaceAt(await makeSegments(), 1, (bytes) => bytes.fill(1, 300, 900))
  const again = await recoverSegments(segments, 20n)
  assert.deepEqual(again.holes, [])
  assert.equal(again.frames.size, 30)
})

test('a log of a newer version is not opened, and stays as it is', async () => {
  const [segment] = await makeSegments()
  const bytes = segment!.bytes.slice()
  const header = Buffer.from(bytes.subarray(0, new DataView(bytes.buffer).getUint16(10, true)))
  header.writeUInt16LE(2, 8)
  header.writeUInt32LE(0, 12)
  const { crc32 } = await import('node:zlib')
  header.writeUInt32LE(crc32(header), 12)
  bytes.set(header)
  await assert.rejects(recoverSegments([{ path: segment!.path, bytes }]), { code: 'wal_damaged' })
})

test('of two segments with the same offset the newer one is right', async () => {
  // a rejected group whose remains could not be cut off, and what was acknowledged at its offsets
  const identity = { logId: 'store-1', topic: 'default', partition: 0 }
  const makeSegment = (sequence: bigint, payloads: readonly Uint8Array[]): Segment => {
    const uuid = new Uint8Array(16).fill(Number(sequence) + 1)
    const header = {
      uuid,
      sequence,
      baseOffset: 0n,
      identity,
      createdUnixMs: 0n,
      predecessor: undefined,
    }
    const frames = payloads.map((payload, index) => ({
      type: FrameType.data,
      firstOffset: BigInt(index),
      count: 1,
      groupIndex: 0,
      payload,
    }))
    const { buffers } = encodeFrames(frames, segmentSalt(uuid, identity))
    const bytes = Buffer.concat([encodeSegmentHeader(header), ...buffers])
    return { path: join(DIRECTORY, segmentFileName(header)), bytes }
  }
  const fs = new FaultFileSystem()
  const [a, b, c, d] = [0, 1, 2, 3].map((number) => payloadOf(number, 64))
  for (const { path, bytes } of [makeSegment(0n, [a!, b!, c!]), makeSegment(1n, [a!, d!])]) {
    fs.place(path, bytes)
  }
  const { frames, holes } = await replay(walOptions(fs))
  assert.deepEqual([...frames.values()], [a, d, c])
  assert.deepEqual(holes, [])
})

test('the rest of a group that a full disk refused never comes before rows appended later', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs))
  await wal.append(payloadOf(0, 500))
  // two of three rows reach the file whole
  fs.inject({ operation: 'write', code: 'ENOSPC', partialBytes: 1200 })
  const refused = await Promise.allSettled(
    [1, 2, 3].map((number) => wal.append(payloadOf(number, 500))),
  )
  assert.ok(refused.every(({ status }) => status === 'rejected'))
  await wal.truncate(0n)
  assert.equal(await wal.append(payloadOf(4, 20)), 1n)
  const { frames } = await replay(walOptions(fs.killProcess()))
  assert.deepEqual([...frames.values()], [payloadOf(0, 500), payloadOf(4, 20)])
  assert.ok(fs.paths().every((path) => basename(path).endsWith('.wal')))
})
