/** A log that stands idle says so on disk: damage to what it acknowledged last is told from a torn write. */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'

import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { FRAME_HEADER_BYTES, frameBytes } from '../../src/wal/frame.ts'
import type { Wal, WalOptions } from '../../src/wal/wal.ts'
import { payloadOf, replay, walOptions } from './log-fixture.ts'

const IDLE_MS = 100
const ROWS = 6
const LAST_FRAME_BYTES = frameBytes(payloadOf(ROWS - 1).length)

interface Marked {
  readonly fs: FaultFileSystem
  readonly clock: VirtualClock
  readonly wal: Wal
}

async function openMarked(overrides: Partial<WalOptions> = {}): Promise<Marked> {
  const fs = new FaultFileSystem()
  const clock = new VirtualClock()
  const { wal } = await replay(walOptions(fs, { clock, markIdleMs: IDLE_MS, ...overrides }))
  return { fs, clock, wal }
}

async function appendRows(wal: Wal, rows = ROWS): Promise<void> {
  for (let number = 0; number < rows; number++) await wal.append(payloadOf(number))
}

function bytesOf(fs: FaultFileSystem): number {
  return fs.paths().reduce((sum, path) => sum + fs.contentOf(path).length, 0)
}

/** The only file of the disk, changed: what the next process finds. */
function changed(fs: FaultFileSystem, change: (file: Buffer) => Uint8Array): FaultFileSystem {
  const [path] = fs.paths()
  const disk = new FaultFileSystem()
  disk.place(path!, change(Buffer.from(fs.contentOf(path!))))
  return disk
}

test('any damage to the last group of an idle log is reported, and nothing else is lost', async () => {
  const { fs, clock, wal } = await openMarked()
  await appendRows(wal)
  await clock.advance(IDLE_MS)
  const lastStart = bytesOf(fs) - FRAME_HEADER_BYTES - LAST_FRAME_BYTES
  const rowEnd = lastStart + FRAME_HEADER_BYTES + payloadOf(ROWS - 1).length
  for (let at = lastStart; at < rowEnd; at++) {
    const flip = (file: Buffer): Buffer => {
      file[at]! ^= 1 << (at % 8)
      return file
    }
    const { holes, frames } = await replay(walOptions(changed(fs, flip)))
    const lost = BigInt(ROWS - 1)
    assert.deepEqual(holes, [{ start: lost, end: lost + 1n, reason: 'wal_damaged' }], `at ${at}`)
    assert.equal(frames.size, ROWS - 1)
  }
  const zeros = (file: Buffer): Buffer => file.fill(0, lastStart, rowEnd)
  assert.equal((await replay(walOptions(changed(fs, zeros)))).holes.length, 1)
})

test('damage before the mark is there looks like a torn write, and a damaged mark loses nothing', async () => {
  const { fs, clock, wal } = await openMarked()
  await appendRows(wal)
  await clock.advance(IDLE_MS - 1)
  const cut = changed(fs, (file) => file.subarray(0, file.length - 3))
  assert.deepEqual((await replay(walOptions(cut))).holes, [])
  await clock.advance(1)
  for (let back = 1; back <= FRAME_HEADER_BYTES; back++) {
    const flip = (file: Buffer): Buffer => {
      file[file.length - back]! ^= 4
      return file
    }
    const { holes, frames, wal: next } = await replay(walOptions(changed(fs, flip)))
    assert.deepEqual(holes, [])
    assert.equal(frames.size, ROWS)
    assert.equal(next.nextOffset, BigInt(ROWS))
  }
})

test('rows behind a mark come back, and what is torn behind it was acknowledged to nobody', async () => {
  const { fs, clock, wal } = await openMarked()
  for (let number = 0; number < ROWS; number++) {
    await wal.append(payloadOf(number))
    await clock.advance(IDLE_MS)
  }
  const { frames, holes } = await replay(walOptions(changed(fs, (file) => file)))
  assert.equal(frames.size, ROWS)
  assert.deepEqual(holes, [])
  const torn = changed(fs, (file) => file.subarray(0, file.length - FRAME_HEADER_BYTES - 8))
  const again = await replay(walOptions(torn))
  assert.equal(again.frames.size, ROWS - 1)
  assert.deepEqual(again.holes, [])
})

test('a log under load, without syncs or without anything new writes no mark', async () => {
  const busy = await openMarked()
  for (let number = 0; number < 20; number++) {
    await busy.wal.append(payloadOf(number))
    await busy.clock.advance(IDLE_MS / 2)
  }
  const plain = new FaultFileSystem()
  await appendRows((await replay(walOptions(plain))).wal, 20)
  assert.equal(bytesOf(busy.fs), bytesOf(plain))

  const unsynced = await openMarked({ sync: 'none' })
  await appendRows(unsynced.wal, 20)
  await unsynced.clock.advance(10 * IDLE_MS)
  assert.equal(bytesOf(unsynced.fs), bytesOf(plain))

  await busy.clock.advance(100 * IDLE_MS)
  assert.equal(bytesOf(busy.fs), bytesOf(plain) + FRAME_HEADER_BYTES, 'one mark, not a hundred')
})

test('a mark that fails harms nothing: a full disk is tried again later, a failed sync gives up the file', async () => {
  for (const [operation, code] of [
    ['write', 'ENOSPC'],
    ['write', 'EIO'],
    ['datasync', 'EIO'],
  ] as const) {
    const rows = new Map<bigint, Uint8Array>()
    const unflushed = (from: bigint) =>
      [...rows]
        .filter(([offset]) => offset >= from)
        .map(([offset, payload]) => ({ offset, payload }))
    const { fs, clock, wal } = await openMarked({ unflushed })
    const append = async (number: number): Promise<void> => {
      rows.set(await wal.append(payloadOf(number)), payloadOf(number))
    }
    for (let number = 0; number < ROWS; number++) await append(number)
    fs.inject({ operation, code })
    await clock.advance(IDLE_MS)
    assert.equal(wal.state, 'open')
    await append(ROWS)
    await clock.advance(IDLE_MS)
    const { frames, holes } = await replay(walOptions(fs.losePower(0)))
    assert.deepEqual(holes, [], `${operation} ${code}`)
    assert.equal(frames.size, ROWS + 1)
    for (const [offset, payload] of frames) assert.deepEqual(payload, payloadOf(Number(offset)))
  }
})
