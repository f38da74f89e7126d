/** The routers of one cluster as far as its routing table goes, over stores in memory. */
import { entryKey, emptyRoutingTable } from '@tributary/common/routing/routing-table'
import { createLogger } from '@tributary/common/logger'
import { Signal } from '@tributary/common/signal'
import { MemoryClusterStore } from '@tributary/common/testing/memory-cluster-metadata'
import {
  MemoryRoutingState,
  MemoryRoutingStore,
} from '@tributary/common/testing/memory-routing-store'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import { Membership } from '../../src/membership.ts'
import { Partitioner } from '../../src/partitioner.ts'
import { RateMeter } from '../../src/routing/rate-meter.ts'
import { TableKeeper } from '../../src/routing/table-keeper.ts'
import { TableMaker } from '../../src/routing/table-maker.ts'

export const TARGET_RATE = 1000
export const RETRY_WINDOW_MS = 600_000
const logger = createLogger({ name: 'test', level: 'silent' })

export interface TestRouter {
  readonly partitioner: Partitioner
  readonly keeper: TableKeeper
  readonly maker: TableMaker
  readonly store: MemoryRoutingStore
  readonly membership: Membership
  readonly meter: RateMeter
  start(): Promise<void>
  stop(): Promise<void>
  /** Nothing of it happens any more, as after kill -9. */
  kill(): void
}

export class TestCluster {
  readonly clock = new VirtualClock()
  readonly log = { partitionCount: 12 }
  readonly members: MemoryClusterStore
  readonly routing = new MemoryRoutingState()

  constructor(seed: number) {
    const random = new SeededRandom(seed)
    this.members = new MemoryClusterStore({ clock: this.clock, random })
  }

  router(name: string): TestRouter {
    const { clock, log } = this
    const id = `${name}-1`
    const store = new MemoryRoutingStore(this.routing, this.members.calls)
    const membership = new Membership({
      metadata: this.members.connect(),
      member: { id, name, role: 'router', address: `${name}:1` },
      status: () => '{}',
      beatIntervalMs: 1000,
      timeToLiveMs: 5000,
      clock,
      logger,
    })
    const partitioner = new Partitioner(emptyRoutingTable(log.partitionCount))
    const meter = new RateMeter(partitioner, clock)
    const keeper = new TableKeeper({ store, log, partitioner, clock, logger })
    const maker = new TableMaker({
      store,
      members: () => membership.members,
      log,
      keeper,
      meter,
      clock,
      logger,
      member: id,
      name,
      targetRate: TARGET_RATE,
      retryWindowMs: RETRY_WINDOW_MS,
      logTime: { nowUnixMs: undefined },
    })
    return {
      partitioner,
      keeper,
      maker,
      store,
      membership,
      meter,
      start: async () => {
        await membership.start()
        await keeper.start()
        maker.start()
      },
      stop: async () => {
        await maker.stop()
        await keeper.stop()
        await membership.stop()
      },
      kill: () => {
        store.line.isCut = true
      },
    }
  }

  /** Lets time pass in which each router gets this many OTLP bytes a second of the tenant's logs. */
  async load(
    routers: readonly TestRouter[],
    seconds: number,
    bytesPerSecond: number,
    tenant = 'acme',
  ): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      for (const { partitioner } of routers) {
        partitioner.route(tenant, Signal.logs).bytes += bytesPerSecond
      }
      await this.clock.advance(1000)
    }
  }
}

export function shardOf(router: TestRouter, tenant = 'acme'): readonly number[] {
  return router.keeper.table.entries.get(entryKey(tenant, Signal.logs))?.partitions ?? []
}
