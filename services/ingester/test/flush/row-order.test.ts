import assert from 'node:assert/strict'
import { test } from 'node:test'
import { orderRows } from '../../src/flush/row-order.ts'
import { hourOf, splitMicros, type RowTimes } from '../../src/flush/row-times.ts'

/** A small seeded generator: numbers in [0, 1). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 4294967296
  }
}

function timesOf(nanos: readonly bigint[]): RowTimes {
  return {
    high: Uint32Array.from(nanos, (time) => Number(time >> 32n)),
    low: Uint32Array.from(nanos, (time) => Number(time & 0xffff_ffffn)),
    source: new Uint8Array(nanos.length),
  }
}

void test('orderRows sorts by rank, time and position whatever the order of arrival', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = randomOf(seed)
    const count = Math.floor(random() * 400) + 1
    const groups = Math.floor(random() * 6) + 1
    const nanos = Array.from({ length: count }, () => {
      const spread = random() < 0.5 ? 10n : 1n << 40n
      return BigInt(Math.floor(random() * 4)) * spread + BigInt(Math.floor(random() * 3))
    })
    const groupOfRow = Int32Array.from({ length: count }, () => Math.floor(random() * groups))
    const rankOfGroup = Int32Array.from({ length: groups }, () => Math.floor(random() * groups))
    const rows = Int32Array.from({ length: count }, (_, row) => row)
    const order = orderRows(rows, groupOfRow, rankOfGroup, groups, timesOf(nanos))
    const expected = [...rows].sort((left, right) => {
      const rank = rankOfGroup[groupOfRow[left]!]! - rankOfGroup[groupOfRow[right]!]!
      if (rank !== 0) return rank
      if (nanos[left] !== nanos[right]) return nanos[left]! < nanos[right]! ? -1 : 1
      return left - right
    })
    assert.deepEqual([...order], expected, `seed ${String(seed)}`)
  }
})

void test('splitMicros and hourOf are exact over all 64 bits', () => {
  const random = randomOf(7)
  const nanos = [0n, 1n, 999n, 1000n, 3_599_999_999_999n, 3_600_000_000_000n, (1n << 64n) - 1n]
  for (let index = 0; index < 2000; index++) {
    const high = BigInt(Math.floor(random() * 4294967296))
    nanos.push((high << 32n) | BigInt(Math.floor(random() * 4294967296)))
  }
  const hour = 3_600_000_000_000n
  for (let index = 0; index < 2000; index++) {
    const edge = BigInt(Math.floor(random() * 5_000_000)) * hour
    nanos.push(edge, edge + 1n, edge === 0n ? 0n : edge - 1n)
  }
  const times = timesOf(nanos)
  const halves = new Int32Array(2 * nanos.length)
  const below = new Int32Array(nanos.length)
  splitMicros(times.high, times.low, nanos.length, halves, below)
  const micros = new BigInt64Array(halves.buffer)
  nanos.forEach((time, index) => {
    assert.equal(micros[index], time / 1000n)
    assert.equal(BigInt(below[index]!), time % 1000n)
    assert.equal(BigInt(hourOf(times.high[index]!, times.low[index]!)), time / hour)
  })
})
