/**
 * Open-loop load: requests leave at a fixed rate whether or not answers have come, and a latency
 * counts from the moment at which the request was due, so a stalled server can't hide behind a
 * client that waits with it. With no rate, `inFlight` requests are kept under way instead.
 */
import type { LoadTransport } from './load-transport.ts'
import type { PayloadPool } from './payload-pool.ts'

export interface LoadOptions {
  readonly pool: PayloadPool
  readonly transport: LoadTransport
  readonly seconds: number
  /** Requests per second; undefined keeps `inFlight` under way. */
  readonly rate: number | undefined
  readonly inFlight: number
}

export interface LoadResult {
  readonly seconds: number
  readonly requests: number
  readonly records: number
  readonly recordsPerSecond: number
  /** Answers other than OK by status; a request not sent for lack of room counts as `unsent`. */
  readonly failures: Readonly<Record<string, number>>
  readonly latencyMs: {
    readonly p50: number
    readonly p99: number
    readonly p999: number
    readonly max: number
  }
}

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { pool, seconds } = options
  const latencies: number[] = []
  const failures: Record<string, number> = {}
  const startMs = performance.now()
  const record = (outcome: string, dueMs: number): void => {
    if (outcome === 'ok') latencies.push(performance.now() - dueMs)
    else failures[outcome] = (failures[outcome] ?? 0) + 1
  }
  await (options.rate === undefined
    ? closedLoop(options, startMs, record)
    : openLoop(options, options.rate, startMs, record))
  const elapsed = (performance.now() - startMs) / 1000
  latencies.sort((left, right) => left - right)
  const quantile = (q: number): number =>
    Math.round(
      (latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))] ?? 0) * 100,
    ) / 100
  return {
    seconds: Math.max(elapsed, seconds),
    requests: latencies.length,
    records: latencies.length * pool.records,
    recordsPerSecond: Math.round((latencies.length * pool.records) / elapsed),
    failures,
    latencyMs: { p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999), max: quantile(1) },
  }
}

type Recorder = (outcome: string, dueMs: number) => void

async function closedLoop(options: LoadOptions, startMs: number, record: Recorder): Promise<void> {
  const { pool, transport } = options
  const endMs = startMs + options.seconds * 1000
  const lanes = Array.from({ length: Math.min(options.inFlight, pool.requests) }, async () => {
    while (performance.now() < endMs) {
      const request = pool.take()
      if (request === undefined) return
      const dueMs = performance.now()
      record(await transport.send(request.body), dueMs)
      pool.give(request)
    }
  })
  await Promise.all(lanes)
}

/**
 * Sends what is due every millisecond; at most `inFlight` at a time and no more than the pool has,
 * the rest counts as unsent.
 */
async function openLoop(
  options: LoadOptions,
  rate: number,
  startMs: number,
  record: Recorder,
): Promise<void> {
  const total = Math.floor(rate * options.seconds)
  const underWay = new Set<Promise<void>>()
  let sent = 0
  while (sent < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startMs) / 1000) * rate) + 1)
    for (; sent < due; sent++) {
      const dueMs = startMs + (sent / rate) * 1000
      const request = underWay.size < options.inFlight ? options.pool.take() : undefined
      if (request === undefined) {
        record('unsent', dueMs)
        continue
      }
      const sending = options.transport.send(request.body).then((outcome) => {
        record(outcome, dueMs)
        options.pool.give(request)
        underWay.delete(sending)
      })
      underWay.add(sending)
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(underWay)
}
