/**
 * A router and an ingester that are asked for more than they can: what they take is bounded by lines to
 * the brokers of a fixed width, so that "capacity" means the same on every machine and the client has
 * CPU left to ask for ten times as much. Measured: what clients hear, how long an OK takes, what memory
 * is held, and how long it takes until all is committed, without anybody's help. Then, with wide lines,
 * what a tenant notices of another that sends fifty times as much as it did.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ObjectStore } from '@tributary/common/object-store/object-store'

import { Cluster } from '../cluster/cluster.ts'
import { uncommittedPartitions } from '../cluster/chain-ends.ts'
import { TOPIC } from '../cluster/cluster-parts.ts'
import { runLoad, type LoadResult } from './load-run.ts'
import { grpcTransport } from './load-transport.ts'
import type { PayloadPool } from './payload-pool.ts'

export interface OverloadOptions {
  /** Of `startOverloadCluster`. */
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

/** The tenant that stays as it is, while another sends as it does and then fifty times as much. */
export interface NeighbourPhase {
  readonly name: string
  readonly load: LoadResult
  readonly neighbour: LoadResult
}

export interface OverloadResult {
  readonly phases: readonly OverloadPhase[]
  readonly neighbours: readonly NeighbourPhase[]
}

const MIB = 1024 * 1024
/** What the router admits: small, so that it is full within a second. */
export const IN_FLIGHT_MIB_MAX = 16
/** Of the tenant with a rate: twice what it sends usually, far below fifty times as much. */
const BOUNDED = { name: 'bounded', bytesPerSecond: '600KiB' } as const
/** Of each connection from the router to a broker, and of each fetch of the ingester. */
const ROUTER_BYTES_PER_SECOND = 1_000_000
const INGESTER_BYTES_PER_SECOND = 2_000_000
const CONNECTIONS = 8
/** Calls of all connections together that may wait: HTTP/2 allows 128 each. */
const IN_FLIGHT = 960
const DRAIN_TIMEOUT_MS = 180_000
const DRAIN_POLL_MS = 250
/** Requests per second of the tenant that stays as it is. */
const QUIET_RATE = 10
const NOISE_FACTOR = 50
export const BESIDE_USUAL = 'beside one like it'
export const BESIDE_NOISY = 'beside one at 50x'
export const BESIDE_BOUNDED = 'beside one at 50x that has a rate'

/** One router, one ingester. */
export async function startOverloadCluster(): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-tenants-'))
  const settings = join(folder, 'tenants.json')
  const tenants = { [BOUNDED.name]: { bytesPerSecond: BOUNDED.bytesPerSecond } }
  await writeFile(settings, JSON.stringify({ format: 1, tenants }))
  try {
    const inFlight = `--inflight-bytes-max=${String(IN_FLIGHT_MIB_MAX)}MiB`
    return await Cluster.start({
      ...{ seed: 1, isStandalone: false, routers: 1, ingesters: 1, partitions: 6 },
      flags: { router: [inFlight, `--tenant-settings=${settings}`] },
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Capacity, half of it, a burst of ten times as much, and twice as much for longer; then neighbours. */
export async function runOverload(options: OverloadOptions): Promise<OverloadResult> {
  const { cluster, seconds } = options
  narrowLines(cluster)
  const capacity = await runPhase(options, 'capacity', undefined, seconds)
  const rate = capacity.load.requests / capacity.load.seconds
  assert.ok(rate > 0)
  const phases = [
    capacity,
    await runPhase(options, 'half of it', 0.5 * rate, seconds),
    await runPhase(options, 'burst of 10x', 10 * rate, seconds),
    await runPhase(options, 'sustained 2x', 2 * rate, 2 * seconds),
  ]
  await cluster.board.heal()
  const neighbours = [
    await runNeighbours(options, BESIDE_USUAL, 'noisy', QUIET_RATE),
    await runNeighbours(options, BESIDE_NOISY, 'noisy', NOISE_FACTOR * QUIET_RATE),
    await runNeighbours(options, BESIDE_BOUNDED, BOUNDED.name, NOISE_FACTOR * QUIET_RATE),
  ]
  return { phases, neighbours }
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
  const transport = grpcTransport(addressOf(cluster), pool.signal, CONNECTIONS, tenants)
  const inFlight = rate === undefined ? 4 * tenants : IN_FLIGHT
  const load = await runLoad({ pool, transport, seconds, rate, inFlight })
  transport.close()
  const endMs = performance.now()
  await untilCommitted(cluster, store)
  const drainSeconds = (performance.now() - endMs) / 1000
  const peak = (of: readonly number[]): number => of.reduce((sum, pid) => sum + peakBytes(pid), 0)
  const peakRssBytes = { router: peak(pids.router), ingester: peak(pids.ingester) }
  report(`${name}: ${JSON.stringify({ rate, ...load, peakRssBytes, drainSeconds })}`)
  return { name, rate, load, peakRssBytes, drainSeconds }
}

async function runNeighbours(
  { cluster, store, pool, seconds, report }: OverloadOptions,
  name: string,
  other: string,
  noise: number,
): Promise<NeighbourPhase> {
  const send = async (tenant: string, rate: number, forSeconds: number): Promise<LoadResult> => {
    const transport = grpcTransport(addressOf(cluster), pool.signal, 1, tenant)
    try {
      return await runLoad({ pool, transport, seconds: forSeconds, rate, inFlight: 100 })
    } finally {
      transport.close()
    }
  }
  // the other first, so that what a rate lets through at once is used up
  const others = send(other, noise, 3 * seconds)
  await sleep(1000 * seconds)
  const load = await send('quiet', QUIET_RATE, 2 * seconds)
  const neighbour = await others
  await untilCommitted(cluster, store)
  report(`${name}: ${JSON.stringify({ load, neighbour })}`)
  return { name, load, neighbour }
}

/** Nobody is asked to flush. */
async function untilCommitted(cluster: Cluster, store: ObjectStore): Promise<void> {
  const deadlineMs = performance.now() + DRAIN_TIMEOUT_MS
  for (;;) {
    const behind = await uncommittedPartitions(store, cluster.parts.kafka!, TOPIC)
    if (behind.length === 0) return
    if (performance.now() > deadlineMs) throw new Error(behind.join('; '))
    await sleep(DRAIN_POLL_MS)
  }
}

function addressOf(cluster: Cluster): string {
  return `127.0.0.1:${String(cluster.ofRole('router')[0]!.current!.port('grpc'))}`
}

/** Linux: the highest resident set counts from now. */
function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${String(pid)}/clear_refs`, '5')
}

function peakBytes(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024
}

/**
 * V8's young generation, where a machine has memory for it: it grows to two halves of 64 MiB under
 * small requests and stays there. A router that held 320 MiB had 134 MB of it.
 */
const YOUNG_MIB = 128
/** An idle process, V8's, and four times what requests may hold: they themselves and what they became. */
export const PEAK_MIB_MAX = {
  router: 160 + YOUNG_MIB + 4 * IN_FLIGHT_MIB_MAX,
  ingester: 400,
} as const

export function peakMib({ peakRssBytes }: OverloadPhase, role: 'router' | 'ingester'): number {
  return Math.round(peakRssBytes[role] / MIB)
}
