/**
 * Seeded lives of a log: bursts of appends, truncations, restarts, failing calls, and in the middle
 * of it the power goes. After each boot: every acknowledged row above the chain's end is there, at
 * its offset, no row is there that nobody appended, and no hole tells of acknowledged rows.
 * WAL_SEED replays one; WAL_RUNS sets how many.
 */
import assert from 'node:assert/strict'
import type { Buffer } from 'node:buffer'
import { test } from 'node:test'

import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import { randomSource } from '@tributary/common/testing/seeded-random'
import type { FaultOperation } from '@tributary/common/testing/fault-file-system'

import type { WalSync } from '../../src/wal/wal-options.ts'
import type { Wal } from '../../src/wal/wal.ts'
import { hastyClock, payloadOf, replay, walOptions } from './log-fixture.ts'

const FAILING = ['open', 'write', 'datasync', 'truncate', 'unlink', 'syncDirectory'] as const
const CODES = ['EIO', 'ENOSPC'] as const

/** What a client and the chain know, over all lives of the log. */
class Life {
  readonly random: () => number
  readonly acknowledged = new Map<bigint, Buffer>()
  /** Every payload ever handed in, by its content: an unacknowledged one may come back too. */
  readonly submitted = new Set<string>()
  /** Offsets that the log reported as gone: commits go over them. */
  readonly givenUp = new Set<bigint>()
  chainEnd = 0n
  number = 0
  readonly sync: WalSync
  readonly hasMarks: boolean

  constructor(seed: number) {
    this.random = randomSource(seed)
    this.hasMarks = seed % 2 === 0
    this.sync = this.random() < 0.8 ? 'group' : 'always'
  }

  below(bound: number): number {
    return Math.floor(this.random() * bound)
  }

  async boot(fs: FaultFileSystem): Promise<Wal> {
    const unflushed = (from: bigint) =>
      [...this.acknowledged]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .filter(([offset]) => offset >= from && offset >= this.chainEnd)
        .map(([offset, payload]) => ({ offset, payload }))
    const marks = this.hasMarks ? { clock: hastyClock(), markIdleMs: 1 } : {}
    const options = walOptions(fs, { unflushed, segmentBytesMax: 6000, sync: this.sync, ...marks })
    const { wal, frames, holes } = await replay(options, this.chainEnd)
    for (const [offset, payload] of this.acknowledged) {
      if (offset < this.chainEnd) continue
      assert.deepEqual(frames.get(offset), payload, `row ${offset} is lost`)
    }
    for (const [offset, payload] of frames) {
      assert.ok(this.submitted.has(payload.toString('hex')), `row ${offset} is nobody's`)
      // the ingester holds from now on what the log gave
      this.acknowledged.set(offset, payload)
    }
    for (const { start, end, reason } of holes) {
      assert.equal(reason, 'wal_unacknowledged')
      for (let offset = start; offset < end; offset++) {
        assert.ok(!frames.has(offset))
        this.givenUp.add(offset)
      }
    }
    return wal
  }

  /** Appends without waiting; what is acknowledged before the power goes counts. */
  append(wal: Wal, isOn: () => boolean): void {
    const payload = payloadOf(this.number++, 10 + this.below(1500))
    this.submitted.add(payload.toString('hex'))
    wal.append(payload).then(
      (offset) => {
        if (isOn()) this.acknowledged.set(offset, payload)
      },
      () => undefined,
    )
  }

  async truncate(wal: Wal): Promise<void> {
    const end = this.chainEnd + BigInt(this.below(Number(wal.nextOffset - this.chainEnd) + 1))
    for (let offset = this.chainEnd; offset < end; offset++) {
      // commits only hold what was acknowledged or given up
      if (!this.acknowledged.has(offset) && !this.givenUp.has(offset)) return
    }
    this.chainEnd = end
    await wal.truncate(end).catch(() => undefined)
  }
}

async function runLife(seed: number): Promise<void> {
  const life = new Life(seed)
  let fs = new FaultFileSystem(seed)
  if (life.random() < 0.3) fs.shortWriteChance = 0.5
  for (let boot = 0; boot < 4; boot++) {
    const wal = await life.boot(fs)
    let isOn = true
    let mayLosePages = false
    for (let faults = life.below(4); faults > 1; faults--) {
      const operation: FaultOperation = FAILING[life.below(FAILING.length)]!
      const code = CODES[life.below(CODES.length)]!
      const [nth, times] = [1 + life.below(6), 1 + life.below(3)]
      fs.inject({ operation, code, nth, times, partialBytes: life.below(900) })
      mayLosePages ||= operation === 'datasync'
    }
    const steps = life.below(12)
    for (let step = 0; step < steps; step++) {
      for (let count = life.below(6); count >= 0; count--) life.append(wal, () => isOn)
      for (let turn = life.below(12); turn > 0; turn--) await nextTurn()
      if (life.random() < 0.15) await life.truncate(wal)
    }
    if (life.random() < 0.15) await wal.close().catch(() => undefined)
    // pages that a failed sync marked clean look well to a process that starts again without a reboot
    const isKilled = !mayLosePages && life.random() < 0.3
    fs = isKilled ? fs.killProcess() : fs.losePower([0, 0.3, 0.7, 1][life.below(4)])
    isOn = false
  }
  await life.boot(fs)
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

test('1,000 power losses cost no acknowledged row', async () => {
  const only = process.env['WAL_SEED']
  const first = only === undefined ? 1 : Number(only)
  // each life loses its power four times
  const runs = only === undefined ? Number(process.env['WAL_RUNS'] ?? 250) : 1
  for (let seed = first; seed < first + runs; seed++) {
    await runLife(seed).catch((error: unknown) => {
      throw new Error(`WAL_SEED=${seed}`, { cause: error })
    })
  }
})
