/**
 * A Tributary cluster on this machine: real brokers, Redis and S3 server, routers and ingesters as
 * processes of their own, a proxy on every connection. Or, without routers and ingesters, a standalone
 * process on the S3 server.
 */
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { freePort } from '@tributary/common/testing/free-port'
import type { S3Server } from '@tributary/common/testing/s3-server'

import type { ProcessEnd, ProcessRole } from './cluster-process.ts'
import { uncommittedPartitions } from './chain-ends.ts'
import { ClusterParts, TOPIC } from './cluster-parts.ts'
import { ClusterProcess } from './cluster-process.ts'
import { LineBoard } from './line-board.ts'
import { roleFlags, type RoleFacts } from './role-flags.ts'
import { SmallDisk } from './small-disk.ts'

export interface ClusterOptions {
  readonly seed: number
  /** One process without Kafka and Redis, in place of routers and ingesters. */
  readonly isStandalone: boolean
  readonly routers: number
  readonly ingesters: number
  readonly partitions: number
  /** A store that was there before and stays afterwards; default one of its own. */
  readonly store?: S3Server
  /** Of a role, behind those of `roleFlags`. */
  readonly flags?: Partial<Readonly<Record<ProcessRole, readonly string[]>>>
  /** Checkout of an older build with its modules: every second process of a role starts from it. */
  readonly olderBuild?: string
  readonly onEnd?: (end: ProcessEnd) => void
}

/** Where clients send to: proxies in front of a process that takes OTLP. */
export interface Entrance {
  readonly grpc: string
  readonly http: string
}

const COMMAND_PATH = 'services/cli/src/main.ts'
const READY_POLL_MS = 50
const DRAIN_POLL_MS = 300

export class Cluster {
  readonly folder: string
  readonly board: LineBoard
  readonly parts: ClusterParts
  readonly processes: ClusterProcess[] = []
  readonly entrances: Entrance[] = []
  readonly #options: ClusterOptions

  private constructor(
    folder: string,
    board: LineBoard,
    parts: ClusterParts,
    options: ClusterOptions,
  ) {
    this.folder = folder
    this.board = board
    this.parts = parts
    this.#options = options
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const { seed, isStandalone, partitions } = options
    const folder = await mkdtemp(join(tmpdir(), 'tributary-cluster-'))
    await mkdir(join(folder, 'logs'))
    const board = new LineBoard(seed)
    const parts = await ClusterParts.start({
      ...{ board, seed, hasCluster: !isStandalone, partitions },
      ...(options.store === undefined ? {} : { store: options.store }),
    })
    const cluster = new Cluster(folder, board, parts, options)
    try {
      await cluster.#addAll()
      await Promise.all(cluster.processes.map((each) => each.start()))
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  get hasCluster(): boolean {
    return this.parts.kafka !== undefined
  }

  ofRole(role: ProcessRole): ClusterProcess[] {
    return this.processes.filter((each) => each.role === role)
  }

  /** All that the processes of a role have logged, one text each. */
  logsOf(role: ProcessRole): string[] {
    return this.ofRole(role).map(({ name }) =>
      readFileSync(join(this.folder, 'logs', name), 'utf8'),
    )
  }

  /** Ends every fault of network and store. */
  async heal(): Promise<void> {
    this.parts.storeFaults.heal()
    await this.board.heal()
  }

  /** Every process serves. @throws Error after `timeoutMs` */
  async untilReady(timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    for (const each of this.processes) {
      while (!(await isServing(each))) {
        if (performance.now() > deadlineMs) {
          throw new Error(`${each.name} is not ready again:\n${each.current?.log ?? 'not running'}`)
        }
        await sleep(READY_POLL_MS)
      }
    }
  }

  /** All that was acknowledged is in committed files. @throws Error after `timeoutMs` */
  async drain(store: ObjectStore, timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    await Promise.all(this.processes.map((each) => flush(each, timeoutMs)))
    const { kafka } = this.parts
    if (kafka === undefined) return
    for (;;) {
      const behind = await uncommittedPartitions(store, kafka, TOPIC)
      if (behind.length === 0) return
      if (performance.now() > deadlineMs) throw new Error(behind.join('; '))
      await sleep(DRAIN_POLL_MS)
    }
  }

  /** Stops the processes as an operator would. @returns those that did not end with 0 */
  async stopProcesses(): Promise<string[]> {
    const statuses = await Promise.all(
      this.processes.map(async (each) => [each.name, await each.stop()] as const),
    )
    return statuses
      .filter(([, status]) => status !== 0)
      .map(([name, status]) => `${name} ended with ${String(status)}`)
  }

  /** Ends everything at once; the folder stays where `isKept`. */
  async stop(isKept = false): Promise<void> {
    await Promise.all(this.processes.map((each) => each.stop('SIGKILL')))
    await this.board.stop()
    await this.parts.stop()
    for (const { disk } of this.processes) disk?.unmount()
    if (!isKept) await rm(this.folder, { recursive: true, force: true })
  }

  async #addAll(): Promise<void> {
    const { isStandalone, routers, ingesters } = this.#options
    if (isStandalone) {
      await this.#add('standalone', 'standalone-1')
      return
    }
    for (let n = 1; n <= ingesters; n++) await this.#add('ingester', `ingester-${String(n)}`)
    for (let n = 1; n <= routers; n++) await this.#add('router', `router-${String(n)}`)
  }

  async #add(role: ProcessRole, name: string): Promise<void> {
    const { parts } = this
    const { olderBuild, flags = {} } = this.#options
    const disk = role === 'router' ? undefined : await SmallDisk.create(join(this.folder, name))
    const facts: RoleFacts = {
      name,
      dataDir: disk?.path ?? '',
      storeUrl: parts.storeUrl,
      storeEndpoint: role === 'router' ? '' : await this.#layStore(role, name),
      brokers: role === 'standalone' ? [] : parts.brokersOf[role],
      redisUrl: role === 'standalone' ? '' : await this.#layRedis(role, name),
      ports: { grpc: await freePort(), http: await freePort(), admin: await freePort() },
    }
    if (role !== 'ingester') await this.#layEntrance(role, name, facts.ports)
    const options = {
      ...{ role, name, disk, flags: [...roleFlags(role, facts), ...(flags[role] ?? [])] },
      environment: parts.storeEnvironment,
      logFile: join(this.folder, 'logs', name),
      ...(olderBuild === undefined ? {} : { olderCommand: join(olderBuild, COMMAND_PATH) }),
    }
    const added = new ClusterProcess(options, (end) => this.#options.onEnd?.(end))
    added.isOlderBuild = olderBuild !== undefined && this.ofRole(role).length % 2 === 0
    this.processes.push(added)
  }

  async #layStore(role: 'ingester' | 'standalone', name: string): Promise<string> {
    const { board, parts } = this
    const { port } = await board.lay(role, 'store', `${name} store`, parts.storeFaults.port)
    return `http://127.0.0.1:${String(port)}`
  }

  async #layRedis(role: 'router' | 'ingester', name: string): Promise<string> {
    const line = await this.board.lay(role, 'redis', `${name} redis`)
    this.parts.redis?.attach(line)
    return `redis://127.0.0.1:${String(line.port)}`
  }

  async #layEntrance(
    role: 'router' | 'standalone',
    name: string,
    ports: RoleFacts['ports'],
  ): Promise<void> {
    const grpc = await this.board.lay('client', role, `${name} grpc`, ports.grpc)
    const http = await this.board.lay('client', role, `${name} http`, ports.http)
    this.entrances.push({
      grpc: `127.0.0.1:${String(grpc.port)}`,
      http: `http://127.0.0.1:${String(http.port)}`,
    })
  }
}

/** Asks a process that writes files to write what it has. */
async function flush({ role, name, current }: ClusterProcess, timeoutMs: number): Promise<void> {
  if (role === 'router') return
  if (current === undefined) throw new Error(`${name} is not running`)
  const signal = AbortSignal.timeout(timeoutMs)
  const answer = await fetch(`${current.adminUrl}/flush`, { method: 'POST', signal })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${name} does not flush: ${String(answer.status)} ${text}`)
}

async function isServing({ current }: ClusterProcess): Promise<boolean> {
  if (current === undefined || !current.isRunning) return false
  try {
    const answer = await fetch(`${current.adminUrl}/readyz`, { signal: AbortSignal.timeout(2000) })
    await answer.arrayBuffer()
    return answer.ok
  } catch {
    return false
  }
}
