import assert from 'node:assert/strict'
import test from 'node:test'

import { tenantHash } from '../../src/routing/key-hash.ts'
import { bestFew } from '../../src/routing/rendezvous.ts'
import type { Load } from '../../src/routing/router-rates.ts'
import {
  emptyRoutingTable,
  entryKey,
  parseRoutingTable,
  serializeRoutingTable,
  type RoutingTable,
} from '../../src/routing/routing-table.ts'
import { TablePlanner, type PlanInput } from '../../src/routing/table-plan.ts'
import { SIGNAL_NAMES, Signal } from '../../src/signal.ts'
import { fuzz } from '../../src/testing/fuzz-run.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

const TARGET = 1000
const PARTITIONS = 12
const START_UNIX_MS = 1_764_000_000_000
const KEY = entryKey('acme', Signal.logs)
const RANKED = bestFew(
  tenantHash('acme', Signal.logs),
  Array.from({ length: PARTITIONS }, (_, partition) => partition),
  PARTITIONS,
)

function loadsOf(rate: number, streams: Readonly<Record<string, number>> = {}): Map<string, Load> {
  return new Map([
    [KEY, { tenant: 'acme', signal: 'logs', rate, streams: new Map(Object.entries(streams)) }],
  ])
}

/** A maker whose rounds come every five seconds. */
class Maker {
  readonly planner = new TablePlanner()
  table: RoutingTable = emptyRoutingTable(PARTITIONS)
  nowMs = 0
  changes = 0

  round(change: Partial<PlanInput>): RoutingTable {
    const next = this.planner.plan({
      previous: this.table,
      madeBy: 'router-1',
      partitionCount: PARTITIONS,
      loads: new Map(),
      saturated: new Set(),
      halted: new Set(),
      targetRate: TARGET,
      nowMs: this.nowMs,
      nowUnixMs: START_UNIX_MS + this.nowMs,
      windowMs: 600_000,
      ...change,
    })
    if (next !== this.table) this.changes++
    this.table = next
    this.nowMs += 5000
    return next
  }

  rounds(seconds: number, change: Partial<PlanInput>): RoutingTable {
    for (let round = 0; round < seconds / 5; round++) this.round(change)
    return this.table
  }

  shard(): readonly number[] {
    return this.table.entries.get(KEY)?.partitions ?? []
  }
}

function ascending(partitions: readonly number[]): number[] {
  return partitions.toSorted((left, right) => left - right)
}

test('the first table is made at once and stays while nothing changes', () => {
  const maker = new Maker()
  assert.equal(maker.round({}).version, 1)
  maker.rounds(3600, { loads: loadsOf(900) })
  assert.equal(maker.changes, 1)
  assert.equal(maker.table.entries.size, 0, 'a tenant that one partition takes needs no entry')
})

test('a shard grows to what its rate needs, in the order of scores', () => {
  const maker = new Maker()
  maker.round({ loads: loadsOf(3400) })
  assert.deepEqual(maker.shard(), ascending(RANKED.slice(0, 4)))
  maker.round({ loads: loadsOf(6000) })
  assert.deepEqual(maker.shard(), ascending(RANKED.slice(0, 6)))
  maker.round({ loads: loadsOf(1e6) })
  assert.equal(maker.shard().length, PARTITIONS)
})

test('rates that swing by a tenth change nothing once a table fits them', () => {
  const maker = new Maker()
  const random = new SeededRandom(7)
  maker.round({ loads: loadsOf(5200) })
  const { version } = maker.table
  for (let round = 0; round < 1000; round++) {
    maker.round({ loads: loadsOf(5200 * (0.9 + random.below(201) / 1000)) })
  }
  assert.equal(maker.table.version, version + 1, 'what was before is forgotten, nothing else')
  assert.equal(maker.shard().length, 6)
})

test('a shard shrinks only after ten minutes of less, and in the end has no entry', () => {
  const maker = new Maker()
  maker.round({ loads: loadsOf(5000) })
  maker.rounds(595, { loads: loadsOf(1000) })
  assert.equal(maker.shard().length, 5)
  maker.round({ loads: loadsOf(5000) })
  maker.rounds(595, { loads: loadsOf(1000) })
  assert.equal(maker.shard().length, 5, 'one round of load begins the wait anew')
  maker.rounds(20, { loads: loadsOf(2000) })
  assert.deepEqual(maker.shard(), ascending(RANKED.slice(0, 2)))
  maker.rounds(610, {})
  assert.deepEqual(maker.shard(), RANKED.slice(0, 1), 'the home, beside what was before')
  maker.rounds(620, {})
  assert.deepEqual(maker.shard(), [])
  assert.deepEqual(maker.table.entries, new Map())
})

test('a state begins when it was told for five seconds and ends when it was not for a minute', () => {
  const maker = new Maker()
  const told = { saturated: new Set([3]), halted: new Set([7]) }
  maker.round(told)
  assert.equal(maker.table.saturated.size, 0)
  maker.rounds(5, told)
  assert.deepEqual([...maker.table.saturated], [3])
  assert.deepEqual([...maker.table.halted], [7])
  maker.rounds(55, {})
  maker.round(told)
  maker.rounds(60, {})
  assert.deepEqual([...maker.table.saturated], [3])
  maker.rounds(5, {})
  assert.equal(maker.table.saturated.size + maker.table.halted.size, 0)
})

test('a shard with a saturated partition gets another one beside it', () => {
  const maker = new Maker()
  maker.round({ loads: loadsOf(2900) })
  const [first] = RANKED
  const told = { loads: loadsOf(2900), saturated: new Set([first!]) }
  maker.rounds(15, told)
  assert.deepEqual(maker.shard(), ascending(RANKED.slice(0, 4)))
})

test('a tenant with a notable rate gets beside its saturated partition, a small one stays', () => {
  const [home] = RANKED
  for (const [rate, count] of [
    [300, 2],
    [200, 0],
  ] as const) {
    const maker = new Maker()
    maker.round({ loads: loadsOf(rate) })
    maker.rounds(15, { loads: loadsOf(rate), saturated: new Set([home!]) })
    assert.equal(maker.shard().length, count, String(rate))
  }
})

test('a hot stream spreads over as many partitions as its rate needs, and cools slowly', () => {
  const maker = new Maker()
  const stream = '00ff00ff00ff00ff'
  maker.rounds(10, { loads: loadsOf(4000, { [stream]: 1700, ffffffffffffffff: 500 }) })
  assert.deepEqual([...maker.table.entries.get(KEY)!.hot], [[stream, 3]])
  maker.rounds(590, { loads: loadsOf(4000) })
  assert.equal(maker.table.entries.get(KEY)!.hot.size, 1)
  maker.rounds(20, { loads: loadsOf(4000) })
  assert.equal(maker.table.entries.get(KEY)!.hot.size, 0)
})

test('partitions that a topic gains are used after a minute, lost ones mean another topic', () => {
  const maker = new Maker()
  maker.round({ loads: loadsOf(5000) })
  maker.rounds(60, { loads: loadsOf(5000), partitionCount: 20 })
  assert.equal(maker.table.partitions, PARTITIONS)
  maker.rounds(5, { loads: loadsOf(5000), partitionCount: 20 })
  assert.equal(maker.table.partitions, 20)
  maker.round({ partitionCount: 3 })
  assert.equal(maker.table.partitions, 3)
  assert.equal(maker.table.entries.size, 0)
})

test('whatever comes in, the table can be read back, and its version tells every change', () => {
  fuzz((seed) => {
    const random = new SeededRandom(seed)
    const maker = new Maker()
    const tenants = Array.from({ length: 1 + random.below(30) }, (_, index) => `t${String(index)}`)
    for (let round = 0; round < 40; round++) {
      const loads = new Map<string, Load>()
      for (const tenant of tenants) {
        const signal = SIGNAL_NAMES[random.below(3)]!
        const streams = new Map<string, number>()
        for (let i = random.below(100); i > 0; i--) {
          streams.set(random.below(200).toString(16).padStart(16, '0'), random.below(5000))
        }
        const load = { tenant, signal, rate: random.below(20_000), streams }
        loads.set(entryKey(tenant, Signal[signal]), load)
      }
      const some = (): Set<number> =>
        new Set(Array.from({ length: random.below(14) }, () => random.below(30)))
      const before = maker.table
      const partitionCount = random.chance(0.1) ? 1 + random.below(20) : PARTITIONS
      const table = maker.round({ loads, saturated: some(), halted: some(), partitionCount })
      maker.nowMs += random.below(700_000)
      assert.deepEqual(parseRoutingTable(serializeRoutingTable(table)), table)
      if (table !== before) assert.equal(table.version, before.version + 1)
      for (const { partitions } of table.entries.values()) assert.ok(partitions.length > 0)
    }
  })
})

test('the largest table there can be fits its bound', () => {
  const maker = new Maker()
  const loads = new Map<string, Load>()
  for (let index = 0; index < 5000; index++) {
    const tenant = `${'t'.repeat(58)}${String(index).padStart(5, '0')}`
    const streams = new Map(
      Array.from({ length: 64 }, (_, at) => [at.toString(16).padStart(16, 'f'), 1e6] as const),
    )
    loads.set(entryKey(tenant, Signal.metrics), { tenant, signal: 'metrics', rate: 1e9, streams })
  }
  const table = maker.round({ loads, partitionCount: 4096, previous: emptyRoutingTable(4096) })
  assert.ok(table.entries.size > 8)
  assert.deepEqual(parseRoutingTable(serializeRoutingTable(table)), table)
  const narrow = new Maker()
  for (const load of loads.values()) load.rate = 2500
  const wide = narrow.round({ loads })
  assert.ok(wide.entries.size > 40)
  serializeRoutingTable(wide)
})
