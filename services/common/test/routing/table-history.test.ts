import assert from 'node:assert/strict'
import test from 'node:test'

import { keyHashText, streamHash } from '../../src/routing/key-hash.ts'
import {
  EARLIER_MAX,
  emptyRoutingTable,
  entryKey,
  parseRoutingTable,
  serializeRoutingTable,
  type RoutingTable,
} from '../../src/routing/routing-table.ts'
import { chunkPartition, shardSteps, streamSteps } from '../../src/routing/shard.ts'
import {
  HEARD_AFTER_MS,
  nextTable,
  type WantedEntry,
  type WantedTable,
} from '../../src/routing/table-history.ts'
import { Signal } from '../../src/signal.ts'
import { fuzz } from '../../src/testing/fuzz-run.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

const START_UNIX_MS = 1_764_000_000_000
const WINDOW_MS = 600_000
const TENANTS = ['acme', 'globex', 'initech', 'umbrella']
const KEY = entryKey('acme', Signal.logs)
const STREAMS = Array.from({ length: 6 }, (_, index) =>
  TENANTS.map((tenant) => ({
    tenant,
    hash: streamHash(tenant, Signal.logs, Buffer.from(`service-${String(index)}`)),
  })),
).flat()

function wantedOf(
  table: RoutingTable,
  change: Partial<WantedTable> = {},
  shards: Readonly<Record<string, readonly number[]>> = {},
): WantedTable {
  const entries = new Map(
    Object.entries(shards).map(([tenant, partitions]) => [
      entryKey(tenant, Signal.logs),
      { tenant, signal: 'logs', partitions, hot: new Map<string, number>() } as const,
    ]),
  )
  const { partitions, saturated, halted } = table
  return { madeBy: 'router-1', partitions, saturated, halted, entries, ...change }
}

/** Where a router with this table puts a chunk. */
function place(table: RoutingTable, stream: (typeof STREAMS)[number], unixMs: number): number {
  const shards = shardSteps(table, stream.tenant, Signal.logs)
  const item = Buffer.from(`an item of ${String(unixMs)}`)
  const timeUnixNano = BigInt(unixMs) * 1_000_000n
  return chunkPartition(streamSteps(shards, stream.hash), item, 0, timeUnixNano)
}

/** Until when states were forgotten, early where halted partitions had no room else. */
function forgottenBefore({ earlier }: RoutingTable): number {
  return earlier.length === EARLIER_MAX ? earlier[0]!.untilUnixMs : 0
}

/** A maker whose rounds come every five seconds, and who wants what it is told. */
class Maker {
  table = emptyRoutingTable(12)
  nowUnixMs = START_UNIX_MS

  round(wanted: WantedTable, windowMs = WINDOW_MS): RoutingTable {
    this.nowUnixMs += 5000
    this.table = nextTable(this.table, wanted, { nowUnixMs: this.nowUnixMs, windowMs })
    return this.table
  }

  wait(ms: number): void {
    this.nowUnixMs += ms
  }
}

test('a first table without a shard says nothing of before', () => {
  const table = new Maker().round(wantedOf(emptyRoutingTable(12)))
  assert.equal(table.version, 1)
  assert.deepEqual(table.earlier, [])
})

test('a shard begins ten seconds after it was made, and what it replaced stays for the window', () => {
  const maker = new Maker()
  const wanted = wantedOf(maker.table, {}, { acme: [1, 2] })
  const { entries } = maker.round(wanted)
  const since = maker.nowUnixMs + HEARD_AFTER_MS
  const before = { untilUnixMs: since, partitions: [], hot: new Map() }
  assert.deepEqual(entries.get(KEY)!.earlier, [before])
  const wide = wantedOf(maker.table, {}, { acme: [1, 2, 3] })
  maker.round(wide)
  const narrow = { untilUnixMs: since + 5000, partitions: [1, 2], hot: new Map() }
  assert.deepEqual(maker.table.entries.get(KEY)!.earlier, [before, narrow])
  maker.wait(since + WINDOW_MS - maker.nowUnixMs - 5001)
  const { version } = maker.table
  maker.round(wide)
  assert.equal(maker.table.version, version)
  maker.wait(-4999)
  maker.round(wide)
  assert.deepEqual(maker.table.entries.get(KEY)!.earlier, [narrow])
  assert.equal(maker.table.version, version + 1)
})

test('a clock that goes back makes no shard of before the last', () => {
  const maker = new Maker()
  maker.round(wantedOf(maker.table, {}, { acme: [1, 2] }))
  maker.wait(-3_600_000)
  maker.round(wantedOf(maker.table, {}, { acme: [3], globex: [4] }))
  const [first, second] = maker.table.entries.get(KEY)!.earlier
  assert.equal(second!.untilUnixMs, first!.untilUnixMs + 1)
  const others = maker.table.entries.get(entryKey('globex', Signal.logs))!.earlier
  assert.equal(others[0]!.untilUnixMs, second!.untilUnixMs)
})

test('a shard that changed eight times within the window waits until the first is forgotten', () => {
  const maker = new Maker()
  for (let change = 0; change <= EARLIER_MAX; change++) {
    maker.round(wantedOf(maker.table, {}, { acme: [change] }))
  }
  assert.deepEqual(maker.table.entries.get(KEY)!.partitions, [EARLIER_MAX - 1])
  maker.wait(WINDOW_MS - 15_000)
  maker.round(wantedOf(maker.table, {}, { acme: [EARLIER_MAX] }))
  assert.deepEqual(maker.table.entries.get(KEY)!.partitions, [EARLIER_MAX])
})

test('an entry that ends is the home of its tenant until what it was is forgotten', () => {
  const maker = new Maker()
  maker.round(wantedOf(maker.table, {}, { acme: [1, 2] }))
  maker.round(wantedOf(maker.table))
  const home = shardSteps(emptyRoutingTable(12), 'acme', Signal.logs)[0]!.shard.partitions
  assert.deepEqual(maker.table.entries.get(KEY)!.partitions, home)
  maker.wait(WINDOW_MS)
  maker.round(wantedOf(maker.table))
  assert.equal(maker.table.entries.size, 1, 'not yet')
  maker.wait(15_000)
  maker.round(wantedOf(maker.table))
  assert.equal(maker.table.entries.size, 0)
})

test('an ended entry stays where without it another partition would be chosen', () => {
  const maker = new Maker()
  const home = shardSteps(emptyRoutingTable(12), 'acme', Signal.logs)[0]!.shard.partitions
  maker.round(wantedOf(maker.table, {}, { acme: home }))
  maker.wait(WINDOW_MS + 15_000)
  const halted = new Set(home)
  maker.round(wantedOf(maker.table, { halted }))
  assert.equal(maker.table.entries.size, 1)
})

test('saturated partitions wait where too much changed, halted and added ones do not', () => {
  const maker = new Maker()
  for (let change = 0; change <= EARLIER_MAX; change++) {
    maker.round(wantedOf(maker.table, { saturated: new Set([change]) }))
  }
  assert.deepEqual([...maker.table.saturated], [EARLIER_MAX - 1])
  maker.round(wantedOf(maker.table, { halted: new Set([3]) }))
  assert.deepEqual([...maker.table.halted], [3])
  maker.round(wantedOf(maker.table, { halted: new Set() }))
  assert.deepEqual([...maker.table.halted], [3], 'what is no longer halted waits')
  maker.round(wantedOf(maker.table, { partitions: 13 }))
  assert.equal(maker.table.partitions, 13)
  assert.equal(maker.table.earlier.length, EARLIER_MAX)
})

test('a window of days keeps what was before for an hour', () => {
  const maker = new Maker()
  maker.round(wantedOf(maker.table, {}, { acme: [1] }))
  const wanted = wantedOf(maker.table, {}, { acme: [2] })
  maker.round(wanted)
  maker.wait(3_600_000 + 15_000)
  maker.round(wanted, 86_400_000)
  assert.deepEqual(maker.table.entries.get(KEY)!.earlier, [])
})

test('routers with tables of any two versions choose the same for the same item', () => {
  fuzz((seed) => {
    const random = new SeededRandom(seed)
    const maker = new Maker()
    const made: { readonly table: RoutingTable; readonly nowUnixMs: number }[] = []
    maker.round(wantedOf(maker.table))
    made.push({ table: maker.table, nowUnixMs: maker.nowUnixMs })
    for (let round = 0; round < 25; round++) {
      maker.wait(random.chance(0.2) ? random.below(WINDOW_MS) : random.below(20_000))
      const before = maker.table
      maker.round(randomWanted(before, random))
      if (maker.table === before) continue
      // as another router reads it
      const table = parseRoutingTable(serializeRoutingTable(maker.table))
      assert.deepEqual(table, maker.table)
      made.push({ table, nowUnixMs: maker.nowUnixMs })
    }
    for (let pair = 0; pair < 40; pair++) {
      const older = random.below(made.length - 1)
      const newer = older + 1 + random.below(Math.min(6, made.length - older - 1))
      // items that a router with the older table may see, as old as retries get
      const readUnixMs = made[older + 1]!.nowUnixMs + HEARD_AFTER_MS
      const between = made.slice(older, newer + 1).map(({ table }) => table)
      const oldestUnixMs = Math.max(
        made[newer]!.nowUnixMs - WINDOW_MS,
        ...between.map(forgottenBefore),
      )
      if (oldestUnixMs >= readUnixMs) continue
      const unixMs = oldestUnixMs + random.below(readUnixMs - oldestUnixMs)
      for (const stream of STREAMS) {
        assert.equal(
          place(made[older]!.table, stream, unixMs),
          place(made[newer]!.table, stream, unixMs),
          `tables ${String(older)} and ${String(newer)} of seed ${String(seed)}`,
        )
      }
    }
  })
})

test('each change moves something, or the last test could not fail', () => {
  const random = new SeededRandom(5)
  const maker = new Maker()
  let moved = 0
  for (let round = 0; round < 40; round++) {
    const before = maker.table
    maker.round(randomWanted(before, random))
    const unixMs = maker.nowUnixMs + 2 * HEARD_AFTER_MS
    if (
      STREAMS.some((stream) => place(before, stream, unixMs) !== place(maker.table, stream, unixMs))
    )
      moved++
    maker.wait(WINDOW_MS / 4)
  }
  assert.ok(moved > 25, String(moved))
})

test('however much changes, a table fits its bound and keeps what there was before', () => {
  const maker = new Maker()
  maker.table = emptyRoutingTable(4096)
  const random = new SeededRandom(9)
  const all = Array.from({ length: 4096 }, (_, partition) => partition)
  for (let round = 0; round < 12; round++) {
    const entries = new Map(
      Array.from({ length: 3000 }, (_, index) => {
        const tenant = `${'t'.repeat(58)}${String(index).padStart(5, '0')}`
        const first = random.below(4000)
        const partitions = Array.from({ length: 13 }, (_, at) => first + at * (1 + (first % 7)))
        const hot = new Map([[random.below(1e9).toString(16).padStart(16, 'f'), 13]])
        return [
          entryKey(tenant, Signal.metrics),
          { tenant, signal: 'metrics', partitions, hot },
        ] as const
      }),
    )
    const some = (): Set<number> => new Set(random.shuffled(all).slice(0, 4000))
    const state = { partitions: 4096, saturated: some(), halted: some() }
    maker.round({ madeBy: 'router-1', ...state, entries })
    assert.deepEqual(parseRoutingTable(serializeRoutingTable(maker.table)), {
      ...maker.table,
      ...stateOf(maker.table),
    })
  }
  assert.equal(maker.table.entries.size, 1500, 'what has no room for before stays as it was')
})

/** Sets as they are read: ascending. */
function stateOf(table: RoutingTable): Pick<RoutingTable, 'saturated' | 'halted' | 'earlier'> {
  const sorted = (set: ReadonlySet<number>): Set<number> =>
    new Set([...set].sort((left, right) => left - right))
  return {
    saturated: sorted(table.saturated),
    halted: sorted(table.halted),
    earlier: table.earlier.map((state) => ({
      ...state,
      saturated: sorted(state.saturated),
      halted: sorted(state.halted),
    })),
  }
}

function randomWanted(table: RoutingTable, random: SeededRandom): WantedTable {
  const grows = table.partitions < 20 && random.chance(0.1)
  const partitions = table.partitions + (grows ? 1 + random.below(3) : 0)
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  const few = (chance: number, kept: ReadonlySet<number>): ReadonlySet<number> =>
    random.chance(chance) ? new Set(all.filter(() => random.chance(0.2))) : kept
  const entries = new Map<string, WantedEntry>()
  for (const tenant of TENANTS) {
    const key = entryKey(tenant, Signal.logs)
    const before = table.entries.get(key)
    if (before !== undefined && random.chance(0.6)) {
      entries.set(key, before)
      continue
    }
    if (random.chance(0.4)) continue
    const shard = random.shuffled(all).slice(0, 1 + random.below(6))
    shard.sort((left, right) => left - right)
    const isHot = shard.length > 1 && random.chance(0.5)
    const stream = STREAMS.find((candidate) => candidate.tenant === tenant)!
    const hot = new Map(
      isHot ? [[keyHashText(stream.hash), 2 + random.below(shard.length - 1)]] : [],
    )
    entries.set(key, { tenant, signal: 'logs', partitions: shard, hot })
  }
  return {
    madeBy: 'router-1',
    partitions,
    saturated: few(0.2, table.saturated),
    halted: few(0.1, table.halted),
    entries,
  }
}
