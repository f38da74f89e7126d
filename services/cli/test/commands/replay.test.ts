import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'

import { exportRequest } from '@tributary/common/testing/otlp-messages'

import { runCommandLine } from '../../src/command-line.ts'
import { MemoryTerminal } from '../memory-terminal.ts'
import { StoreFixture } from '../store-fixture.ts'

const COLUMNS = {
  'resource.service.name': { namespace: 'resource', key: 'service.name', type: 'string' },
  'attributes.n': { namespace: 'attributes', key: 'n', type: 'int' },
  'attributes.d': { namespace: 'attributes', key: 'd', type: 'double' },
  'attributes.b': { namespace: 'attributes', key: 'b', type: 'bytes' },
}

function logRow(micros: string, nanos: number): string {
  return `SELECT make_timestamptz(${micros}) AS timestamp, ${nanos} AS timestamp_nanos,
    'event' AS timestamp_source, 'hello' AS body, 'shop' AS "resource.service.name",
    -9223372036854775808 AS "attributes.n", '-inf'::DOUBLE AS "attributes.d",
    '\\x00\\xFF'::BLOB AS "attributes.b"`
}

/** An AnyValue as protobufjs shows it: the member, and the name of the member. */
function any(kind: string, value: unknown): Record<string, unknown> {
  return { [kind]: value, value: kind }
}

describe('tributary replay', () => {
  const store = new StoreFixture()
  let folder = ''
  let requests: { path: string; tenant: string; body: Buffer }[] = []
  let answer = Buffer.alloc(0)
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const tenant = String(request.headers['x-tributary-tenant'])
      requests.push({ path: request.url ?? '', tenant, body: Buffer.concat(chunks) })
      response.writeHead(200).end(answer)
    })
  })

  before(async () => {
    const keyValues = { 'tributary.columns': JSON.stringify(COLUMNS) }
    const day = '1795219200000000'
    await store.commit(
      {
        sql: `${logRow(day, 7)} UNION ALL ${logRow('1795219200000001', 0)}`,
        rows: 2,
        keyValues,
        timeMin: '1795219200000000007',
        timeMax: '1795219200000001000',
      },
      {
        sql: `SELECT make_timestamptz(${day}) AS timestamp, 0 AS timestamp_nanos,
              'event' AS timestamp_source, '5b8efff798038103d269b633813fc60c' AS trace_id,
              'eee19b7ec3c1b174' AS span_id, 'checkout' AS name`,
        rows: 1,
        signal: 'spans',
        tenant: 'acme',
        keyValues: { 'tributary.columns': '{}' },
        timeMin: '1795219200000000000',
        timeMax: '1795219200000000000',
      },
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })

  beforeEach(() => {
    requests = []
    answer = Buffer.alloc(0)
    folder = mkdtempSync(join(tmpdir(), 'tributary-replay-'))
  })

  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  after(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    store.remove()
  })

  async function replay(...flags: readonly string[]) {
    const { port } = server.address() as AddressInfo
    const to = flags.some((flag) => flag.startsWith('--to'))
      ? []
      : [`--to=http://127.0.0.1:${port}`]
    const terminal = new MemoryTerminal()
    const args = ['replay', '--data-dir', store.dataDir, ...to, ...flags]
    return { status: await runCommandLine(args, terminal, '0'), terminal }
  }

  it('sends the items of every file, exactly, under their tenant', async () => {
    const { status, terminal } = await replay()
    assert.equal(status, 0, terminal.errText)
    assert.equal(terminal.outText, '3 items in 2 requests from 2 files\n')
    assert.deepEqual(
      requests.map(({ path, tenant }) => [path, tenant]),
      [
        ['/v1/logs', 'default'],
        ['/v1/traces', 'acme'],
      ],
    )
    const plain = exportRequest('logs').decode(requests[0]!.body)
    const attributes = [
      { key: 'n', value: any('intValue', '-9223372036854775808') },
      { key: 'd', value: any('doubleValue', -Infinity) },
      { key: 'b', value: any('bytesValue', Buffer.of(0, 255)) },
    ]
    const body = any('stringValue', 'hello')
    const [group] = plain['resourceLogs'] as Record<string, unknown>[]
    assert.deepEqual(group?.['resource'], {
      attributes: [{ key: 'service.name', value: any('stringValue', 'shop') }],
    })
    const [scope] = group?.['scopeLogs'] as Record<string, unknown>[]
    assert.deepEqual(scope?.['logRecords'], [
      { timeUnixNano: '1795219200000000007', body, attributes },
      { timeUnixNano: '1795219200000001000', body, attributes },
    ])
  })

  it('sends only the tenant, signal and times that were asked for', async () => {
    assert.equal((await replay('--tenant', 'acme')).terminal.outText.slice(0, 7), '1 items')
    assert.equal((await replay('--signal', 'logs')).terminal.outText.slice(0, 7), '2 items')
    const from = await replay('--from', '2026-11-21T00:00:00.000001Z')
    assert.equal(from.terminal.outText, '1 items in 1 requests from 1 files\n')
    const until = await replay('--signal=logs', '--until', '2026-11-21T01:00:00.000001+01:00')
    assert.equal(until.terminal.outText, '1 items in 1 requests from 1 files\n')
    const none = await replay('--until', '2026-11-21')
    assert.equal(none.terminal.outText, '0 items in 0 requests from 0 files\n')
  })

  it('writes requests as files, and never over those of another replay', async () => {
    assert.equal((await replay(`--to=file:${folder}`)).status, 0)
    const names = readdirSync(folder).sort()
    assert.deepEqual(names, ['acme-spans-00000001.binpb', 'default-logs-00000000.binpb'])
    const spans = exportRequest('spans').decode(readFileSync(join(folder, names[0]!)))
    assert.match(JSON.stringify(spans), /"name":"checkout"/)
    const again = await replay(`--to=file:${folder}`)
    assert.equal(again.status, 1)
    assert.match(again.terminal.errText, /EEXIST/)
  })

  it('counts what the endpoint rejects, with status 1', async () => {
    answer = Buffer.of(10, 2, 8, 1)
    const { status, terminal } = await replay('--signal=spans')
    assert.equal(status, 1)
    assert.equal(terminal.outText, '1 items in 1 requests from 1 files, 1 rejected\n')
  })

  it('refuses flags that make no sense with status 2', async () => {
    for (const flags of [
      ['--to=ftp://x'],
      ['--from=yesterday'],
      ['--from=2026-13-01'],
      ['--from=2026-11-21', '--until=2026-11-21'],
      ['--signal=traces'],
    ]) {
      assert.equal((await replay(...flags)).status, 2, flags.join(' '))
    }
    const terminal = new MemoryTerminal()
    assert.equal(await runCommandLine(['replay'], terminal, '0'), 2)
    assert.match(terminal.errText, /missing --to/)
  })
})
