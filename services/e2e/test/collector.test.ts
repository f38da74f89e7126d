/**
 * A real OpenTelemetry Collector before a real process that is killed twice under it: each line of
 * the log files that it tails is stored once, over every transport and compression, with its
 * exporters' own defaults of retry and queue.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { freePort } from '@tributary/common/testing/free-port'
import type { VerifyReport } from '@tributary/common/verify/verify-report'

import { CollectorProcess } from '../src/clients/collector-process.ts'
import { writeRotatingLog } from '../src/clients/rotating-log.ts'
import { runTelemetrygen } from '../src/clients/telemetrygen.ts'
import { removeCheckedData } from '../src/readers/checked-store.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))

const TRANSPORTS = ['grpc', 'http'] as const
const COMPRESSIONS = ['gzip', 'zstd'] as const
const LINES = 2400
const LOG = { lines: LINES, rotateEvery: 400, burst: 20, pauseMs: 25 }
/** Requests answered before the first kill, which comes between the sync and the answer. */
const ANSWERS_BEFORE_KILL = 20
const DOWN_MS = 500
/** Retries wait 5 s at first, half as long again each time. */
const DELIVERED_TIMEOUT_MS = 120_000
const POLL_MS = 200
const QUERY_BYTES_MAX = 64 * 1024 * 1024
/** Per worker of telemetrygen, which has two; a trace has two spans. */
const GENERATED = 500

interface Route {
  readonly tenant: string
  readonly exporter: string
  readonly config: object
}

function routesTo(grpcPort: number, httpPort: number): Route[] {
  return TRANSPORTS.flatMap((transport) =>
    COMPRESSIONS.map((compression) => {
      const tenant = `${transport}-${compression}`
      const headers = { 'x-tributary-tenant': tenant }
      const target =
        transport === 'grpc'
          ? { endpoint: `127.0.0.1:${String(grpcPort)}`, tls: { insecure: true } }
          : { endpoint: `http://127.0.0.1:${String(httpPort)}` }
      const exporter = `${transport === 'grpc' ? 'otlp' : 'otlphttp'}/${compression}`
      return { tenant, exporter, config: { ...target, compression, headers } }
    }),
  )
}

void describe('a collector', () => {
  let folder: string
  let dataDir: string
  let ports: { readonly grpc: number; readonly http: number; readonly receiver: number }
  let routes: Route[]
  let standalone: StandaloneProcess
  let collector: CollectorProcess
  let written: string[]
  /** What the collector says that it could not send or take, and its log. */
  let failures: string[]
  let log: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-collected-'))
    dataDir = join(folder, 'data')
    ports = { grpc: await freePort(), http: await freePort(), receiver: await freePort() }
    routes = routesTo(ports.grpc, ports.http)
    const kill = `receive:before-response=exit@${String(ANSWERS_BEFORE_KILL)}`
    standalone = await startStandalone(kill)
    collector = await CollectorProcess.start(collectorConfig())
    const writing = writeRotatingLog({ path: join(folder, 'app.log'), ...LOG })
    assert.equal(await standalone.exited, 137)
    await sleep(DOWN_MS)
    standalone = await startStandalone()
    await sleep(DOWN_MS)
    await standalone.kill()
    await sleep(DOWN_MS)
    standalone = await startStandalone()
    written = await writing
    for (const signal of ['logs', 'traces', 'metrics'] as const) {
      const endpoint = `127.0.0.1:${String(ports.receiver)}`
      await runTelemetrygen(signal, endpoint, `--${signal}=${String(GENERATED)}`)
    }
    await delivered('log_records', LINES + 2 * GENERATED)
    await delivered('spans', 4 * GENERATED)
    await delivered('metric_points', 2 * GENERATED)
    failures = await countedFailures()
    await collector.stop()
    log = collector.log
    await standalone.flush()
  })

  after(async () => {
    await collector.stop()
    await standalone.kill()
    await removeCheckedData(dataDir)
    await rm(folder, { recursive: true, force: true })
  })

  void it('drops nothing', () => {
    assert.deepEqual(failures, [], log)
    assert.doesNotMatch(log, /[Dd]ropping data/)
  })

  void it('has each line of its rotated files stored once', async () => {
    const rows = await query(
      dataDir,
      'select tenant, body from logs where "attributes.log.file.name" is not null',
    )
    const byTenant = Map.groupBy(rows, ({ tenant }) => tenant as string)
    const expected = [...written].sort()
    for (const { tenant } of routes) {
      const bodies = byTenant.get(tenant)?.map(({ body }) => body as string)
      assert.deepEqual(bodies?.sort(), expected, tenant)
    }
  })

  void it('sent again what was stored without an answer, and verify proves the store', async () => {
    const args = [COMMAND, 'verify', `--data-dir=${dataDir}`, '--json']
    const { chains } = JSON.parse((await run(process.execPath, args)).stdout) as VerifyReport
    assert.ok(chains[0]!.rowsSuppressed > 0)
  })

  void it('has everything that telemetrygen sent stored once', async () => {
    const counts = await query(
      dataDir,
      ['logs', 'spans', 'metrics']
        .map((view) => {
          const ids = view === 'spans' ? 'count(distinct span_id)' : 'count(*)'
          return `select tenant, '${view}' as view, count(*)::int as n, ${ids}::int as ids from ${view} where "resource.service.name" = 'telemetrygen' group by 1`
        })
        .join(' union all '),
    )
    const items = { logs: 2 * GENERATED, metrics: 2 * GENERATED, spans: 4 * GENERATED }
    const expected = routes.flatMap(({ tenant }) =>
      Object.entries(items).map(([view, n]) => ({ tenant, view, n, ids: n })),
    )
    const inOrder = (rows: object[]) => rows.map((row) => JSON.stringify(row)).sort()
    assert.deepEqual(inOrder(counts), inOrder(expected))
  })

  void it('has the metrics of its host stored, the same over every transport', async () => {
    const rows = await query(
      dataDir,
      `select * from metrics where metric_name like 'system.%' order by metric_name, series_id, timestamp`,
    )
    const byTenant = Map.groupBy(rows, ({ tenant }) => tenant)
    const [first, ...others] = routes.map(({ tenant: own }) =>
      (byTenant.get(own) ?? []).map(({ tenant: _, ...row }) => row),
    )
    const names = new Set(first!.map((row) => row['metric_name']))
    for (const name of ['cpu.time', 'memory.usage', 'cpu.load_average.1m']) {
      assert.ok(names.has(`system.${name}`), name)
    }
    for (const other of others) assert.deepEqual(other, first)
  })

  function startStandalone(failpoints?: string): Promise<StandaloneProcess> {
    const flags = [
      `--otlp-grpc-port=${String(ports.grpc)}`,
      `--otlp-http-port=${String(ports.http)}`,
      '--flush-interval=2s',
    ]
    return StandaloneProcess.start({
      dataDir,
      flags,
      ...(failpoints === undefined ? {} : { failpoints }),
    })
  }

  function collectorConfig(): Parameters<typeof CollectorProcess.start>[0] {
    const exporters = routes.map(({ exporter }) => exporter)
    const endpoint = `127.0.0.1:${String(ports.receiver)}`
    const generated = { receivers: ['otlp'], processors: ['batch'], exporters }
    return {
      receivers: {
        filelog: { include: [join(folder, 'app.log*')], start_at: 'beginning' },
        hostmetrics: { collection_interval: '2s', scrapers: { cpu: {}, memory: {}, load: {} } },
        otlp: { protocols: { grpc: { endpoint } } },
      },
      processors: { batch: {} },
      exporters: Object.fromEntries(routes.map(({ exporter, config }) => [exporter, config])),
      pipelines: {
        logs: { receivers: ['filelog'], exporters },
        'logs/generated': generated,
        traces: generated,
        'metrics/generated': generated,
        metrics: { receivers: ['hostmetrics'], exporters },
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

  /** Waits until every exporter has an answer for all that the receivers took, and they took enough. */
  async function delivered(kind: string, itemsMin: number): Promise<void> {
    let counts: unknown
    for (const deadline = Date.now() + DELIVERED_TIMEOUT_MS; Date.now() < deadline;) {
      const received = await collector.counts(`receiver_accepted_${kind}`)
      const sent = await collector.counts(`exporter_sent_${kind}`)
      const accepted = [...received.values()].reduce((sum, count) => sum + count, 0)
      const isSent = routes.every(({ exporter }) => (sent.get(exporter) ?? 0) >= accepted)
      if (accepted >= itemsMin && isSent) return
      counts = { received: [...received], sent: [...sent] }
      await sleep(POLL_MS)
    }
    assert.fail(`${kind}: ${JSON.stringify(counts)}, not ${String(itemsMin)}\n${collector.log}`)
  }
})

void describe('telemetrygen alone', () => {
  let dataDir: string
  let standalone: StandaloneProcess

  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'tributary-generated-'))
    standalone = await StandaloneProcess.start({ dataDir })
  })

  after(async () => {
    await standalone.kill()
    await removeCheckedData(dataDir)
  })

  void it('has logs, traces and every type of metric stored over gRPC and HTTP', async () => {
    const grpc = [`127.0.0.1:${String(standalone.grpcPort)}`, '--service=grpc']
    const http = [new URL(standalone.httpUrl).host, '--service=http', '--otlp-http']
    for (const [endpoint = '', ...service] of [grpc, http]) {
      await runTelemetrygen('logs', endpoint, ...service, `--logs=${String(GENERATED)}`)
      await runTelemetrygen('traces', endpoint, ...service, `--traces=${String(GENERATED)}`)
      for (const type of ['Gauge', 'Sum', 'Histogram', 'ExponentialHistogram']) {
        const flags = [`--metric-type=${type}`, `--metrics=${String(GENERATED)}`]
        await runTelemetrygen('metrics', endpoint, ...service, ...flags)
      }
    }
    await standalone.flush()
    const rows = await query(
      dataDir,
      'select "resource.service.name" as service, \'log\' as kind, count(*)::int as n from logs group by 1 ' +
        'union all select "resource.service.name", \'span\', count(distinct span_id) from spans group by 1 ' +
        'union all select "resource.service.name", metric_type, count(*) from metrics group by 1, 2 order by 1, 2',
    )
    const points = 2 * GENERATED
    const expected = ['grpc', 'http'].flatMap((service) => [
      { service, kind: 'exponential_histogram', n: points },
      { service, kind: 'gauge', n: points },
      { service, kind: 'histogram', n: points },
      { service, kind: 'log', n: 2 * GENERATED },
      { service, kind: 'span', n: 4 * GENERATED },
      { service, kind: 'sum', n: points },
    ])
    assert.deepEqual(rows, expected)
  })
})

/** Rows as the command line tool gives them. */
async function query(dataDir: string, sql: string): Promise<Record<string, unknown>[]> {
  const args = [COMMAND, 'query', sql, `--data-dir=${dataDir}`, '--format=json']
  const { stdout } = await run(process.execPath, args, { maxBuffer: QUERY_BYTES_MAX })
  return JSON.parse(stdout) as Record<string, unknown>[]
}
