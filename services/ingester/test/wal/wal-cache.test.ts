import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, it } from 'node:test'

import { systemClock } from '@tributary/common/clock'
import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import { SeededRandom } from '@tributary/common/testing/seeded-random'

import { FrameType, encodeFrames } from '../../src/wal/frame.ts'
import {
  SegmentVersion,
  decodeSegmentHeader,
  encodeSegmentHeader,
  segmentFileName,
  segmentSalt,
} from '../../src/wal/segment-header.ts'
import { WalCache, type CachedRecord, type WalCacheOptions } from '../../src/wal/wal-cache.ts'
import { DIRECTORY, payloadOf, replay, silentLogger, walOptions } from './log-fixture.ts'

const IDENTITY = { logId: 'kafka-1', topic: 'telemetry', partition: 3 }
const APPENDED_MS = 1_800_000_000_000

function cacheOptions(
  fs: FaultFileSystem,
  overrides: Partial<WalCacheOptions> = {},
): WalCacheOptions {
  const random = new SeededRandom(1)
  return {
    directory: DIRECTORY,
    fs,
    clock: systemClock,
    logger: silentLogger,
    randomBytes: (count) => random.bytes(count),
    segmentBytesMax: 4000,
    segmentIdentity: IDENTITY,
    ...overrides,
  }
}

function recordOf(number: number): CachedRecord {
  return {
    offset: BigInt(number),
    appendUnixMs: APPENDED_MS + number,
    payload: payloadOf(number, 200),
  }
}

function records(first: number, end: number): CachedRecord[] {
  return Array.from({ length: end - first }, (_, index) => recordOf(first + index))
}

/** Opens the cache and checks that what it gives is true and without a gap. */
async function open(
  fs: FaultFileSystem,
  start: number,
  overrides: Partial<WalCacheOptions> = {},
): Promise<{ cache: WalCache; end: number }> {
  let end = start
  const cache = await WalCache.open(cacheOptions(fs, overrides), BigInt(start), (record) => {
    assert.equal(record.payload.byteOffset % 8, 0)
    assert.deepEqual({ ...record, payload: Buffer.from(record.payload) }, recordOf(end))
    end++
    return true
  })
  return { cache, end }
}

/** 60 records in files of some 16 each, as a killed process leaves them. */
async function filled(): Promise<{ path: string; bytes: Uint8Array }[]> {
  const fs = new FaultFileSystem()
  const { cache } = await open(fs, 0)
  for (let first = 0; first < 60; first += 4) await cache.append(records(first, first + 4))
  return fs.paths().map((path) => ({ path, bytes: fs.contentOf(path).slice() }))
}

function placed(files: readonly { path: string; bytes: Uint8Array }[]): FaultFileSystem {
  const fs = new FaultFileSystem()
  for (const { path, bytes } of files) fs.place(path, bytes)
  return fs
}

describe('WalCache', () => {
  it('gives back what was written from any offset on, and goes on behind it', async () => {
    const files = await filled()
    assert.ok(files.length > 2)
    for (const start of [0, 1, 15, 16, 17, 59]) {
      const fs = placed(files)
      const first = await open(fs, start)
      assert.equal(first.end, 60)
      await first.cache.append(records(60, 70))
      const again = await open(fs, start)
      assert.equal(again.end, 70)
    }
  })

  it('forgets what lies below the chain, and all of it where the chain is past it', async () => {
    const fs = placed(await filled())
    const { cache } = await open(fs, 30)
    assert.ok(fs.paths().length < 4)
    await cache.append(records(60, 62))
    await cache.truncate(61n)
    const kept = await open(fs, 61)
    assert.equal(kept.end, 62)
    await kept.cache.truncate(62n)
    assert.equal(kept.cache.bytesOnDisk, 0)
    assert.deepEqual(fs.paths(), [])
    const past = placed(await filled())
    assert.equal((await open(past, 1000)).end, 1000)
    assert.deepEqual(past.paths(), [])
  })

  it('drops all of it where it begins behind the chain: the records between are not there', async () => {
    const files = await filled()
    const fs = placed(files.slice(1))
    assert.equal((await open(fs, 0)).end, 0)
    assert.deepEqual(fs.paths(), [])
  })

  it('keeps what lies before a file that is missing and drops what lies behind', async () => {
    const files = await filled()
    const fs = placed(files.filter((_, index) => index !== 1))
    const { cache, end } = await open(fs, 0)
    assert.ok(end > 0 && end < 60)
    assert.equal(fs.paths().length, 1)
    await cache.append(records(end, 80))
    assert.equal((await open(fs, 0)).end, 80)
  })

  it('never gives a wrong record, wherever a file is cut', async () => {
    const files = await filled()
    for (const [index, { path, bytes }] of files.entries()) {
      for (let length = 0; length < bytes.length; length += 7) {
        const fs = placed(files)
        fs.place(path, bytes.subarray(0, length))
        const { cache, end } = await open(fs, 0)
        assert.ok(end <= 60)
        if (index > 0) assert.ok(end > 0)
        await cache.append(records(end, 65))
        assert.equal((await open(fs, end)).end, 65)
      }
    }
  })

  it('never gives a wrong record, whichever bit is flipped', async () => {
    const files = await filled()
    const random = new SeededRandom(7)
    for (let round = 0; round < 800; round++) {
      const damaged = files.map(({ path, bytes }) => ({ path, bytes: bytes.slice() }))
      const file = random.pick(damaged)
      file.bytes[random.below(file.bytes.length)]! ^= 1 << random.below(8)
      const { end } = await open(placed(damaged), random.below(40))
      assert.ok(end <= 60)
    }
  })

  it('drops files of another partition and of a newer version instead of refusing to start', async () => {
    const files = await filled()
    const other = placed(files)
    const segmentIdentity = { ...IDENTITY, partition: 4 }
    const opened = await open(other, 0, { segmentIdentity })
    assert.equal(opened.end, 0)
    assert.deepEqual(other.paths(), [])
    await opened.cache.append(records(0, 5))
    assert.equal((await open(other, 0, { segmentIdentity })).end, 5)

    const newer = placed(files)
    const name = { sequence: 9n, baseOffset: 60n, uuid: new Uint8Array(16).fill(3) }
    const header = { ...name, identity: IDENTITY, createdUnixMs: 0n, predecessor: undefined }
    const bytes = encodeSegmentHeader({ ...header, version: 3 as SegmentVersion })
    newer.place(`${DIRECTORY}/${segmentFileName(name)}`, bytes)
    assert.equal((await open(newer, 0)).end, 0)
    assert.deepEqual(newer.paths(), [])
  })

  it('goes on after a full disk with the file that it had, and after a failed write with a new one', async () => {
    const fs = new FaultFileSystem()
    const { cache } = await open(fs, 0, { segmentBytesMax: 1_000_000 })
    await cache.append(records(0, 4))
    fs.inject({ operation: 'write', code: 'ENOSPC', partialBytes: 300 })
    await assert.rejects(cache.append(records(4, 8)), { code: 'log_full' })
    assert.equal(fs.paths().length, 1)
    await cache.append(records(4, 8))
    assert.equal((await open(fs, 0)).end, 8)
    fs.inject({ operation: 'write', code: 'EIO', partialBytes: 300 })
    await assert.rejects(cache.append(records(8, 12)), { code: 'log_unavailable' })
    assert.deepEqual(fs.paths(), [], 'what a file held whose write failed is fetched again')
    await cache.append(records(8, 12))
    assert.equal((await open(fs, 8)).end, 12)
  })

  it('is empty on a disk that can not be read, and never stops the partition', async () => {
    const fs = placed(await filled())
    fs.inject({ operation: 'open', code: 'EIO', times: Infinity })
    const { cache, end } = await open(fs, 0)
    assert.equal(end, 0)
    await assert.rejects(cache.append(records(0, 1)), { code: 'log_unavailable' })
    fs.clearFaults()
    await cache.append(records(0, 1))
    assert.equal((await open(fs, 0)).end, 1)
  })

  it('loses no more than is fetched again by a power loss', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const fs = new FaultFileSystem(seed)
      const { cache } = await open(fs, 0)
      for (let first = 0; first < 40; first += 5) await cache.append(records(first, first + 5))
      const after = fs.losePower()
      const again = await open(after, 0)
      await again.cache.append(records(again.end, 50))
      assert.equal((await open(after, again.end)).end, 50)
    }
  })

  it('writes files of version 2, and the log of version 1 is read as before', async () => {
    const [file] = await filled()
    const outcome = decodeSegmentHeader(file!.bytes)
    assert.ok(outcome.kind === 'valid')
    assert.equal(outcome.header.version, SegmentVersion.cache)
    const fs = new FaultFileSystem()
    const { wal } = await replay(walOptions(fs))
    await wal.append(payloadOf(0))
    await wal.close()
    const log = decodeSegmentHeader(fs.contentOf(fs.paths()[0]!))
    assert.ok(log.kind === 'valid')
    assert.equal(log.header.version, SegmentVersion.log)
    assert.equal((await replay(walOptions(fs))).frames.size, 1)
  })

  it('writes a record as docs/format/wal.md draws it', () => {
    const salt = segmentSalt(new Uint8Array(16), IDENTITY)
    const record = { type: FrameType.record, firstOffset: 0x0102n, appendUnixMs: 0x0304_0506_0708 }
    const payload = Buffer.from('row')
    const { buffers } = encodeFrames([{ ...record, count: 1, groupIndex: 0, payload }], salt)
    const bytes = Buffer.concat(buffers)
    assert.equal(
      bytes.subarray(0, 24).toString('hex'),
      '03000000' + '04000000' + '0201000000000000' + '0807060504030000',
    )
    assert.equal(bytes.subarray(32).toString('latin1'), 'row\0\0\0\0\0')
  })
})
