/** The routing table changes under requests that are tried again: every tenant moves to other partitions. */
import { setTimeout as sleep } from 'node:timers/promises'

import { RedisRoutingStore } from '@tributary/common/metadata/redis-routing-store'
import {
  emptyRoutingTable,
  entryKey,
  parseRoutingTable,
  serializeRoutingTable,
  type RoutingTable,
} from '@tributary/common/routing/routing-table'
import { nextTable, type WantedEntry } from '@tributary/common/routing/table-history'
import { SIGNAL_NAMES, Signal } from '@tributary/common/signal'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { ClusterParts } from '../cluster/cluster-parts.ts'
import { connectToRedis } from '../cluster/redis-client.ts'
import { TENANTS } from './chaos-load.ts'
import type { Fault, Scene } from './fault.ts'

const CHANGES = 4
const PAUSE_MS_MAX = 1500
const UNHEARD_MS = 1000
/** Far longer than a request of the load stays open; a shard may change again when this is over. */
const RETRIED_MS_MAX = 300_000
/** Routers look for a new table once a second. */
const TABLE_READ_MS = 1500

export function routingFaults(): Fault[] {
  return [
    {
      id: 'table',
      name: 'routing table: replaced again and again',
      group: 'redis',
      obstacle,
      run: async ({ cluster }, random) => {
        const written = await replaceTables(cluster.parts, random, CHANGES)
        return written === 0 ? '' : `${String(written)} tables`
      },
    },
    {
      id: 'table',
      name: 'routing table: replaced between first tries and retries',
      group: 'redis',
      obstacle,
      // what is answered now is stored, and nobody hears of it: all of it comes again
      run: async ({ cluster }, random) => {
        const lines = cluster.board.between('client', 'router')
        for (const { proxy } of lines) proxy.impair('down', { isSwallowed: true })
        try {
          await sleep(UNHEARD_MS)
          const written = await replaceTables(cluster.parts, random, 1)
          await sleep(TABLE_READ_MS)
          return written === 0 ? '' : `${String(written)} tables`
        } finally {
          for (const { proxy } of lines) await proxy.heal()
        }
      },
    },
  ]
}

function obstacle({ cluster }: Scene): string | undefined {
  return cluster.parts.redis === undefined ? 'no routing table here' : undefined
}

/** @returns how many were taken: the maker writes tables of its own meanwhile */
async function replaceTables(
  { redis, partitions }: ClusterParts,
  random: SeededRandom,
  changes: number,
): Promise<number> {
  const { connection, prefix } = await connectToRedis(redis!.master.url)
  const store = new RedisRoutingStore({ connection, prefix })
  let written = 0
  try {
    for (let change = 0; change < changes; change++) {
      const stored = await store.readTable(-1)
      const previous =
        stored === undefined || stored.version === 0
          ? emptyRoutingTable(partitions)
          : parseRoutingTable(stored.text)
      const table = otherTable(previous, random)
      const { version } = table
      const text = serializeRoutingTable(table)
      if (await store.writeTable({ version, text })) written++
      await sleep(random.below(PAUSE_MS_MAX))
    }
  } finally {
    connection.close()
  }
  return written
}

/** Other shards for all, made as the maker makes them. */
function otherTable(previous: RoutingTable, random: SeededRandom): RoutingTable {
  const { partitions, saturated, halted } = previous
  const entries = new Map<string, WantedEntry>()
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  for (const tenant of TENANTS) {
    for (const signal of SIGNAL_NAMES) {
      const size = 1 + random.below(partitions)
      const shard = random.shuffled(all).slice(0, size)
      shard.sort((left, right) => left - right)
      const hot = new Map<string, number>()
      entries.set(entryKey(tenant, Signal[signal]), { tenant, signal, partitions: shard, hot })
    }
  }
  return nextTable(
    previous,
    { madeBy: 'harness', partitions, saturated, halted, entries },
    { nowUnixMs: Date.now(), windowMs: RETRIED_MS_MAX },
  )
}
