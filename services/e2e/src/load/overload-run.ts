/**
 * A router and an ingester that are asked for more than they can: what they take is bounded by lines to
 * the brokers of a fixed width, so that "capacity" means the same on every machine and the client has
 * CPU left to ask for ten times as much. Measured: what clients hear, how long an OK takes, what memory
 * is held, and how long it takes until all is committed, without anybody's help.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'

import type { ObjectStore } from '@tributary/common/object-store/object-store'

import type { Cluster } from '../cluster/cluster.ts'
import { runLoad, type LoadResult } from './load-run.ts'
import { grpcTransport } from './load-transport.ts'
import type { PayloadPool } from './payload-pool.ts'

export interface OverloadOptions {
  readonly cluster: Cluster
  readonly store: ObjectStore
  readonly pool: PayloadPool
  /** Of each phase; the sustained one lasts twice as long. */
  readonly seconds: number
  /** Names of tenants that the load is spread over. */
  readonly tenants: number
  readonly report: (line: string) => void
}

export interface OverloadPhase {
  readonly name: string
  /** Requests per second that were asked for; undefined: as fast as answers come. */
  readonly rate: number | undefined
  readonly load: LoadResult
  /** Highest resident set meanwhile, of all processes of the role, bytes. */
  readonly peakRssBytes: Readonly<Record<'router' | 'ingester', number>>
  /** From the last answer until the chains reach the log's end. */
  readonly drainSeconds: number
}

/** Of each connection from the router to a broker, and of each fetch of the ingester. */
const ROUTER_BYTES_PER_SECOND = 1_000_000
const INGESTER_BYTES_PER_SECOND = 2_000_000
const CONNECTIONS = 4
/** Calls of all connections together that may wait: HTTP/2 allows 128 each. */
const IN_FLIGHT = 480
const DRAIN_TIMEOUT_MS = 180_000

/** Capacity, a burst of ten times as much, and twice as much for longer; each until all is committed. */
export async function runOverload(options: OverloadOptions): Promise<OverloadPhase[]> {
  const { cluster, seconds } = options
  narrowLines(cluster)
  const capacity = await runPhase(options, 'capacity', undefined, seconds)
  const rate = capacity.load.requests / capacity.load.seconds
  assert.ok(rate > 0)
  return [
    capacity,
    await runPhase(options, 'half of it', 0.5 * rate, seconds),
    await runPhase(options, 'burst of 10x', 10 * rate, seconds),
    await runPhase(options, 'sustained 2x', 2 * rate, 2 * seconds),
  ]
}

function narrowLines({ board }: Cluster): void {
  for (const { proxy } of board.between('router', 'broker')) {
    proxy.impair('up', { bytesPerSecond: ROUTER_BYTES_PER_SECOND })
  }
  for (const { proxy } of board.between('ingester', 'broker')) {
    proxy.impair('down', { bytesPerSecond: INGESTER_BYTES_PER_SECOND })
  }
}

async function runPhase(
  { cluster, store, pool, tenants, report }: OverloadOptions,
  name: string,
  rate: number | undefined,
  seconds: number,
): Promise<OverloadPhase> {
  const pids = {
    router: cluster.ofRole('router').map(({ current }) => current!.pid),
    ingester: cluster.ofRole('ingester').map(({ current }) => current!.pid),
  }
  for (const pid of [...pids.router, ...pids.ingester]) forgetPeak(pid)
  const address = `127.0.0.1:${String(cluster.ofRole('router')[0]!.current!.port('grpc'))}`
  const transport = grpcTransport(address, pool.signal, CONNECTIONS, tenants)
  const inFlight = rate === undefined ? 4 * tenants : IN_FLIGHT
  const load = await runLoad({ pool, transport, seconds, rate, inFlight })
  transport.close()
  const endMs = performance.now()
  await cluster.drain(store, DRAIN_TIMEOUT_MS)
  const drainSeconds = (performance.now() - endMs) / 1000
  const peak = (of: readonly number[]): number => of.reduce((sum, pid) => sum + peakBytes(pid), 0)
  const peakRssBytes = { router: peak(pids.router), ingester: peak(pids.ingester) }
  report(`${name}: ${JSON.stringify({ rate, ...load, peakRssBytes, drainSeconds })}`)
  return { name, rate, load, peakRssBytes, drainSeconds }
}

/** Linux: the highest resident set counts from now. */
function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${String(pid)}/clear_refs`, '5')
}

function peakBytes(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024
}
