/** A router's path from the handler to a log in memory, without sockets. */
import { chunkEntries } from '@tributary/common/columnar/chunk-list'
import { systemClock, type Clock } from '@tributary/common/clock'
import { openBatch } from '@tributary/common/columnar/batch-view'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import { LIMITS } from '@tributary/common/limits'
import { createLogger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import {
  emptyRoutingTable,
  entryKey,
  type RoutingTable,
} from '@tributary/common/routing/routing-table'
import { Signal, type SignalName } from '@tributary/common/signal'
import { defaultPolicy } from '@tributary/common/tenants/tenant-policy'
import { batchToRequest } from '@tributary/common/testing/batch-request'
import type { MemoryLogBroker } from '@tributary/common/testing/memory-log-broker'
import { MemoryPartitionLog } from '@tributary/common/testing/memory-partition-log'
import type { ExportOutcome } from '../src/export-handler.ts'
import { RouterMetrics } from '../src/metrics.ts'
import { Partitioner } from '../src/partitioner.ts'
import { Brokers } from '../src/produce/brokers.ts'
import { Lanes, type LanesOptions } from '../src/produce/lanes.ts'
import { ProduceMetrics } from '../src/produce/produce-metrics.ts'
import { createRoutedHandler } from '../src/routed-handler.ts'

export const TENANT = 'default'

export interface RouterRigOptions extends Partial<
  Pick<LanesOptions, 'heldBytesMax' | 'produceTimeoutMs' | 'lingerMsMax'>
> {
  readonly clock?: Clock
  readonly table?: RoutingTable
  readonly brokerHeldBytesMax?: number
  /** Real milliseconds: opossum knows no other clock. */
  readonly resetTimeoutMs?: number
}

export interface RouterRig {
  readonly log: MemoryPartitionLog
  readonly lanes: Lanes
  readonly brokers: Brokers
  readonly partitioner: Partitioner
  send(signal: SignalName, body: Uint8Array, tenant?: string): Promise<ExportOutcome>
  close(): void
}

const POLICY = defaultPolicy({ itemAheadMaxMs: 1e15 })

/** A router of its own over the log that the broker holds. */
export function openRouter(broker: MemoryLogBroker, options: RouterRigOptions = {}): RouterRig {
  const clock = options.clock ?? systemClock
  const log = new MemoryPartitionLog(broker)
  const registry = createRegistry({ hasProcessMetrics: false })
  const brokers = new Brokers({
    log,
    logger: createLogger({ name: 'test', level: 'silent' }),
    heldBytesMax: options.brokerHeldBytesMax ?? 64 * 1024 * 1024,
    resetTimeoutMs: options.resetTimeoutMs ?? 1000,
  })
  const lanes = new Lanes({
    log,
    brokers,
    clock,
    metrics: new ProduceMetrics(registry),
    batchBytesMax: LIMITS.batchBytesMax,
    batchRowsMax: LIMITS.batchRowsMax,
    tenantsMax: 100,
    heldBytesMax: options.heldBytesMax ?? 32 * 1024 * 1024,
    produceTimeoutMs: options.produceTimeoutMs ?? 10_000,
    lingerMsMax: options.lingerMsMax ?? 0,
  })
  const partitioner = new Partitioner(options.table ?? emptyRoutingTable(log.partitionCount))
  const handler = createRoutedHandler({
    partitioner,
    lanes,
    clock,
    metrics: new RouterMetrics(registry),
  })
  return {
    log,
    lanes,
    brokers,
    partitioner,
    send: (signal, body, tenant = TENANT) =>
      handler({
        signal: Signal[signal],
        encoding: 'protobuf',
        tenant,
        policy: POLICY,
        body,
        deadlineMs: undefined,
      }),
    close: () => {
      brokers.close()
    },
  }
}

/** A table in which the default tenant has these partitions for a signal. */
export function shardTable(
  partitions: number,
  shard: readonly number[],
  signals: readonly SignalName[] = ['logs', 'spans', 'metrics'],
  hot: ReadonlyMap<string, number> = new Map(),
): RoutingTable {
  const entries = signals.map(
    (signal) =>
      [
        entryKey(TENANT, Signal[signal]),
        { tenant: TENANT, signal, partitions: shard, hot, earlier: [] },
      ] as const,
  )
  return { ...emptyRoutingTable(partitions), version: 1, entries: new Map(entries) }
}

/** The envelopes of one partition, or of all. */
export function storedEnvelopes(
  broker: MemoryLogBroker,
  partition?: number,
): ReturnType<typeof decodeEnvelope>[] {
  const partitions =
    partition === undefined
      ? Array.from({ length: broker.partitionCount }, (_, index) => index)
      : [partition]
  return partitions.flatMap((index) =>
    broker.stored(index).map(({ value }) => decodeEnvelope(value)),
  )
}

/** `<partition> <hash>` of every chunk in the log, sorted. */
export function storedChunks(broker: MemoryLogBroker): string[] {
  const chunks: string[] = []
  for (let partition = 0; partition < broker.partitionCount; partition++) {
    for (const { header } of storedEnvelopes(broker, partition)) {
      for (const { hash } of chunkEntries(header.chunks)) {
        chunks.push(`${String(partition)} ${Buffer.from(hash).toString('hex')}`)
      }
    }
  }
  return chunks.sort()
}

/** What the envelopes of a signal hold, as requests. */
export function storedRequests(broker: MemoryLogBroker, signal: SignalName): Uint8Array[] {
  return storedEnvelopes(broker)
    .filter(({ header }) => header.signal === Signal[signal])
    .map(({ arrow }) => batchToRequest(signal, openBatch(arrow)))
}
