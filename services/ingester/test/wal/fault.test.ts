import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'

import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'

import type { WalState } from '../../src/wal/wal.ts'
import { payloadOf, replay, walOptions } from './log-fixture.ts'

/** A memtable: what was acknowledged and not yet truncated. */
function memtable() {
  const rows = new Map<bigint, Uint8Array>()
  return {
    rows,
    unflushed: (from: bigint) =>
      [...rows]
        .filter(([offset]) => offset >= from)
        .map(([offset, payload]) => ({ offset, payload })),
  }
}

test('a failed fdatasync is not retried: unflushed rows move to a new file, then the append is acknowledged', async () => {
  for (const chance of [0, 0.5, 1]) {
    const fs = new FaultFileSystem()
    const { rows, unflushed } = memtable()
    const { wal } = await replay(walOptions(fs, { unflushed }))
    for (let number = 0; number < 5; number++) {
      rows.set(await wal.append(payloadOf(number)), payloadOf(number))
    }
    const [abandoned] = fs.paths()
    fs.inject({ operation: 'datasync', code: 'EIO' })
    assert.equal(await wal.append(payloadOf(5)), 5n)
    assert.equal(fs.paths().length, 1)
    assert.notEqual(fs.paths()[0], abandoned)
    const again = await replay(walOptions(fs.losePower(chance)))
    assert.deepEqual([...again.frames.keys()], [0n, 1n, 2n, 3n, 4n, 5n])
    for (let number = 0; number < 6; number++) {
      assert.deepEqual(again.frames.get(BigInt(number)), payloadOf(number))
    }
    assert.deepEqual(again.holes, [])
  }
})

test('what a process could not sync before it was killed is durable once the next one has opened it', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs))
  assert.equal(await wal.append(payloadOf(0)), 0n)
  fs.inject({ operation: 'datasync', code: 'ENOSPC', times: Infinity })
  await assert.rejects(wal.append(payloadOf(1)), { code: 'log_full' })
  // its pages count as clean: another sync of the same file succeeds without them
  const restarted = fs.killProcess()
  const next = await replay(walOptions(restarted))
  assert.deepEqual([...next.frames.keys()], [0n, 1n])
  assert.equal(await next.wal.append(payloadOf(2)), 2n)
  const last = await replay(walOptions(restarted.losePower(0)))
  assert.deepEqual([...last.frames.keys()], [0n, 1n, 2n])
  for (const [offset, payload] of last.frames) assert.deepEqual(payload, payloadOf(Number(offset)))
  assert.deepEqual(last.holes, [])
})

test('rows that were flushed are not written again after a failed fdatasync', async () => {
  const fs = new FaultFileSystem()
  const { rows, unflushed } = memtable()
  const { wal } = await replay(walOptions(fs, { unflushed }))
  for (let number = 0; number < 9; number++) {
    rows.set(await wal.append(payloadOf(number)), payloadOf(number))
  }
  for (let offset = 0n; offset < 7n; offset++) rows.delete(offset)
  await wal.truncate(7n)
  fs.inject({ operation: 'datasync', code: 'EIO' })
  assert.equal(await wal.append(payloadOf(9)), 9n)
  const again = await replay(walOptions(fs.losePower(0)), 7n)
  assert.deepEqual([...again.frames.keys()], [7n, 8n, 9n])
  assert.deepEqual(again.holes, [])
})

test('a failed file is kept where the rows in it cannot be had from memory', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs))
  for (let number = 0; number < 5; number++) await wal.append(payloadOf(number))
  fs.inject({ operation: 'datasync', code: 'EIO' })
  assert.equal(await wal.append(payloadOf(5)), 5n)
  assert.equal(fs.paths().length, 2)
  const rebooted = fs.losePower(0)
  const again = await replay(walOptions(rebooted))
  assert.equal(again.frames.size, 6)
  assert.deepEqual(again.holes, [])
  await again.wal.truncate(6n)
  assert.deepEqual(rebooted.paths(), [])
})

test('while every file fails nothing is acknowledged, files do not pile up, and it recovers alone', async () => {
  for (const operation of ['write', 'datasync', 'open', 'syncDirectory'] as const) {
    const fs = new FaultFileSystem()
    const states: WalState[] = []
    const { rows, unflushed } = memtable()
    const onStateChange = (state: WalState) => states.push(state)
    const { wal } = await replay(walOptions(fs, { unflushed, onStateChange }))
    for (let number = 0; number < 3; number++) {
      rows.set(await wal.append(payloadOf(number)), payloadOf(number))
    }
    // the first failure makes it leave its file, so that `open` and `syncDirectory` have their turn
    fs.inject({ operation: 'datasync', code: 'EIO' })
    fs.inject({ operation, code: 'EIO', times: Infinity })
    for (let attempt = 0; attempt < 4; attempt++) {
      await assert.rejects(wal.append(payloadOf(3)), { code: 'log_unavailable' })
      await sleep(30)
    }
    assert.ok(fs.paths().length <= 2, `${operation}: ${fs.paths().join(' ')}`)
    fs.clearFaults()
    let offset: bigint | undefined
    while (offset === undefined) {
      offset = await wal.append(payloadOf(3)).catch(() => undefined)
      await sleep(20)
    }
    assert.equal(offset, 3n)
    assert.deepEqual(states, ['unavailable', 'open'])
    const again = await replay(walOptions(fs.losePower(0)))
    assert.deepEqual([...again.frames.keys()], [0n, 1n, 2n, 3n])
    assert.deepEqual(again.frames.get(3n), payloadOf(3))
    assert.deepEqual(again.holes, [])
  }
})

test('the n-th failing call of any kind costs no acknowledged row', async () => {
  for (const code of ['EIO', 'ENOSPC', 'EROFS']) {
    for (const operation of [
      'open',
      'write',
      'datasync',
      'truncate',
      'unlink',
      'syncDirectory',
    ] as const) {
      for (let nth = 1; nth <= 8; nth++) {
        const fs = new FaultFileSystem(nth)
        const { rows, unflushed } = memtable()
        const { wal } = await replay(walOptions(fs, { unflushed, segmentBytesMax: 1500 }))
        fs.inject({ operation, code, nth, times: 1 + (nth % 3), partialBytes: nth * 40 })
        if (operation === 'truncate')
          fs.inject({ operation: 'write', code: 'ENOSPC', nth, partialBytes: 64 })
        const acknowledged = new Map<bigint, number>()
        let truncated = 0n
        for (let number = 0; number < 20; number++) {
          await wal.append(payloadOf(number)).then(
            (offset) => {
              acknowledged.set(offset, number)
              rows.set(offset, payloadOf(number))
            },
            () => sleep(2),
          )
          if (number === 12) {
            truncated = wal.nextOffset > 2n ? wal.nextOffset - 2n : 0n
            for (const offset of rows.keys()) if (offset < truncated) rows.delete(offset)
            await wal.truncate(truncated).catch(() => undefined)
          }
        }
        const again = await replay(walOptions(fs.losePower(nth / 8)), truncated)
        for (const [offset, number] of acknowledged) {
          if (offset < truncated) continue
          assert.deepEqual(
            again.frames.get(offset),
            payloadOf(number),
            `${code} ${operation} ${nth}`,
          )
        }
        assert.deepEqual(
          again.holes.filter(({ reason }) => reason !== 'wal_unacknowledged'),
          [],
          `${code} ${operation} ${nth}`,
        )
      }
    }
  }
})

test('a full disk refuses appends with log_full and takes them again once there is room', async () => {
  const fs = new FaultFileSystem()
  const states: WalState[] = []
  const { wal } = await replay(
    walOptions(fs, { segmentBytesMax: 8192, onStateChange: (state) => states.push(state) }),
  )
  fs.capacityBytes = 40_000
  const acknowledged: number[] = []
  let isFull = false
  for (let number = 0; !isFull; number++) {
    await wal.append(payloadOf(number, 1000)).then(
      () => acknowledged.push(number),
      (error: { code: string }) => {
        assert.equal(error.code, 'log_full')
        isFull = true
      },
    )
  }
  assert.equal(wal.state, 'full')
  await assert.rejects(wal.append(payloadOf(999)), { code: 'log_full' })
  const torn = await replay(walOptions(fs))
  assert.equal(torn.frames.size, acknowledged.length)
  assert.deepEqual(torn.holes, [])
  const flushed = BigInt(acknowledged.length - 5)
  await wal.truncate(flushed)
  assert.equal(await wal.append(payloadOf(1000, 1000)), BigInt(acknowledged.length))
  assert.deepEqual(states, ['full', 'open'])
  const again = await replay(walOptions(fs.losePower(0)), flushed)
  assert.equal(again.frames.size, 6)
  assert.deepEqual(again.holes, [])
})

test('a full disk is tried again after a while without any truncation', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs))
  await wal.append(payloadOf(0))
  fs.capacityBytes = 100
  await assert.rejects(wal.append(payloadOf(1)), { code: 'log_full' })
  fs.capacityBytes = Infinity
  await sleep(120)
  assert.equal(await wal.append(payloadOf(2)), 1n)
})

test('the bound of the log on disk refuses appends until a truncation', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs, { segmentBytesMax: 4096, diskBytesMax: 20_000 }))
  let count = 0n
  for (;;) {
    const offset = await wal.append(payloadOf(7, 1000)).catch((error: { code: string }) => {
      assert.equal(error.code, 'log_full')
      return undefined
    })
    if (offset === undefined) break
    count = offset + 1n
  }
  assert.ok(wal.bytesOnDisk <= 20_000)
  assert.ok(count >= 15n)
  await wal.truncate(count)
  assert.equal(wal.state, 'open')
  assert.equal(await wal.append(payloadOf(8)), count)
})

test('what waits for a slow disk is bounded', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs, { waitingBytesMax: 50_000 }))
  fs.inject({ operation: 'datasync', delayMs: 50 })
  const results = await Promise.allSettled(
    Array.from({ length: 100 }, () => wal.append(payloadOf(1, 1000))),
  )
  const stored = results.filter(({ status }) => status === 'fulfilled').length
  assert.ok(stored >= 40 && stored <= 50)
  const refused = results.find((result) => result.status === 'rejected')
  assert.equal((refused?.reason as { code: string }).code, 'log_unavailable')
})

test('closing on a failing disk ends without an error and costs nothing', async () => {
  for (const operation of ['write', 'datasync'] as const) {
    const fs = new FaultFileSystem()
    const { wal } = await replay(walOptions(fs))
    await wal.append(payloadOf(0))
    fs.inject({ operation, code: 'EIO', partialBytes: 20 })
    await wal.close()
    await assert.rejects(wal.append(payloadOf(1)), { code: 'log_unavailable' })
    const again = await replay(walOptions(fs.losePower(0)))
    assert.equal(again.frames.size, 1)
    assert.deepEqual(again.holes, [])
  }
})

test('writes that fall short are completed', async () => {
  const fs = new FaultFileSystem(3)
  fs.shortWriteChance = 0.9
  const { wal } = await replay(walOptions(fs))
  await Promise.all(
    Array.from({ length: 60 }, (_, number) =>
      wal.append(payloadOf(number, 20_000 * (number % 3) + 10)),
    ),
  )
  const again = await replay(walOptions(fs.losePower(0)))
  for (let number = 0; number < 60; number++) {
    assert.ok(
      again.frames.get(BigInt(number))?.equals(payloadOf(number, 20_000 * (number % 3) + 10)),
    )
  }
})

test('a range that cannot be read is a hole, the rest is kept', async () => {
  const fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs))
  for (let number = 0; number < 40; number++) await wal.append(payloadOf(number, 1000))
  await wal.close()
  // the header, the whole chunk, then its pages one by one: the 5th page stays unreadable
  fs.inject({ operation: 'read', code: 'EIO', nth: 2 })
  fs.inject({ operation: 'read', code: 'EIO', nth: 7 })
  const again = await replay(walOptions(fs))
  assert.equal(again.holes.length, 1)
  assert.equal(again.holes[0]?.reason, 'wal_damaged')
  const lost = Number(again.holes[0].end - again.holes[0].start)
  assert.ok(lost >= 3 && lost <= 6)
  assert.equal(again.frames.size, 40 - lost)
})
