import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { exportRequest } from '@tributary/common/testing/otlp-messages'
import { removeCheckedData } from '../src/readers/checked-store.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))

async function tributary(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [COMMAND, ...args])
  return stdout
}

async function send(standalone: StandaloneProcess, path: string, body: object): Promise<Response> {
  return fetch(`${standalone.httpUrl}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] }
const traceId = '5b8efff798038103d269b633813fc60c'

const logs = {
  resourceLogs: [
    {
      resource,
      scopeLogs: [
        {
          logRecords: ['INFO', 'INFO', 'ERROR'].map((severityText, index) => ({
            timeUnixNano: `17000000000000000${String(index)}1`,
            severityText,
            body: { stringValue: `order ${String(index)}` },
            attributes: [{ key: 'order.id', value: { intValue: String(index) } }],
            traceId,
          })),
        },
      ],
    },
  ],
}

const spans = {
  resourceSpans: [
    {
      resource,
      scopeSpans: [
        {
          spans: [
            {
              traceId,
              spanId: 'eee19b7ec3c1b174',
              name: 'checkout',
              startTimeUnixNano: '1700000000000000001',
              endTimeUnixNano: '1700000000250000002',
              events: [{ timeUnixNano: '1700000000100000003', name: 'paid' }],
            },
          ],
        },
      ],
    },
  ],
}

const metrics = {
  resourceMetrics: [
    {
      resource,
      scopeMetrics: [
        {
          metrics: [
            {
              name: 'orders',
              sum: {
                aggregationTemporality: 2,
                isMonotonic: true,
                dataPoints: [{ timeUnixNano: '1700000000000000000', asInt: '9007199254740993' }],
              },
            },
          ],
        },
      ],
    },
  ],
}

void test('what is sent is acknowledged, flushed, queried, proved and kept over a restart', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-e2e-'))
  t.after(() => removeCheckedData(dataDir))
  const first = await StandaloneProcess.start({ dataDir })
  t.after(() => first.kill())
  for (const [path, body] of [
    ['/v1/logs', logs],
    ['/v1/traces', spans],
    ['/v1/metrics', metrics],
  ] as const) {
    const answer = await send(first, path, body)
    assert.equal(answer.status, 200, await answer.text())
  }
  // a retry of the same bytes, and rows that are only in the log when the process is killed
  assert.equal((await send(first, '/v1/logs', logs)).status, 200)
  assert.equal(await first.kill(), 137)

  const second = await StandaloneProcess.start({ dataDir })
  t.after(() => second.kill())
  const binary = exportRequest('logs').encode({
    resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: '1700000003600000001' }] }] }],
  })
  const answer = await fetch(`${second.httpUrl}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-protobuf' },
    body: binary as Uint8Array<ArrayBuffer>,
  })
  assert.equal(answer.status, 200)
  await second.flush()

  const query = async (sql: string): Promise<unknown> =>
    JSON.parse(await tributary('query', sql, `--data-dir=${dataDir}`, '--format=json'))
  const flag = `--data-dir=${dataDir}`
  assert.deepEqual(
    await query(
      'select severity_text, count(*)::int as n, max("attributes.order.id")::int as last ' +
        "from logs where severity_text <> '' group by 1 order by 1",
    ),
    [
      { severity_text: 'ERROR', n: 1, last: 2 },
      { severity_text: 'INFO', n: 2, last: 1 },
    ],
  )
  assert.deepEqual(
    await query(
      'select name, trace_id, duration_ns::varchar as duration, events[1].name as event, ' +
        '"resource.service.name" as service from spans',
    ),
    [
      {
        name: 'checkout',
        trace_id: traceId,
        duration: '250000001',
        event: 'paid',
        service: 'shop',
      },
    ],
  )
  assert.deepEqual(
    await query('select metric_name, metric_type, value_int::varchar as value from metrics'),
    [{ metric_name: 'orders', metric_type: 'sum', value: '9007199254740993' }],
  )
  await tributary('verify', flag)
  assert.equal(await second.stop(), 0, second.log)
})
