/** A try and its retry at routers whose tables are of different versions: the same bytes, the same partition. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '@tributary/common/clock'
import { keyHashText, streamHash } from '@tributary/common/routing/key-hash'
import {
  emptyRoutingTable,
  entryKey,
  type RoutingTable,
} from '@tributary/common/routing/routing-table'
import { HEARD_AFTER_MS, nextTable } from '@tributary/common/routing/table-history'
import { Signal, SIGNAL_NAMES, type SignalName } from '@tributary/common/signal'
import { MemoryLogBroker } from '@tributary/common/testing/memory-log-broker'
import { generateProtobuf } from '@tributary/common/testing/otlp-generator'
import { payload } from '@tributary/common/testing/payloads'
import { openRouter, storedChunks, TENANT } from './router-rig.ts'

const PARTITIONS = 8
const NOW_UNIX_MS = 1_767_225_600_000
const WINDOW_MS = 600_000

/** The table after `previous` in which the tenant has this shard for all signals. */
function changed(
  previous: RoutingTable,
  partitions: readonly number[],
  nowUnixMs: number,
  hot: ReadonlyMap<string, number> = new Map(),
): RoutingTable {
  const entries = SIGNAL_NAMES.map(
    (signal) =>
      [entryKey(TENANT, Signal[signal]), { tenant: TENANT, signal, partitions, hot }] as const,
  )
  const { saturated, halted } = previous
  const wanted = { madeBy: 'r', partitions: PARTITIONS, saturated, halted }
  return nextTable(
    previous,
    { ...wanted, entries: new Map(entries) },
    { nowUnixMs, windowMs: WINDOW_MS },
  )
}

/** `<partition> <hash>` of the chunks that a router with this table makes of the requests. */
async function chunksOf(
  table: RoutingTable,
  signal: SignalName,
  bodies: readonly Uint8Array[],
): Promise<string[]> {
  const broker = new MemoryLogBroker({ clock: systemClock, seed: 1, partitions: PARTITIONS })
  const router = openRouter(broker, { table })
  for (const body of bodies) await router.send(signal, Uint8Array.from(body))
  router.close()
  return storedChunks(broker)
}

function partitionsOf(chunks: readonly string[]): number[] {
  const partitions = new Set(chunks.map((chunk) => Number(chunk.split(' ')[0])))
  return [...partitions].sort((left, right) => left - right)
}

function requestsOf(signal: SignalName, unixMs: number): Uint8Array[] {
  const startUnixNano = BigInt(unixMs) * 1_000_000n
  return [
    ...Array.from({ length: 10 }, (_, call) =>
      payload(signal, { records: 5, resources: 2, resourcesInAll: 40, call, startUnixNano }),
    ),
    payload(signal, { records: 2500, resources: 20, call: 20, startUnixNano }),
    payload(signal, { records: 2500, resources: 1, call: 21, startUnixNano }),
  ]
}

for (const signal of SIGNAL_NAMES) {
  void test(`${signal} that are tried before a change and again after it stay where they were`, async () => {
    const first = changed(emptyRoutingTable(PARTITIONS), [0, 1], NOW_UNIX_MS - 2 * WINDOW_MS)
    const second = changed(first, [4, 5, 6], NOW_UNIX_MS)
    const before = requestsOf(signal, NOW_UNIX_MS - 3000)
    const tried = await chunksOf(first, signal, before)
    assert.deepEqual(partitionsOf(tried), [0, 1])
    assert.deepEqual(await chunksOf(second, signal, before), tried)

    const since = NOW_UNIX_MS + HEARD_AFTER_MS
    const after = requestsOf(signal, since)
    const newer = await chunksOf(second, signal, after)
    assert.deepEqual(partitionsOf(newer), [4, 5, 6])
    const third = changed(second, [7], since + 60_000)
    assert.deepEqual(await chunksOf(third, signal, after), newer)
    assert.deepEqual(await chunksOf(third, signal, before), tried)
  })

  void test(`${signal} of a stream that became hot go by its old place until then, and by k after`, async () => {
    const startUnixNano = BigInt(NOW_UNIX_MS) * 1_000_000n
    const bodies = (fromMs: number): Uint8Array[] =>
      Array.from({ length: 24 }, (_, call) =>
        payload(signal, {
          ...{ records: 5, resourcesInAll: 1, call },
          startUnixNano: startUnixNano + BigInt(fromMs) * 1_000_000n,
        }),
      )
    const stream = keyHashText(streamHash(TENANT, Signal[signal], resourceOf(bodies(0)[0]!)))
    const shard = [0, 1, 2, 3, 4, 5]
    const cold = changed(emptyRoutingTable(PARTITIONS), shard, NOW_UNIX_MS - 2 * WINDOW_MS)
    const hot = changed(cold, shard, NOW_UNIX_MS, new Map([[stream, 4]]))
    const tried = await chunksOf(cold, signal, bodies(-3000))
    assert.equal(partitionsOf(tried).length, 1)
    assert.deepEqual(await chunksOf(hot, signal, bodies(-3000)), tried)
    const spread = await chunksOf(hot, signal, bodies(HEARD_AFTER_MS))
    assert.ok(partitionsOf(spread).length >= 3)
    const cool = changed(hot, shard, NOW_UNIX_MS + 120_000)
    assert.deepEqual(await chunksOf(cool, signal, bodies(HEARD_AFTER_MS)), spread)
    assert.deepEqual(await chunksOf(cool, signal, bodies(-3000)), tried)
  })

  void test(`${signal} of all kinds and times are placed alike by tables of before and after`, async () => {
    const middleMs = Number((1n << 63n) / 1_000_000n)
    const first = changed(emptyRoutingTable(PARTITIONS), [0, 1], 1 - HEARD_AFTER_MS)
    const second = withEarlier(changed(first, [4, 5], middleMs - HEARD_AFTER_MS), first)
    // after all items that there are
    const third = withEarlier(changed(second, [6], 1.8e13), second)
    const bodies = Array.from({ length: 25 }, (_, seed) =>
      generateProtobuf(signal, seed + 1, { timeMaxUnixNano: 17_900_000_000_000_000_000n }),
    )
    const tried = await chunksOf(second, signal, bodies)
    const used = partitionsOf(tried)
    assert.ok(used.some((partition) => partition < 2) && used.some((partition) => partition > 3))
    assert.deepEqual(await chunksOf(third, signal, bodies), tried)
  })
}

/** A table with all that the one before knew: no window is as long as all times. */
function withEarlier(table: RoutingTable, before: RoutingTable): RoutingTable {
  const entries = new Map(
    [...table.entries].map(([key, entry]) => {
      const last = entry.earlier.at(-1)!
      return [key, { ...entry, earlier: [...before.entries.get(key)!.earlier, last] }]
    }),
  )
  return { ...table, entries }
}

/** The resource of the first part of a request, with its tag. */
function resourceOf(body: Uint8Array): Uint8Array {
  const part = body.subarray(fieldOne(body).start)
  return part.subarray(0, fieldOne(part).end)
}

/** Where field 1, which comes first, has its payload. */
function fieldOne(message: Uint8Array): { start: number; end: number } {
  assert.equal(message[0], 0x0a)
  let start = 1
  let length = 0
  for (let shift = 0; ; shift += 7) {
    const byte = message[start++]!
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) return { start, end: start + length }
  }
}
