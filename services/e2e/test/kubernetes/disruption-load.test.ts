/** The load of `npm run disrupt`, on one process: a client that reaches nobody must not pass for one. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { DisruptionLoad } from '@tributary/e2e/kubernetes/disruption-load'
import { StandaloneProcess } from '@tributary/e2e/standalone-process'

const TIMEOUT_MS = 30_000
const GROUP = { clients: 2, ratePerSecond: 20, itemsMax: 5 }

void test('every client of a load is answered, those that are added too', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-load-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  const standalone = await StandaloneProcess.start({ dataDir })
  t.after(() => standalone.stop())
  const grpc = `127.0.0.1:${String(standalone.grpcPort)}`
  const load = new DisruptionLoad({
    grpc,
    http: new URL(standalone.httpUrl).host,
    seed: 1,
    group: GROUP,
  })
  await load.start(TIMEOUT_MS)
  const before = load.takeWindow()
  assert.ok(before.tries >= GROUP.clients)
  await load.raise(GROUP, TIMEOUT_MS)
  await load.lower(TIMEOUT_MS)
  await load.finish(TIMEOUT_MS)
  const after = load.takeWindow()
  const { requests, breaches } = load.ledger.totals()
  assert.equal(after.failed, 0)
  assert.equal(before.tries + after.tries, requests.ok, 'each try is in one window')
  assert.deepEqual([requests.open, requests.indeterminate, breaches], [0, 0, 0])
})

void test('a load does not start where one of its clients is never answered', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-load-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  const standalone = await StandaloneProcess.start({ dataDir })
  t.after(() => standalone.stop())
  const http = new URL(standalone.httpUrl).host
  const load = new DisruptionLoad({ grpc: '127.0.0.1:1', http, seed: 1, group: GROUP })
  await assert.rejects(load.start(1000), /clients were not answered: .*ECONNREFUSED/)
  await assert.rejects(load.finish(100), /never answered with OK: .*ECONNREFUSED/)
})
