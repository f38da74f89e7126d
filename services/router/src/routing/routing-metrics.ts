/** What a router shows of its routing: the table it goes by, who sends most, and its place in the cluster. */
import { Gauge, type Registry } from '@tributary/common/metrics'
import { signalName } from '@tributary/common/signal'
import type { Membership } from '../membership.ts'
import type { Partitioner } from '../partitioner.ts'
import type { RateMeter } from './rate-meter.ts'
import type { TableKeeper } from './table-keeper.ts'
import type { TableMaker } from './table-maker.ts'

export interface RoutingParts {
  readonly partitioner: Partitioner
  readonly keeper: TableKeeper
  readonly maker: TableMaker
  readonly meter: RateMeter
  readonly membership: Membership
}

/** Tenants and signals that have a label of their own: the busiest. */
const LABELLED_MAX = 20

export function exposeRouting(registry: Registry, parts: RoutingParts): void {
  const { partitioner, keeper, maker, meter, membership } = parts
  gauge(registry, 'routing_table_version', 'Version of the routing table that is gone by', () => {
    return keeper.table.version
  })
  gauge(registry, 'routing_partitions', 'Partitions that the routing table knows', () => {
    return keeper.table.partitions
  })
  gauge(
    registry,
    'routing_table_age_seconds',
    'Since the store of the routing table was last read',
    () => keeper.ageMs / 1000,
  )
  gauge(
    registry,
    'routing_entries',
    'Tenants and signals with an entry in the routing table',
    () => {
      return keeper.table.entries.size
    },
  )
  gauge(
    registry,
    'routing_saturated_partitions',
    'Partitions that half of their streams leave out',
    () => {
      return keeper.table.saturated.size
    },
  )
  gauge(registry, 'routing_halted_partitions', 'Partitions that take no part', () => {
    return keeper.table.halted.size
  })
  gauge(registry, 'makes_routing_table', '1 while this router makes the routing table', () => {
    return maker.isMaker ? 1 : 0
  })
  gauge(
    registry,
    'beat_age_seconds',
    'Since the cluster last heard this router; NaN where it never did',
    () => (membership.ageMs ?? NaN) / 1000,
  )
  gauge(registry, 'routed_tables', 'Tenants times signals that had requests', () => {
    return [...partitioner.routes].length
  })
  gauge(registry, 'known_streams', 'Streams known of tenants with several partitions', () => {
    let count = 0
    for (const { streams } of partitioner.routes) count += streams.size
    return count
  })
  gauge(registry, 'stream_bytes', 'Memory of known streams', () => partitioner.streamBytes)
  new Gauge({
    name: 'tributary_router_tenant_bytes_per_second',
    help: 'OTLP bytes a second of the busiest tenants and signals, over half a minute',
    labelNames: ['tenant', 'signal'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { tenant, signal, rate } of meter.busiest(LABELLED_MAX)) {
        this.set({ tenant, signal: signalName(signal) ?? '' }, rate)
      }
    },
  })
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name: `tributary_router_${name}`,
    help,
    registers: [registry],
    collect() {
      this.set(read())
    },
  })
}
