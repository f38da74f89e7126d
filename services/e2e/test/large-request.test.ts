/**
 * Requests of 100 MB: refused for good at the default bound, stored to the last byte under a raised
 * one, and a small client beside them is served as if they were not there. Its latency is printed.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { exportRequest } from '@tributary/common/testing/otlp-messages'
import { payload } from '@tributary/common/testing/payloads'

import { digestOf, exportByGrpc, exportByHttp } from '../src/clients/export-call.ts'
import type { LoadResult } from '../src/load/load-run.ts'
import { removeCheckedData } from '../src/readers/checked-store.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const LOAD = fileURLToPath(new URL('../src/load/main.ts', import.meta.url))

const LARGE_BYTES = 100_000_000
const RECORDS = 20_000
const BODY_BYTES = 4800
const TRIES_MAX = 5
const HEALTHY_SECONDS = 8
const HEALTHY_RATE = 100
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

const CASES = (['grpc', 'http'] as const).flatMap((transport) =>
  (['none', 'gzip'] as const).map((compression) => ({
    transport,
    compression,
    tenant: `${transport}-${compression}`,
  })),
)

interface StoredRow {
  readonly tenant: string
  readonly span_id: string
  readonly digest: string
}

void describe('a request of 100 MB', () => {
  const body = payload('logs', { records: RECORDS, bodyBytesMin: BODY_BYTES, resources: 4 })
  assert.ok(body.length > LARGE_BYTES, `${String(body.length)} bytes`)

  void it('is refused for good at the default bound', async (t) => {
    const standalone = await start(t, [])
    for (const { transport, ...call } of CASES) {
      const answer =
        transport === 'grpc'
          ? await exportByGrpc(standalone.grpcPort, body, call)
          : await exportByHttp(standalone.httpUrl, body, call)
      assert.match(answer, transport === 'grpc' ? /^8 never: / : /^413$/, call.tenant)
    }
  })

  void it('is stored whole under a raised bound, while others are served', async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tributary-large-'))
    const flags = ['--request-bytes-max=128MiB', '--flush-interval=1h']
    const standalone = await start(t, flags, dataDir)
    const healthy = sendHealthy(standalone)
    for (const { transport, ...call } of CASES) {
      const started = performance.now()
      const answer = await exportUntilFinal(() =>
        transport === 'grpc'
          ? exportByGrpc(standalone.grpcPort, body, call)
          : exportByHttp(standalone.httpUrl, body, call),
      )
      assert.equal(answer, transport === 'grpc' ? 'OK' : '200', call.tenant)
      t.diagnostic(`${call.tenant}: ${(performance.now() - started).toFixed(0)} ms`)
    }
    const { failures, requests, latencyMs } = await healthy
    t.diagnostic(`client beside it: ${String(requests)} requests, ms ${JSON.stringify(latencyMs)}`)
    assert.deepEqual(failures, {})
    await standalone.flush()
    await assertStored(dataDir)
  })

  async function assertStored(dataDir: string): Promise<void> {
    const sent = new Map(records(body).map(({ spanId, text }) => [spanId, digestOf(text)]))
    assert.equal(sent.size, RECORDS)
    const sql = "select tenant, span_id, md5(body) as digest from logs where tenant <> 'default'"
    const args = [COMMAND, 'query', sql, `--data-dir=${dataDir}`, '--format=json']
    const { stdout } = await run(process.execPath, args, { maxBuffer: OUTPUT_BYTES_MAX })
    const byTenant = Map.groupBy(JSON.parse(stdout) as StoredRow[], ({ tenant }) => tenant)
    for (const { tenant } of CASES) {
      const rows = byTenant.get(tenant) ?? []
      assert.equal(rows.length, RECORDS, tenant)
      const wrong = rows.filter(({ span_id, digest }) => sent.get(span_id) !== digest)
      assert.deepEqual(wrong.slice(0, 3), [], tenant)
    }
  }
})

async function start(
  t: TestContext,
  flags: readonly string[],
  folder?: string,
): Promise<StandaloneProcess> {
  const dataDir = folder ?? (await mkdtemp(join(tmpdir(), 'tributary-large-')))
  const standalone = await StandaloneProcess.start({ dataDir, flags })
  t.after(async () => {
    await standalone.kill()
    await removeCheckedData(dataDir)
  })
  return standalone
}

/** As a collector does; on a busy machine the client may be too slow to bring its body in time. */
async function exportUntilFinal(send: () => Promise<string>): Promise<string> {
  for (let tries = 1; ; tries++) {
    const answer = await send()
    if (tries === TRIES_MAX || !/^14 later|^503$/.test(answer)) return answer
  }
}

/** Requests of ten records at a fixed rate, from a process of its own. */
async function sendHealthy(standalone: StandaloneProcess): Promise<LoadResult> {
  const flags = ['--records=10', `--rate=${String(HEALTHY_RATE)}`, '--in-flight=1000']
  const address = `--grpc=127.0.0.1:${String(standalone.grpcPort)}`
  const args = [LOAD, address, ...flags, '--requests=1000', `--seconds=${String(HEALTHY_SECONDS)}`]
  const { stdout } = await run(process.execPath, args)
  return JSON.parse(stdout) as LoadResult
}

interface DecodedRequest {
  readonly resourceLogs: readonly {
    readonly scopeLogs: readonly {
      readonly logRecords: readonly {
        readonly spanId: Uint8Array
        readonly body: { readonly stringValue: string }
      }[]
    }[]
  }[]
}

function records(body: Uint8Array): { spanId: string; text: string }[] {
  const request = exportRequest('logs').decode(body) as unknown as DecodedRequest
  return request.resourceLogs
    .flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords))
    .map(({ spanId, body: { stringValue } }) => {
      return { spanId: Buffer.from(spanId).toString('hex'), text: stringValue }
    })
}
