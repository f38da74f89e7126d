import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { nodeFileSystem } from '@tributary/common/file-system'
import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'

import { DIRECTORY, payloadOf, replay, walOptions } from './log-fixture.ts'

test('appends get ascending offsets from the end of the chain and come back after a restart', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs), 7n)
  assert.equal(wal.nextOffset, 7n)
  const offsets = await Promise.all([0, 1, 2, 3].map((number) => wal.append(payloadOf(number))))
  assert.deepEqual(offsets, [7n, 8n, 9n, 10n])
  await wal.close()
  const again = await replay(walOptions(fs), 7n)
  assert.deepEqual([...again.frames.keys()], offsets)
  offsets.forEach((offset, number) => {
    assert.deepEqual(again.frames.get(offset), payloadOf(number))
  })
  assert.deepEqual(again.holes, [])
  assert.equal(again.wal.nextOffset, 11n)
})

test('appends that wait together share one fdatasync, with sync always each has its own', async () => {
  for (const [sync, expected] of [
    ['group', 1],
    ['always', 50],
    ['none', 0],
  ] as const) {
    const fs = new FaultFileSystem()
    const { wal } = await replay(walOptions(fs, { sync }))
    await Promise.all(Array.from({ length: 50 }, (_, number) => wal.append(payloadOf(number))))
    assert.equal(fs.calls.get('datasync') ?? 0, expected)
    await wal.close()
    assert.equal((await replay(walOptions(fs))).frames.size, 50)
  }
})

test('a killed process loses nothing that was acknowledged', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs))
  for (let number = 0; number < 10; number++) await wal.append(payloadOf(number))
  const again = await replay(walOptions(fs.losePower(0)))
  assert.equal(again.frames.size, 10)
  assert.deepEqual(again.holes, [])
  assert.equal(await again.wal.append(payloadOf(10)), 10n)
})

test('frames below the end of the chain are dropped and their segments unlinked', async () => {
  const fs = new FaultFileSystem()
  const options = walOptions(fs, { segmentBytesMax: 2000 })
  const { wal } = await replay(options)
  for (let number = 0; number < 50; number++) await wal.append(payloadOf(number))
  const before = fs.paths().length
  assert.ok(before > 4)
  const again = await replay(options, 40n)
  assert.deepEqual([...again.frames.keys()][0], 40n)
  assert.equal(again.frames.size, 10)
  assert.ok(fs.paths().length < before)
  assert.deepEqual(again.holes, [])
})

test('truncation unlinks whole segments, also the active one, and survives a power loss', async () => {
  const fs = new FaultFileSystem()
  const options = walOptions(fs, { segmentBytesMax: 2000 })
  const { wal } = await replay(options)
  for (let number = 0; number < 50; number++) await wal.append(payloadOf(number))
  const before = fs.paths().length
  await wal.truncate(25n)
  const rebooted = fs.losePower(0)
  assert.ok(fs.paths().length < before)
  assert.deepEqual(rebooted.paths(), fs.paths())
  const again = await replay({ ...options, fs: rebooted }, 25n)
  assert.equal(again.frames.size, 25)
  await again.wal.append(payloadOf(50))
  await again.wal.truncate(51n)
  assert.deepEqual(rebooted.paths(), [])
  assert.equal(again.wal.bytesOnDisk, 0)
  assert.equal(await again.wal.append(payloadOf(51)), 51n)
  const third = await replay({ ...options, fs: rebooted }, 51n)
  assert.deepEqual([...third.frames.keys()], [51n])
  assert.deepEqual(third.holes, [])
})

test('large and small payloads come back from a real disk, 8-byte aligned', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-wal-'))
  try {
    const options = walOptions(nodeFileSystem, { directory, segmentBytesMax: 8 * 1024 * 1024 })
    const { wal } = await replay(options)
    const sizes = [1, 7, 8, 9, 16_384, 16_385, 157_000, 600_001, 1_100_003, 5_000_001, 12_000_000]
    for (const [number, size] of sizes.entries()) {
      await Promise.all([
        wal.append(payloadOf(number, Math.max(4, size))),
        wal.append(payloadOf(100 + number)),
      ])
    }
    await wal.close()
    const again = await replay(options)
    for (const [number, size] of sizes.entries()) {
      const large = again.frames.get(BigInt(2 * number))
      assert.ok(large?.equals(payloadOf(number, Math.max(4, size))))
      assert.deepEqual(again.frames.get(BigInt(2 * number + 1)), payloadOf(100 + number))
    }
    assert.deepEqual(again.holes, [])
    await again.wal.close()
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('thousands of payloads in shared memory go through one group of writes', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-wal-'))
  try {
    const options = walOptions(nodeFileSystem, { directory, groupBytesMax: 64 * 1024 * 1024 })
    const { wal } = await replay(options)
    // each is an iovec of its own, and the kernel takes 1,024 at a time
    const payloads = Array.from({ length: 1500 }, (_, number) => {
      const shared = new Uint8Array(new SharedArrayBuffer(16_500))
      shared.set(payloadOf(number, 16_500))
      return shared
    })
    await Promise.all(payloads.map((payload) => wal.append(payload)))
    const { frames, wal: again } = await replay(options)
    assert.equal(frames.size, payloads.length)
    payloads.forEach((payload, number) => {
      assert.ok(frames.get(BigInt(number))?.equals(payload))
    })
    await Promise.all([wal.close(), again.close()])
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('the log refuses to open a folder that belongs to another partition', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs))
  await wal.append(payloadOf(0))
  await wal.close()
  const segmentIdentity = { logId: 'store-1', topic: 'default', partition: 1 }
  await assert.rejects(replay(walOptions(fs, { segmentIdentity })), { code: 'wal_damaged' })
  assert.equal(fs.paths().length, 1)
  assert.ok(fs.paths()[0]?.startsWith(DIRECTORY))
})
