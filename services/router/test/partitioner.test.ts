import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashBytes } from '@tributary/common/columnar/byte-kernels'
import { keyHashText, streamHash } from '@tributary/common/routing/key-hash'
import {
  emptyRoutingTable,
  entryKey,
  type RoutingEntry,
  type RoutingTable,
} from '@tributary/common/routing/routing-table'
import { NOT_KNOWN } from '@tributary/common/routing/shard'
import { Signal } from '@tributary/common/signal'
import { Partitioner, type TenantRoute } from '../src/partitioner.ts'

function tableWith(partitions: readonly number[], change: Partial<RoutingTable> = {}, hot = 0) {
  const stream = keyHashText(streamHash('acme', Signal.logs, resource(0)))
  const entry: RoutingEntry = {
    tenant: 'acme',
    signal: 'logs',
    partitions,
    hot: new Map(hot > 0 ? [[stream, hot]] : []),
    earlier: [],
  }
  const entries = new Map([[entryKey('acme', Signal.logs), entry]])
  return { ...emptyRoutingTable(12), version: 1, entries, ...change }
}

function open(table: RoutingTable = emptyRoutingTable(12)) {
  const partitioner = new Partitioner(table)
  return { partitioner, route: () => partitioner.route('acme', Signal.logs) }
}

function resource(index: number): Uint8Array {
  return Buffer.from(`a resource of service ${String(index)}`)
}

/** The partition of a stream, as a request asks for it. */
function partitionOf(route: TenantRoute, index: number): number {
  const bytes = resource(index)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const hash = hashBytes(view, 0, bytes.length)
  const request = route.begin()
  const found = request.find(view, bytes.length, hash, 100)
  return found >= 0 ? found : request.add(bytes, view, bytes.length, hash, 100)
}

function partitionsOf(route: TenantRoute): number[] {
  return Array.from({ length: 300 }, (_, index) => partitionOf(route, index))
}

void test('a halted partition is left at once where the table says nothing of before', () => {
  const { partitioner, route } = open()
  const home = route().only
  partitioner.adopt({ ...emptyRoutingTable(12), version: 2, halted: new Set([home]) })
  assert.notEqual(route().only, home)
  assert.notEqual(route().only, NOT_KNOWN)
})

void test('a router that has seen a stream places it as one that has not', () => {
  const { partitioner, route } = open(tableWith([1, 5, 9]))
  const before = partitionsOf(route())
  assert.deepEqual([...new Set(before)].sort(), [1, 5, 9])
  const saturated = tableWith([1, 5, 9], { version: 2, saturated: new Set([5]) })
  partitioner.adopt(saturated)
  const after = partitionsOf(route())
  assert.notDeepEqual(after, before)
  assert.deepEqual(after, partitionsOf(open(saturated).route()))
})

void test('a wider shard moves some streams', () => {
  const { partitioner, route } = open(tableWith([1, 5, 9]))
  const before = partitionsOf(route())
  partitioner.adopt(tableWith([1, 5, 9, 11], { version: 2 }))
  const after = partitionsOf(route())
  const moved = after.filter((partition, index) => partition !== before[index])
  assert.ok(moved.length > 40 && moved.length < 120)
  assert.ok(moved.every((partition) => partition === 11))
})

void test('while a table holds the shard of before, the time of the first item tells between them', () => {
  const { partitioner, route } = open()
  const home = route().only
  const next = (home + 1) % 12
  const { entries, ...table } = tableWith([next], { version: 2 })
  const entry = entries.get(entryKey('acme', Signal.logs))!
  const earlier = [{ untilUnixMs: 5000, partitions: [], hot: new Map<string, number>() }]
  const moving = new Map([[entryKey('acme', Signal.logs), { ...entry, earlier }]])
  partitioner.adopt({ ...table, entries: moving })
  assert.equal(route().only, NOT_KNOWN)
  const bytes = resource(0)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const request = route().begin()
  request.add(bytes, view, bytes.length, hashBytes(view, 0, bytes.length), 100)
  assert.ok(request.isSpread && request.isTimed)
  const at = (time: bigint): number => request.chunk(bytes, 0, 4, 0, time)
  assert.deepEqual([0n, 4_999_999_999n, 5_000_000_000n, 2n ** 64n - 1n].map(at), [
    home,
    home,
    next,
    next,
  ])
  partitioner.adopt({ ...table, version: 3, entries })
  assert.equal(route().only, next, 'forgotten: one partition for all times')
  assert.equal(partitioner.streamBytes, 0)
})

void test('a stream that becomes hot spreads its chunks, and one that no longer is goes home', () => {
  const { partitioner, route } = open(tableWith([1, 5, 9]))
  const home = partitionOf(route(), 0)
  partitioner.adopt(tableWith([1, 5, 9], { version: 2 }, 3))
  const bytes = resource(0)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const request = route().begin()
  request.find(view, bytes.length, hashBytes(view, 0, bytes.length), 100)
  assert.ok(request.isSpread)
  const chunks = Array.from({ length: 60 }, (_, ordinal) => request.chunk(bytes, 0, 4, ordinal, 0n))
  assert.deepEqual([...new Set(chunks)].sort(), [1, 5, 9])
  partitioner.adopt(tableWith([1, 5, 9], { version: 3 }))
  assert.equal(partitionOf(route(), 0), home)
})

void test('the largest streams are told with their bytes, and counted anew', () => {
  const { route } = open(tableWith([1, 5, 9]))
  for (let index = 0; index < 50; index++) {
    for (let time = 0; time <= index; time++) partitionOf(route(), index)
  }
  const largest = route().streams.takeLargest(3)
  assert.deepEqual(
    largest.map(({ bytes }) => bytes),
    [5000, 4900, 4800],
  )
  assert.equal(largest[0]!.stream, keyHashText(streamHash('acme', Signal.logs, resource(49))))
  assert.deepEqual(route().streams.takeLargest(3), [])
})

void test('more streams than the bound cost their memory once, and each is still placed', () => {
  const { partitioner, route } = open(tableWith([1, 5, 9]))
  const large = Buffer.alloc(500_000)
  let greatest = 0
  for (let index = 0; index < 100; index++) {
    large.writeUInt32LE(index)
    const view = new DataView(large.buffer, large.byteOffset, large.length)
    const partition = route().begin().add(large, view, large.length, index, 0)
    assert.ok([1, 5, 9].includes(partition))
    greatest = Math.max(greatest, partitioner.streamBytes)
  }
  assert.ok(greatest <= 16 * 1024 * 1024 && greatest > 8 * 1024 * 1024)
  partitioner.adopt(tableWith([3], { version: 2 }))
  route()
  assert.equal(partitioner.streamBytes, 0)
})
