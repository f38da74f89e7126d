/**
 * A real OpenTelemetry Collector, its exporters with their own defaults of retry and queue, and the Go
 * telemetrygen before two routers, while brokers, routers and ingesters are killed one after another:
 * what was accepted is stored once, and the collector drops nothing. COLLECTOR_KILL_ROUNDS makes it
 * longer: a round kills each process of each role once.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { DuckDBInstance } from '@duckdb/node-api'

import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { SignalName } from '@tributary/common/signal'
import { freePort } from '@tributary/common/testing/free-port'
import { verifyStore } from '@tributary/common/verify/verify'

import { CollectorProcess } from '../src/clients/collector-process.ts'
import { writeRotatingLog } from '../src/clients/rotating-log.ts'
import { runTelemetrygen } from '../src/clients/telemetrygen.ts'
import { Cluster } from '../src/cluster/cluster.ts'
import { TOPIC } from '../src/cluster/cluster-parts.ts'
import { StoreCopy } from '../src/oracle/store-copy.ts'

const ROUNDS = Number(process.env['COLLECTOR_KILL_ROUNDS'] ?? 1)
const ROUND_SECONDS = 24
const HOLD_MS = 800
const BURST = 20
const BURSTS_PER_SECOND = 2
const LINES = BURST * BURSTS_PER_SECOND * ROUND_SECONDS * ROUNDS
/** Per worker of telemetrygen, which has two; a trace has two spans. */
const GENERATED_PER_SECOND = 10
const GENERATED = GENERATED_PER_SECOND * ROUND_SECONDS * ROUNDS
/** Without a rate: its SDK drops what its queue of 2,048 spans can't hold; this makes 960. */
const GENERATED_AT_ONCE = 240
/** Retries wait 5 s at first, half as long again each time, 30 s at most. */
const DELIVERED_TIMEOUT_MS = 120_000
const DRAIN_TIMEOUT_MS = 60_000
const POLL_MS = 200

/** An exporter to a router; its tenant tells its rows from those of the others. */
interface Route {
  readonly tenant: string
  readonly exporter: string
  readonly config: object
}

function routesTo(cluster: Cluster): Route[] {
  return cluster.entrances.flatMap(({ grpc, http }, index) => {
    const route = (kind: 'otlp' | 'otlphttp', target: object): Route => {
      const tenant = `${kind}-${String(index + 1)}`
      const headers = { 'x-tributary-tenant': tenant }
      return { tenant, exporter: `${kind}/${tenant}`, config: { ...target, headers } }
    }
    return [
      route('otlp', { endpoint: grpc, tls: { insecure: true } }),
      route('otlphttp', { endpoint: http }),
    ]
  })
}

void describe('a collector before two routers', () => {
  let folder: string
  let receiverPort: number
  let cluster: Cluster
  let store: ObjectStore
  let routes: Route[]
  let collector: CollectorProcess
  let written: string[]
  const unexpected: string[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-collected-'))
    receiverPort = await freePort()
    cluster = await Cluster.start({
      ...{ seed: 1, isStandalone: false, routers: 2, ingesters: 2, partitions: 4 },
      onEnd: ({ name, status, isExpected, log }) => {
        if (!isExpected) unexpected.push(`${name} ended with ${String(status)}\n${log}`)
      },
    })
    store = await cluster.parts.openStore()
    routes = routesTo(cluster)
    collector = await CollectorProcess.start(collectorConfig())
  })

  after(async () => {
    await collector.stop()
    await store.close()
    await cluster.stop()
    await rm(folder, { recursive: true, force: true })
  })

  void it('drops nothing while brokers, routers and ingesters are killed', async () => {
    const path = join(folder, 'app.log')
    const pauseMs = 1000 / BURSTS_PER_SECOND
    const writing = writeRotatingLog({
      path,
      lines: LINES,
      rotateEvery: 400,
      burst: BURST,
      pauseMs,
    })
    const generating = (['logs', 'traces', 'metrics'] as const).map((signal) =>
      runTelemetrygen(
        signal,
        `127.0.0.1:${String(receiverPort)}`,
        `--${signal}=${String(GENERATED)}`,
        `--rate=${String(GENERATED_PER_SECOND)}`,
      ),
    )
    for (let round = 0; round < ROUNDS; round++) await killAll(cluster)
    written = await writing
    await Promise.all(generating)
    await delivered('log_records', LINES + 2 * GENERATED)
    await delivered('spans', 4 * GENERATED)
    await delivered('metric_points', 2 * GENERATED)
    assert.deepEqual(await countedFailures(), [], collector.log)
    await collector.stop()
    assert.doesNotMatch(collector.log, /[Dd]ropping data/)
    assert.deepEqual(unexpected, [])
  })

  void it('has telemetrygen served by the other brokers while one is gone', async () => {
    const { kafka } = cluster.parts
    await kafka!.kill(2)
    for (const [index, { grpc, http }] of cluster.entrances.entries()) {
      const service = `--service=alone-${String(index)}`
      await runTelemetrygen('traces', grpc, service, `--traces=${String(GENERATED_AT_ONCE)}`)
      const { host } = new URL(http)
      await runTelemetrygen(
        'traces',
        host,
        service,
        '--otlp-http',
        `--traces=${String(GENERATED_AT_ONCE)}`,
      )
    }
    await kafka!.restart(2)
  })

  void it('has everything stored once, and verify proves the store', async () => {
    await cluster.untilReady(DRAIN_TIMEOUT_MS)
    await cluster.drain(store, DRAIN_TIMEOUT_MS)
    assert.deepEqual((await verifyStore(store)).problems, [])
    await withReader(store, async (reader) => {
      const expected = [...written].sort()
      for (const { tenant } of routes) {
        const lines = `select body from rows where "attributes.log.file.name" is not null`
        const bodies = await reader(tenant, 'logs', lines)
        assert.deepEqual(bodies.flat().sort(), expected, tenant)
        assert.deepEqual(await generatedRows(reader, tenant), {
          ...{ logs: [2 * GENERATED, 2 * GENERATED], metrics: [2 * GENERATED, 2 * GENERATED] },
          spans: [4 * GENERATED, 4 * GENERATED],
        })
      }
      const alone = `select count(*)::int, count(distinct trace_id || span_id)::int from rows`
      const count = cluster.entrances.length * 8 * GENERATED_AT_ONCE
      assert.deepEqual(await reader('default', 'spans', alone), [[count, count]])
    })
  })

  function collectorConfig(): Parameters<typeof CollectorProcess.start>[0] {
    const exporters = routes.map(({ exporter }) => exporter)
    const endpoint = `127.0.0.1:${String(receiverPort)}`
    const generated = { receivers: ['otlp'], processors: ['batch'], exporters }
    return {
      receivers: {
        filelog: { include: [join(folder, 'app.log*')], start_at: 'beginning' },
        otlp: { protocols: { grpc: { endpoint } } },
      },
      processors: { batch: {} },
      exporters: Object.fromEntries(routes.map(({ exporter, config }) => [exporter, config])),
      pipelines: {
        logs: { receivers: ['filelog'], exporters },
        'logs/generated': generated,
        traces: generated,
        metrics: generated,
      },
    }
  }

  async function countedFailures(): Promise<string[]> {
    const kinds = ['log_records', 'spans', 'metric_points']
    const names = kinds.flatMap((kind) => [`send_failed_${kind}`, `enqueue_failed_${kind}`])
    const counts = await Promise.all(
      names.map(async (name) => [name, [...(await collector.counts(`exporter_${name}`))]] as const),
    )
    return counts.flatMap(([name, exporters]) =>
      exporters.filter(([, count]) => count > 0).map(([exporter]) => `${name} of ${exporter}`),
    )
  }

  /** Waits until every exporter has an answer for all that the receivers took. */
  async function delivered(kind: string, items: number): Promise<void> {
    let counts: unknown
    for (const deadline = Date.now() + DELIVERED_TIMEOUT_MS; Date.now() < deadline;) {
      const sent = await collector.counts(`exporter_sent_${kind}`)
      if (routes.every(({ exporter }) => (sent.get(exporter) ?? 0) >= items)) return
      counts = [...sent]
      await sleep(POLL_MS)
    }
    assert.fail(`${kind}: ${JSON.stringify(counts)}, not ${String(items)}\n${collector.log}`)
  }
})

/** Kills each process of each role once, one after another; each comes back before the next one goes. */
async function killAll(cluster: Cluster): Promise<void> {
  const kafka = cluster.parts.kafka!
  const routers = cluster.ofRole('router')
  const ingesters = cluster.ofRole('ingester')
  for (const [index, id] of kafka.nodeIds.entries()) {
    await kafka.kill(id)
    await sleep(HOLD_MS)
    await kafka.restart(id)
    await kafka.untilInSync(TOPIC)
    for (const process of [routers[index], ingesters[index]]) {
      await process?.kill()
      await sleep(HOLD_MS)
      await process?.untilReady()
    }
  }
}

/** Rows of telemetrygen that a tenant has, and distinct spans among them. */
async function generatedRows(reader: Reader, tenant: string): Promise<Record<string, unknown>> {
  const rows: Record<string, unknown> = {}
  const ids = { logs: '*', metrics: '*', spans: 'distinct trace_id || span_id' } as const
  for (const signal of ['logs', 'metrics', 'spans'] as const) {
    const where = `where "resource.service.name" = 'telemetrygen'`
    const sql = `select count(*)::int, count(${ids[signal]})::int from rows ${where}`
    rows[signal] = (await reader(tenant, signal, sql))[0]
  }
  return rows
}

/** Rows of a query over `rows`: what the chains name of a tenant and signal, read by DuckDB. */
type Reader = (tenant: string, signal: SignalName, sql: string) => Promise<unknown[][]>

async function withReader(
  store: ObjectStore,
  run: (reader: Reader) => Promise<void>,
): Promise<void> {
  const copy = await StoreCopy.create(store)
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const files = await copy.refresh()
    await run(async (tenant, signal, sql) => {
      const own = files.filter((file) => file.tenant === tenant && file.signal === signal)
      const paths = own.map(({ path }) => `'${path}'`).join(',')
      const rows = `with rows as (select * from read_parquet([${paths}], union_by_name=true))`
      return (await connection.runAndReadAll(`${rows} ${sql}`)).getRows()
    })
  } finally {
    connection.closeSync()
    instance.closeSync()
    await copy.remove()
  }
}
