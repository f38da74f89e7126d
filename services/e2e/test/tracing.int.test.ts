/** Traces of the system's own request path, sent to a receiver of OTLP and read back from its files. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { freePort } from '@tributary/common/testing/free-port'
import { payload } from '@tributary/common/testing/payloads'

import { exportByGrpc, exportByHttp } from '../src/clients/export-call.ts'
import { SmallCluster, untilSo } from '../src/cluster/small-cluster.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

interface SpanRow {
  readonly trace: string
  readonly id: string
  readonly parent: string | null
  readonly name: string
  readonly kind: number
  readonly service: string
  readonly path: string | null
  readonly links: readonly { readonly trace_id: string; readonly span_id: string }[] | null
  readonly took: number
}

const SPANS =
  'select trace_id as trace, span_id as id, parent_span_id as parent, name, kind::int as kind,' +
  ' "resource.service.name" as service, "attributes.url.path" as path, links,' +
  ' duration_ns::double as took from spans order by "timestamp", timestamp_nanos'

/** export, receive, decode, store, wal */
const SPANS_OF_REQUEST = 5
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const run = promisify(execFile)
const CALL = { tenant: 'default', compression: 'none' } as const
const [FIRST, SECOND, SILENT] = ['a1', 'b2', 'c3'].map((pair) => pair.repeat(16)) as [
  string,
  string,
  string,
]
const CLIENT_SPAN = '0123456789abcdef'

/** A body of its own for each call, or its rows would be taken for a repeat. */
function logs(call: number): Uint8Array {
  return payload('logs', { records: 10, call })
}

function children(spans: readonly SpanRow[], parent: SpanRow): string[] {
  return spans
    .filter((span) => span.parent === parent.id)
    .map(({ name }) => name)
    .sort()
}

function only(spans: readonly SpanRow[], name: string): SpanRow {
  const found = spans.filter((span) => span.name === name)
  assert.equal(found.length, 1, `${name}: ${JSON.stringify(spans)}`)
  return found[0]!
}

describe('traces of a cluster', () => {
  let cluster: SmallCluster
  let backend: StandaloneProcess

  before(async () => {
    cluster = await SmallCluster.start(1)
    backend = await StandaloneProcess.start({ dataDir: join(cluster.folder, 'backend') })
    const traces = `--traces-endpoint=${backend.httpUrl}`
    await cluster.add('ingester', 'alpha', ['--flush-interval=1h', traces])
    await cluster.add('router', 'gate', [traces, '--traces-sample-ratio=0'])
  })
  after(async () => {
    await backend.kill()
    await cluster.stop()
  })

  it('lead from the span of a client through router, Kafka and ingester to the commit', async () => {
    const gate = cluster.processes.get('gate')!
    const http = `http://127.0.0.1:${String(gate.port('http'))}`
    const sampled = (trace: string): string => `00-${trace}-${CLIENT_SPAN}-01`
    assert.equal(await exportByHttp(http, logs(1), { ...CALL, traceparent: sampled(FIRST) }), '200')
    const second = { ...CALL, traceparent: sampled(SECOND) }
    assert.equal(await exportByGrpc(gate.port('grpc'), logs(2), second), 'OK')
    const silent = { ...CALL, traceparent: `00-${SILENT}-${CLIENT_SPAN}-00` }
    assert.equal(await exportByGrpc(gate.port('grpc'), logs(3), silent), 'OK')
    assert.equal(await exportByHttp(http, logs(4), CALL), '200')
    const count = ['query', 'select count(*)::int as n from logs', '--unflushed']
    const { out } = await cluster.run(...count, ...cluster.storeFlags, ...cluster.redisFlags)
    assert.deepEqual(JSON.parse(out), [{ n: 40 }])
    // at the end each sends what it has
    assert.equal(await gate.stop(), 0)
    assert.equal(await cluster.processes.get('alpha')!.stop(), 0)
    const spans = await spansOf(backend)

    const exports = spans.filter(({ name }) => name === 'export')
    assert.deepEqual(
      exports.map(({ trace, parent, path }) => [trace, parent, path]),
      [
        [FIRST, CLIENT_SPAN, '/v1/logs'],
        [SECOND, CLIENT_SPAN, '/opentelemetry.proto.collector.logs.v1.LogsService/Export'],
      ],
    )
    for (const request of exports) {
      assert.equal(request.service, 'tributary-router')
      const ofTrace = spans.filter(({ trace }) => trace === request.trace)
      assert.deepEqual(children(ofTrace, request), ['decode', 'produce', 'receive', 'store'])
      const produce = only(ofTrace, 'produce')
      assert.deepEqual(children(ofTrace, produce), ['fetch'])
      assert.equal(only(ofTrace, 'fetch').service, 'tributary-ingester')
    }
    const flush = only(spans, 'flush')
    const fetches = spans.filter(({ name }) => name === 'fetch')
    assert.deepEqual([flush.trace, flush.parent], [FIRST, fetches[0]!.id])
    assert.deepEqual(
      flush.links?.map(({ trace_id, span_id }) => [trace_id, span_id]),
      [[SECOND, fetches[1]!.id]],
    )
    assert.deepEqual(
      new Set(children(spans, flush)),
      new Set(['wait', 'encode', 'upload', 'commit']),
    )
    assert.ok(spans.every(({ took }) => took >= 0 && took < 60e9))
    assert.deepEqual(new Set(spans.map(({ trace }) => trace)), new Set([FIRST, SECOND]))
  })

  async function spansOf(receiver: StandaloneProcess): Promise<SpanRow[]> {
    await receiver.flush()
    const { out, err } = await cluster.run(
      'query',
      SPANS,
      `--data-dir=${join(cluster.folder, 'backend')}`,
    )
    assert.equal(err, '')
    return JSON.parse(out) as SpanRow[]
  }
})

describe('traces of a process that stores its own', () => {
  it('tell of the requests of clients, never of those that bring the traces', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-traces-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const port = await freePort()
    const standalone = await StandaloneProcess.start({
      dataDir: folder,
      flags: [
        `--otlp-http-port=${String(port)}`,
        `--traces-endpoint=http://127.0.0.1:${String(port)}`,
        '--traces-sample-ratio=1',
      ],
    })
    t.after(() => standalone.kill())
    const stored = async (): Promise<number> => {
      const text = await (await fetch(`${standalone.adminUrl}/metrics`)).text()
      return Number(/^tributary_router_items_total\{signal="spans"\} (\d+)$/m.exec(text)?.[1] ?? 0)
    }
    assert.equal(await exportByHttp(standalone.httpUrl, logs(1), CALL), '200')
    await untilSo(stored, (spans) => spans >= SPANS_OF_REQUEST)
    // its spans come behind those of the export that brought the first ones, were there any
    assert.equal(await exportByGrpc(standalone.grpcPort, logs(2), CALL), 'OK')
    await untilSo(stored, (spans) => spans >= 2 * SPANS_OF_REQUEST)
    await standalone.flush()
    const { stdout } = await run(process.execPath, [
      COMMAND,
      'query',
      SPANS,
      `--data-dir=${folder}`,
    ])
    const spans = JSON.parse(stdout) as SpanRow[]
    assert.deepEqual(
      spans.filter(({ name }) => name === 'export').map(({ path }) => path),
      ['/v1/logs', '/opentelemetry.proto.collector.logs.v1.LogsService/Export'],
    )
    for (const request of spans.filter(({ name }) => name === 'export')) {
      assert.deepEqual([request.parent, request.service], [null, 'tributary-standalone'])
      assert.deepEqual(children(spans, request), ['decode', 'receive', 'store', 'wal'])
    }
    assert.equal(await standalone.stop(), 0)
  })
})
