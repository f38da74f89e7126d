/** What a damaged group proves about itself, and what recovery must not forget about it. */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'

import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'

import { FrameType, encodeFrames, frameBytes } from '../../src/wal/frame.ts'
import { encodeSegmentHeader, segmentFileName, segmentSalt } from '../../src/wal/segment-header.ts'
import { DIRECTORY, payloadOf, replay, walOptions } from './log-fixture.ts'

const identity = { logId: 'store-1', topic: 'default', partition: 0 }
const PAYLOAD_BYTES = 64

/** A disk with one segment of the given groups, in which the frame at `damaged` does not hold. */
function diskOf(
  groupSizes: readonly number[],
  damaged: bigint,
  payloadBytes = PAYLOAD_BYTES,
): FaultFileSystem {
  const uuid = new Uint8Array(16).fill(7)
  const baseOffset = 0n
  const header = {
    uuid,
    sequence: 0n,
    baseOffset,
    identity,
    createdUnixMs: 0n,
    predecessor: undefined,
  }
  let next = 0n
  const frames = groupSizes.flatMap((size) =>
    Array.from({ length: size }, (_, groupIndex) => {
      const firstOffset = next++
      const payload = payloadOf(Number(firstOffset), payloadBytes)
      return { type: FrameType.data, firstOffset, count: 1, groupIndex, payload }
    }),
  )
  const headerBytes = encodeSegmentHeader(header)
  const { buffers } = encodeFrames(frames, segmentSalt(uuid, identity))
  const bytes = Buffer.concat([headerBytes, ...buffers])
  // as if the sectors of this frame never reached the disk
  const start = headerBytes.length + Number(damaged) * frameBytes(payloadBytes)
  bytes.fill(0, start, start + frameBytes(payloadBytes))
  const fs = new FaultFileSystem()
  fs.place(join(DIRECTORY, segmentFileName(header)), bytes)
  return fs
}

test('a lost row of the last group was acknowledged to nobody', async () => {
  for (const groups of [[3], [2, 3], [1, 1, 4]]) {
    const rows = groups.reduce((sum, size) => sum + size, 0)
    const lost = BigInt(rows - 2)
    const { frames, holes, wal } = await replay(walOptions(diskOf(groups, lost)))
    assert.equal(frames.size, rows - 1)
    assert.deepEqual(holes, [{ start: lost, end: lost + 1n, reason: 'wal_unacknowledged' }])
    assert.equal(wal.nextOffset, BigInt(rows))
  }
})

test('a lost row of an earlier group was acknowledged, as the next group proves', async () => {
  for (const groups of [
    [3, 1],
    [3, 2],
    [3, 1, 1],
  ]) {
    const { holes } = await replay(walOptions(diskOf(groups, 1n)))
    assert.deepEqual(holes, [{ start: 1n, end: 2n, reason: 'wal_damaged' }])
  }
  // the proof lies several chunks behind the gap
  const { holes } = await replay(walOptions(diskOf([20, 1], 1n, 200_000)))
  assert.deepEqual(holes, [{ start: 1n, end: 2n, reason: 'wal_damaged' }])
})

test('a hole keeps its reason after rows were appended behind it', async () => {
  let fs = diskOf([2, 3], 3n)
  for (let life = 0; life < 4; life++) {
    const { wal, holes } = await replay(walOptions(fs))
    assert.deepEqual(holes, [{ start: 3n, end: 4n, reason: 'wal_unacknowledged' }])
    assert.equal(await wal.append(payloadOf(5 + life)), BigInt(5 + life))
    fs = fs.losePower(0)
  }
})

test('holes are durable before the first row behind them is written', async () => {
  const fs = diskOf([2, 3], 3n)
  const { wal } = await replay(walOptions(fs))
  fs.inject({ operation: 'datasync', delayMs: 30 })
  const appended = wal.append(payloadOf(5, 4000))
  await sleep(10)
  const newest = fs.paths().at(-1)!
  assert.ok(fs.contentOf(newest).length < 300)
  assert.equal(await appended, 5n)
  assert.ok(fs.contentOf(newest).length > 4000)
})

test('rows that recovery read from the page cache only are made durable before new ones', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs, { sync: 'none' }))
  await wal.append(payloadOf(0))
  // the process dies before any sync, the next one sees the row, then the power goes
  const killed = fs.killProcess()
  const second = await replay(walOptions(killed))
  assert.equal(second.frames.size, 1)
  await second.wal.append(payloadOf(1))
  const { frames, holes } = await replay(walOptions(killed.losePower(0)))
  assert.deepEqual([...frames.values()], [payloadOf(0), payloadOf(1)])
  assert.deepEqual(holes, [])
})

test('rows of a segment that can be read and not synced are written again', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs, { sync: 'none' }))
  await wal.append(payloadOf(0))
  const killed = fs.killProcess()
  killed.inject({ operation: 'datasync', code: 'EIO' })
  const unflushed = () => [{ offset: 0n, payload: payloadOf(0) }]
  const second = await replay(walOptions(killed, { unflushed }))
  await second.wal.append(payloadOf(1))
  const { frames, holes } = await replay(walOptions(killed.losePower(0)))
  assert.deepEqual([...frames.values()], [payloadOf(0), payloadOf(1)])
  assert.deepEqual(holes, [])
})
