/**
 * A standalone process under load: sends, flushes until every acknowledged row is in a committed
 * file, and only then reads what the process has used ("settled"). At the end DuckDB counts the rows
 * of all files, and nothing may have been taken for a repeat.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { runLoad, type LoadResult } from '../src/load/load-run.ts'
import { grpcTransport, httpTransport } from '../src/load/load-transport.ts'
import { PayloadPool, type PoolOptions } from '../src/load/payload-pool.ts'
import { StandaloneProcess, type StandaloneOptions } from '../src/standalone-process.ts'
import { resetPeakRss, usageOf, type ProcessUsage } from './process-usage.ts'

export interface LoadShape {
  readonly transport: 'grpc' | 'http' | 'json'
  readonly connections: number
  /** Requests under way at most. */
  readonly inFlight: number
  /** Requests per second; undefined sends the next when an answer comes. */
  readonly rate?: number
}

export interface PhaseResult {
  readonly load: LoadResult
  readonly used: ProcessUsage
  /** From the first request to the last row in a committed file. */
  readonly settledSeconds: number
  readonly clientCpuUs: number
}

const SETTLE_TIMEOUT_MS = 120_000

export class StandaloneSession {
  readonly #dataDir: string
  readonly #flags: readonly string[]
  readonly #checkout: string | undefined
  #process: StandaloneProcess
  #acknowledged = 0
  #hasFailures = false

  private constructor(
    dataDir: string,
    flags: readonly string[],
    checkout: string | undefined,
    process: StandaloneProcess,
  ) {
    this.#dataDir = dataDir
    this.#flags = flags
    this.#checkout = checkout
    this.#process = process
  }

  /** Of this checkout, or of the one in the folder given. */
  static async start(flags: readonly string[] = [], checkout?: string): Promise<StandaloneSession> {
    const dataDir = await mkdtemp(join(tmpdir(), 'tributary-bench-'))
    const server = await StandaloneProcess.start(startOptions(dataDir, flags, checkout))
    return new StandaloneSession(dataDir, flags, checkout, server)
  }

  get pid(): number {
    return this.#process.pid
  }

  get dataDir(): string {
    return this.#dataDir
  }

  /** Sends without settling; rows stay in memory. */
  async send(pool: PayloadPool, shape: LoadShape, seconds: number): Promise<LoadResult> {
    const { grpcPort, httpUrl } = this.#process
    const transport =
      shape.transport === 'grpc'
        ? grpcTransport(`127.0.0.1:${grpcPort}`, pool.signal, shape.connections)
        : httpTransport(
            httpUrl,
            pool.signal,
            shape.connections,
            shape.transport === 'json' ? 'json' : 'protobuf',
          )
    const { inFlight, rate } = shape
    const load = await runLoad({ pool, transport, seconds, rate, inFlight })
    transport.close()
    this.#acknowledged += load.records
    // what was refused for lack of room on our side was never sent
    if (Object.keys(load.failures).some((status) => status !== 'unsent')) this.#hasFailures = true
    return load
  }

  /** Load, flush, wait for the commit, and what that cost. */
  async measure(pool: PayloadPool, shape: LoadShape, seconds: number): Promise<PhaseResult> {
    resetPeakRss(this.pid)
    const before = usageOf(this.pid)
    const clientBefore = process.cpuUsage()
    const startMs = performance.now()
    const load = await this.send(pool, shape, seconds)
    const client = process.cpuUsage(clientBefore)
    await this.settle()
    const settledSeconds = (performance.now() - startMs) / 1000
    const after = usageOf(this.pid)
    const used = {
      ...after,
      cpuUs: after.cpuUs - before.cpuUs,
      contextSwitches: after.contextSwitches - before.contextSwitches,
      writeCalls: after.writeCalls - before.writeCalls,
    }
    return { load, used, settledSeconds, clientCpuUs: client.user + client.system }
  }

  /** Flushes and waits until no acknowledged row is outside of a committed file. */
  async settle(): Promise<void> {
    await this.#process.flush()
    const endMs = performance.now() + SETTLE_TIMEOUT_MS
    while ((await this.metric('tributary_ingester_unflushed_rows')) > 0) {
      assert.ok(performance.now() < endMs, 'rows are committed in time')
      await sleep(20)
    }
  }

  /** Value of a metric without labels, or the sum over its labels; 0 when it has none yet. */
  async metric(name: string): Promise<number> {
    const text = await this.#metricsText()
    let sum = 0
    for (const line of text.split('\n')) {
      if (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) {
        sum += Number(line.slice(line.lastIndexOf(' ') + 1))
      }
    }
    return sum
  }

  /** Seconds since the start by their longest stall: cumulative counts by bound in seconds. */
  async stalls(): Promise<Map<number, number>> {
    const text = await this.#metricsText()
    const pattern = /^tributary_event_loop_stall_seconds_bucket\{le="([^"]+)"\} (\d+)$/gm
    return new Map(
      [...text.matchAll(pattern)].map(([, bound, count]) => [
        bound === '+Inf' ? Infinity : Number(bound),
        Number(count),
      ]),
    )
  }

  /** kill -9, then a new process on the same data; how long it took to be ready, in seconds. */
  async crashAndRestart(flags: readonly string[] = this.#flags): Promise<number> {
    await this.#process.kill('SIGKILL')
    const startMs = performance.now()
    this.#process = await StandaloneProcess.start(
      startOptions(this.#dataDir, flags, this.#checkout),
    )
    return (performance.now() - startMs) / 1000
  }

  async #metricsText(): Promise<string> {
    return (await fetch(`${this.#process.adminUrl}/metrics`)).text()
  }

  /** DuckDB finds every acknowledged row in the files, and no row was taken for a repeat. */
  async verify(): Promise<void> {
    await this.settle()
    const suppressed = await this.metric('tributary_ingester_suppressed_rows_total')
    assert.equal(suppressed, 0, 'no load was taken for a repeat')
    const stored = await countRows(join(this.#dataDir, 'store'))
    if (this.#hasFailures)
      assert.ok(stored >= this.#acknowledged, 'every acknowledged row is stored')
    else assert.equal(stored, this.#acknowledged, 'every row is stored once')
  }

  async stop(): Promise<void> {
    await this.#process.kill('SIGKILL')
    await rm(this.#dataDir, { recursive: true, force: true })
  }
}

function startOptions(
  dataDir: string,
  flags: readonly string[],
  checkout: string | undefined,
): StandaloneOptions {
  return { dataDir, flags, ...(checkout === undefined ? {} : { checkout }) }
}

async function countRows(folder: string): Promise<number> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.parquet'),
  )
  if (files.length === 0) return 0
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const list = files.map((name) => `'${join(folder, name).replaceAll("'", "''")}'`).join(', ')
  const result = await connection.runAndReadAll(
    `select count(*) from read_parquet([${list}], hive_partitioning = false, union_by_name = true)`,
  )
  connection.closeSync()
  instance.closeSync()
  return Number(result.getRows()[0]![0])
}

/** A pool whose times are now. */
export function poolOf(options: Omit<PoolOptions, 'startUnixNano'>): PayloadPool {
  return new PayloadPool({ ...options, startUnixNano: BigInt(Date.now()) * 1_000_000n })
}
