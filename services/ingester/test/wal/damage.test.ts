/**
 * Every truncation and every bit flip of a 64 KiB log, in memory. WAL_EXHAUSTIVE=1 takes each one;
 * the short form takes every bit of the structures and a sample of the payload bits.
 */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'

import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'

import { FRAME_HEADER_BYTES, frameBytes } from '../../src/wal/frame.ts'
import { DIRECTORY, payloadOf, replay, walOptions } from './log-fixture.ts'
import type { Replay } from './log-fixture.ts'

const LOG_BYTES = 64 * 1024
const isExhaustive = process.env['WAL_EXHAUSTIVE'] === '1'

interface Log {
  readonly path: string
  readonly bytes: Uint8Array
  /** Of each frame, by offset: where it begins and ends; the end mark is the last. */
  readonly spans: { start: number; end: number; payloadEnd: number }[]
  readonly frameCount: number
}

/** One segment of 64 KiB, closed cleanly, of frames of 4 bytes to 8 KiB. */
async function makeLog(): Promise<Log> {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs))
  const spans: Log['spans'] = []
  let at = 0
  let number = 0
  for (; at < LOG_BYTES - 9000; number++) {
    const payload = payloadFor(number)
    await wal.append(payload)
    if (at === 0) at = wal.bytesOnDisk - frameBytes(payload.length)
    const payloadEnd = at + FRAME_HEADER_BYTES + payload.length
    spans.push({ start: at, end: at + frameBytes(payload.length), payloadEnd })
    at += frameBytes(payload.length)
  }
  await wal.close()
  const path = fs.paths()[0]!
  const bytes = fs.contentOf(path).slice()
  spans.push({ start: at, end: bytes.length, payloadEnd: bytes.length })
  return { path, bytes, spans, frameCount: number }
}

const payloads: Buffer[] = []

function payloadFor(number: number): Buffer {
  return (payloads[number] ??= payloadOf(number, number % 9 === 8 ? 8000 : undefined))
}

async function recoverBytes(log: Log, bytes: Uint8Array): Promise<Replay> {
  const fs = new FaultFileSystem()
  fs.place(log.path, bytes)
  return await replay(walOptions(fs))
}

function checkFrames(log: Log, again: Replay, lost: (offset: number) => boolean): void {
  for (let offset = 0; offset < log.frameCount; offset++) {
    const payload = again.frames.get(BigInt(offset))
    if (lost(offset)) assert.equal(payload, undefined, `frame ${offset} should be lost`)
    else assert.ok(payload?.equals(payloadFor(offset)), `frame ${offset} is not kept`)
  }
}

test('a log cut at any byte keeps every whole frame and nothing else', async () => {
  const log = await makeLog()
  const boundaries = new Set(log.spans.flatMap(({ start, end }) => [start, end]))
  for (let size = 0; size <= log.bytes.length; size++) {
    const isNearBoundary = [-2, -1, 0, 1, 2, 31, 32, 33].some((near) => boundaries.has(size - near))
    if (!isExhaustive && !isNearBoundary && size % 61 !== 0 && size > 200) continue
    const again = await recoverBytes(log, log.bytes.subarray(0, size))
    checkFrames(log, again, (offset) => log.spans[offset]!.payloadEnd > size)
    // what is behind the cut is a torn tail, as far as anybody can tell
    assert.deepEqual(again.holes, [], `cut at ${size}`)
    assert.equal(again.wal.nextOffset, BigInt(again.frames.size))
  }
})

test('a flip of any bit loses at most its own frame, and says so', async () => {
  const log = await makeLog()
  const bytes = log.bytes.slice()
  for (let position = 0; position < bytes.length; position++) {
    const index = log.spans.findIndex(({ start, end }) => start <= position && position < end)
    const span = log.spans[index]
    const isPayload = span !== undefined && position >= span.start + FRAME_HEADER_BYTES
    for (let bit = 0; bit < 8; bit++) {
      const stride = isPayload ? 499 : index > 12 && index < log.frameCount ? 11 : 1
      if (!isExhaustive && (position * 8 + bit) % stride !== 0) continue
      bytes[position]! ^= 1 << bit
      const again = await recoverBytes(log, bytes)
      bytes[position]! ^= 1 << bit
      const isLost = span !== undefined && index < log.frameCount && position < span.payloadEnd
      checkFrames(log, again, (offset) => isLost && offset === index)
      const hole = { start: BigInt(index), end: BigInt(index + 1), reason: 'wal_damaged' }
      assert.deepEqual(again.holes, isLost ? [hole] : [], `byte ${position} bit ${bit}`)
      assert.equal(again.wal.nextOffset, BigInt(log.frameCount))
    }
  }
})

test('zeroed sectors lose the frames that they touch, and no other', async () => {
  const log = await makeLog()
  for (let sector = 0; sector < log.bytes.length; sector += 512) {
    const bytes = log.bytes.slice()
    bytes.fill(0, sector, sector + 512)
    const again = await recoverBytes(log, bytes)
    const isChanged = (start: number, end: number) =>
      Buffer.compare(log.bytes.subarray(start, end), bytes.subarray(start, end)) !== 0
    const isLost = (offset: number) => {
      const { start, payloadEnd } = log.spans[offset]!
      return isChanged(start, payloadEnd)
    }
    checkFrames(log, again, isLost)
    const endMark = log.spans.at(-1)!
    const isTailGone = isChanged(endMark.start, endMark.end)
    const holeOffsets = again.holes.reduce((sum, { start, end }) => sum + Number(end - start), 0)
    // with the end mark goes the proof that the frames just before it were ever acknowledged
    const known = isTailGone ? Number(again.wal.nextOffset) : log.frameCount
    assert.equal(holeOffsets, known - again.frames.size, `sector at ${sector}`)
    assert.ok(again.holes.every(({ reason }) => reason === 'wal_damaged'))
  }
})

test('a garbage tail is cut off and hides nothing', async () => {
  const log = await makeLog()
  for (const garbageBytes of [1, 7, 8, 31, 32, 33, 4096, 100_000]) {
    const garbage = Buffer.alloc(garbageBytes, 0xa5)
    garbage.writeUInt8(1, Math.min(4, garbageBytes - 1))
    const again = await recoverBytes(log, Buffer.concat([log.bytes, garbage]))
    checkFrames(log, again, () => false)
    assert.deepEqual(again.holes, [])
  }
})

test('the damaged range is kept aside once, however often recovery runs', async () => {
  const log = await makeLog()
  const bytes = log.bytes.slice()
  const { start, end } = log.spans[5]!
  bytes[start + 40]! ^= 1
  const fs = new FaultFileSystem()
  fs.place(log.path, bytes)
  for (let run = 0; run < 3; run++) {
    const again = await replay(walOptions(fs))
    assert.deepEqual(again.holes, [{ start: 5n, end: 6n, reason: 'wal_damaged' }])
    const broken = fs.paths().filter((path) => path.endsWith('.broken'))
    assert.deepEqual(broken, [`${log.path}.${start}-${end}.broken`])
    assert.deepEqual(fs.contentOf(broken[0]!), bytes.subarray(start, end))
  }
  assert.ok(fs.paths().every((path) => path.startsWith(DIRECTORY)))
})
