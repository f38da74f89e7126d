/** A process that is told to stop while clients send: they hear what lets them retry, and lose nothing. */
import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sdkExporters } from '../src/clients/sdk-exporters.ts'
import { SentRecords, sendByHttp, sendBySdk } from '../src/clients/steady-sender.ts'
import { storedRows } from '../src/clients/stored-telemetry.ts'
import { removeCheckedData } from '../src/readers/checked-store.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

/** Records of each client before the process stops, and again after it is back. */
const HEARD_BEFORE_STOP = 30
/** What a client may hear besides success: 503 with a time to wait, or a closed port. */
const RETRYABLE = /^(503 \d+|ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET)$/

async function newDataDir(t: TestContext): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-restart-'))
  t.after(() => removeCheckedData(dataDir))
  return dataDir
}

function storedBodies(dataDir: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { body } of storedRows(dataDir, 'logs')) {
    const id = String(body).slice(2)
    counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return counts
}

void test('SIGTERM under load gives retryable answers only and stores all that was acknowledged', async (t) => {
  const dataDir = await newDataDir(t)
  const standalone = await StandaloneProcess.start({ dataDir })
  t.after(() => standalone.kill())
  const stop = new AbortController()
  t.after(() => {
    stop.abort()
  })
  const outcomes = ['a', 'b', 'c', 'd'].map(() => new SentRecords())
  const clients = outcomes.map((outcome, index) =>
    sendByHttp(standalone.httpUrl, `client-${String(index)}`, stop.signal, outcome),
  )
  await Promise.all(outcomes.map((outcome) => outcome.acknowledgedMore(HEARD_BEFORE_STOP)))
  assert.equal(await standalone.stop(), 0, standalone.log)
  stop.abort()
  await Promise.all(clients)

  const refusals = outcomes.flatMap((outcome) => outcome.refusals)
  assert.deepEqual(
    refusals.filter((refusal) => !RETRYABLE.test(refusal)),
    [],
  )
  assert.ok(refusals.length > 0, 'clients were still sending')
  const stored = storedBodies(dataDir)
  const acknowledged = outcomes.flatMap((outcome) => outcome.acknowledged)
  assert.deepEqual(
    acknowledged.filter((id) => stored.get(id) !== 1),
    [],
  )
  assert.deepEqual(
    [...stored].filter(([, count]) => count !== 1),
    [],
  )
})

void test('SDK clients go on over a restart: each record that they heard of stands in the files once', async (t) => {
  const dataDir = await newDataDir(t)
  const first = await StandaloneProcess.start({ dataDir })
  t.after(() => first.kill())
  const ports = [
    `--otlp-grpc-port=${String(first.grpcPort)}`,
    `--otlp-http-port=${new URL(first.httpUrl).port}`,
  ]
  const stop = new AbortController()
  t.after(() => {
    stop.abort()
  })
  const transports = ['grpc', 'http-json', 'http-protobuf'] as const
  const outcomes = transports.map(() => new SentRecords())
  const clients = transports.map((transport, index) => {
    const { logs } = sdkExporters(first, transport, 'gzip')
    return sendBySdk(logs, `sdk-${transport}`, stop.signal, outcomes[index]!)
  })
  await Promise.all(outcomes.map((outcome) => outcome.acknowledgedMore(HEARD_BEFORE_STOP)))
  assert.equal(await first.stop(), 0, first.log)
  const second = await StandaloneProcess.start({ dataDir, flags: ports })
  t.after(() => second.kill())
  await Promise.all(outcomes.map((outcome) => outcome.acknowledgedMore(HEARD_BEFORE_STOP)))
  stop.abort()
  await Promise.all(clients)
  await second.flush()

  const [grpc, ...http] = outcomes
  // the exporter for gRPC gives up at a closed port, those for HTTP try again
  assert.deepEqual(
    grpc!.refusals.filter((refusal) => !refusal.startsWith('14 UNAVAILABLE')),
    [],
  )
  assert.deepEqual(
    http.flatMap(({ refusals }) => refusals),
    [],
  )
  const stored = storedBodies(dataDir)
  for (const { acknowledged } of outcomes) {
    assert.deepEqual(
      acknowledged.filter((id) => stored.get(id) !== 1),
      [],
    )
  }
  assert.deepEqual(
    [...stored].filter(([, count]) => count !== 1),
    [],
  )
  assert.equal(await second.stop(), 0, second.log)
})
