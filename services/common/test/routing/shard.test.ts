import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'

import { keyHashText, streamHash } from '../../src/routing/key-hash.ts'
import { emptyRoutingTable, entryKey, type RoutingTable } from '../../src/routing/routing-table.ts'
import {
  chunkPartition,
  NOT_KNOWN,
  shardSteps,
  spreadOf,
  streamPartition,
  streamSteps,
  type Shard,
  type StreamStep,
} from '../../src/routing/shard.ts'
import { Signal } from '../../src/signal.ts'

const STREAMS = Array.from({ length: 4000 }, (_, index) =>
  streamHash('acme', Signal.logs, Buffer.from(`service-${String(index)}`)),
)

function tableOf(partitions: number, change: Partial<RoutingTable> = {}): RoutingTable {
  return { ...emptyRoutingTable(partitions), version: 1, ...change }
}

function withShard(
  table: RoutingTable,
  partitions: readonly number[],
  hot: ReadonlyMap<string, number> = new Map(),
): RoutingTable {
  const entry = { tenant: 'acme', signal: 'logs', partitions, hot, earlier: [] } as const
  return { ...table, entries: new Map([[entryKey('acme', Signal.logs), entry]]) }
}

/** The shard of a table that did not change lately. */
function shardOf(table: RoutingTable, tenant: string, signal: Signal): Shard {
  const steps = shardSteps(table, tenant, signal)
  assert.equal(steps.length, 1)
  return steps[0]!.shard
}

test('without an entry a tenant and signal has one partition, and another signal mostly another', () => {
  const table = tableOf(96)
  const tenants = Array.from({ length: 200 }, (_, index) => `tenant-${String(index)}`)
  const partitionsOf = (signal: Signal): number[] =>
    tenants.map((tenant) => shardOf(table, tenant, signal).partitions[0]!)
  assert.ok(new Set(partitionsOf(Signal.logs)).size > 60)
  const same = partitionsOf(Signal.logs).filter(
    (partition, index) => partition === partitionsOf(Signal.spans)[index],
  )
  assert.ok(same.length < 20)
})

test('added partitions move about their share of tenants and of streams', () => {
  const names = Array.from({ length: 2000 }, (_, index) => `tenant-${String(index)}`)
  const moved = names.filter((name) => {
    const before = shardOf(tableOf(12), name, Signal.logs).partitions[0]
    return shardOf(tableOf(16), name, Signal.logs).partitions[0] !== before
  })
  assert.ok(Math.abs(moved.length - 500) < 120, String(moved.length))

  const small = shardOf(withShard(tableOf(96), [3, 40, 95]), 'acme', Signal.logs)
  const large = shardOf(withShard(tableOf(96), [3, 17, 40, 95]), 'acme', Signal.logs)
  const movedStreams = STREAMS.filter((stream) => {
    const before = streamPartition(small, stream)
    const after = streamPartition(large, stream)
    assert.ok(after === before || after === 17)
    return after !== before
  })
  assert.ok(Math.abs(movedStreams.length - 1000) < 200, String(movedStreams.length))
})

test('every second stream leaves a saturated partition, over all that are open, others stay', () => {
  const open = shardOf(withShard(tableOf(96), [3, 40, 95]), 'acme', Signal.logs)
  const saturated = withShard(tableOf(96, { saturated: new Set([40]) }), [3, 40, 95])
  const shard = shardOf(saturated, 'acme', Signal.logs)
  const at = STREAMS.filter((stream) => streamPartition(open, stream) === 40)
  const stay = at.filter((stream) => streamPartition(shard, stream) === 40)
  assert.ok(Math.abs(stay.length - at.length / 2) < at.length / 10, String(stay.length))
  const goTo = (partition: number): number =>
    at.filter((stream) => streamPartition(shard, stream) === partition).length
  assert.ok(Math.abs(goTo(3) - goTo(95)) < at.length / 10)
  for (const stream of STREAMS) {
    const home = streamPartition(open, stream)
    if (home !== 40) assert.equal(streamPartition(shard, stream), home)
  }
})

test('where all are saturated or halted, none is left out', () => {
  const all = new Set([0, 1, 2])
  for (const table of [tableOf(3, { saturated: all }), tableOf(3, { halted: all })]) {
    const home = shardOf(tableOf(3), 'acme', Signal.logs)
    const shard = shardOf(table, 'acme', Signal.logs)
    assert.deepEqual(shard.partitions, home.partitions)
    const wide = shardOf(withShard(table, [0, 1, 2]), 'acme', Signal.logs)
    assert.deepEqual(wide.partitions, [0, 1, 2])
    const counts = new Set(STREAMS.map((stream) => streamPartition(wide, stream)))
    assert.equal(counts.size, 3)
  }
})

test('a halted partition gives up what it had', () => {
  const before = shardOf(tableOf(12), 'acme', Signal.logs).partitions[0]!
  const halted = tableOf(12, { halted: new Set([before]) })
  assert.notEqual(shardOf(halted, 'acme', Signal.logs).partitions[0], before)
  const wide = shardOf(withShard(halted, [before, (before + 1) % 12].sort()), 'acme', Signal.logs)
  assert.deepEqual(wide.partitions, [(before + 1) % 12])
})

test('every second tenant without an entry leaves a saturated partition', () => {
  const names = Array.from({ length: 2000 }, (_, index) => `tenant-${String(index)}`)
  const home = (name: string, table: RoutingTable): number =>
    shardOf(table, name, Signal.logs).partitions[0]!
  const at = names.filter((name) => home(name, tableOf(4)) === 2)
  const left = at.filter((name) => home(name, tableOf(4, { saturated: new Set([2]) })) !== 2)
  assert.ok(Math.abs(left.length - at.length / 2) < at.length / 8, String(left.length))
})

test('the chunks of a hot stream spread evenly over k partitions, and a retry meets its own', () => {
  const stream = STREAMS[0]!
  const hot = new Map([[keyHashText(stream), 4]])
  const partitions = [1, 5, 9, 13, 17, 21, 25, 29]
  const shard = shardOf(withShard(tableOf(96), partitions, hot), 'acme', Signal.logs)
  const spread = spreadOf(shard, stream)
  assert.equal(spread.length, 4)
  const steps = streamSteps([{ untilUnixNano: 1n << 64n, shard }], stream)
  assert.deepEqual(spreadOf(shard, STREAMS[1]!), [])
  const counts = new Map<number, number>()
  for (let call = 0; call < 4000; call++) {
    const item = Buffer.from(`time ${String(call)} and a body`)
    const chosen = chunkPartition(steps, item, 0, BigInt(call))
    assert.ok(spread.includes(chosen))
    assert.equal(chunkPartition(steps, Buffer.from(item), 0, BigInt(call)), chosen)
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1)
  }
  assert.equal(counts.size, 4)
  for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 180, String(count))
  const ordinals = Array.from({ length: 100 }, (_, ordinal) =>
    chunkPartition(steps, Buffer.from('the same item'), ordinal, 0n),
  )
  assert.equal(new Set(ordinals).size, 4, 'chunks that begin alike spread by their ordinal')
})

test('a wider spread moves only the chunks that the new partition takes', () => {
  const partitions = Array.from({ length: 16 }, (_, index) => index)
  const wide = (k: number): readonly number[] =>
    spreadOf(
      shardOf(
        withShard(tableOf(16), partitions, new Map([[keyHashText(STREAMS[2]!), k]])),
        'acme',
        Signal.logs,
      ),
      STREAMS[2]!,
    )
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.nat(50),
      fc.integer({ min: 2, max: 15 }),
      (item, ordinal, k) => {
        const steps = (spread: readonly number[]): StreamStep[] => [
          { untilUnixNano: 1n, partition: NOT_KNOWN, spread },
        ]
        const before = chunkPartition(steps(wide(k)), item, ordinal, 0n)
        const after = chunkPartition(steps(wide(k + 1)), item, ordinal, 0n)
        assert.ok(after === before || after === wide(k + 1)[k])
      },
    ),
  )
})
