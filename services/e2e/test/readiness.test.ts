/** A process that can store nothing says so: traffic goes elsewhere, and comes back when it can. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { payload } from '@tributary/common/testing/payloads'
import { startS3Server } from '@tributary/common/testing/s3-server'
import { TcpProxy } from '@tributary/common/testing/tcp-proxy'

import { exportByHttp } from '../src/clients/export-call.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

/** Memory is full after some hundred of the requests below. */
const FLAGS = [
  '--request-bytes-max=64KiB',
  '--flush-bytes=64KiB',
  '--memtable-bytes-max=1MiB',
  '--flush-interval=200ms',
]
const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const CALL = { tenant: 'default', compression: 'none' } as const
const RECORDS = 50
const POLL_MS = 50
const TIMEOUT_MS = 60_000

void test('readiness follows a store that fails, and comes back with it', async (t) => {
  const s3 = await startS3Server()
  t.after(() => s3.stop())
  const network = await TcpProxy.start({ targetPort: Number(new URL(s3.endpoint).port) })
  t.after(() => network.stop())
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-ready-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  const { accessKeyId, secretAccessKey } = s3.credentials
  const credentials = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  const store = [
    `--object-store=s3://${s3.bucket}/ready`,
    `--object-store-endpoint=http://127.0.0.1:${String(network.port)}`,
  ]
  const flags = [...FLAGS, ...store]
  const standalone = await StandaloneProcess.start({ dataDir, flags, environment: credentials })
  t.after(() => standalone.kill())
  let acknowledged = 0
  const send = async (): Promise<string> => {
    const call = acknowledged + 1
    const body = payload('logs', { records: RECORDS, call })
    const answer = await exportByHttp(standalone.httpUrl, body, CALL)
    if (answer === '200') acknowledged++
    return answer
  }
  const readiness = async (): Promise<string> => {
    const answer = await fetch(`${standalone.adminUrl}/readyz`)
    return `${String(answer.status)} ${(await answer.text()).trim()}`
  }

  assert.equal(await send(), '200')
  assert.equal(await readiness(), '200 ready')
  await network.refuse()
  await until(async () => {
    assert.match(await send(), /^(200|503)$/)
    return (await readiness()).startsWith('503')
  })
  assert.equal(await readiness(), '503 not ready: unflushed rows fill their memory')
  assert.ok(acknowledged > 10)
  // it still serves who comes all the same, and says when to come again
  assert.equal(await send(), '503')

  await network.heal()
  await until(async () => (await send()) === '200')
  assert.equal(await readiness(), '200 ready')
  assert.equal(await standalone.stop(), 0, standalone.log)
  const args = [COMMAND, 'query', 'select count(*)::int as n from logs', '--format=json', ...store]
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, ...credentials } })
  assert.deepEqual(JSON.parse(stdout), [{ n: acknowledged * RECORDS }])
})

async function until(isDone: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + TIMEOUT_MS; Date.now() < deadline;) {
    if (await isDone()) return
    await sleep(POLL_MS)
  }
  throw new Error('it did not come to that in time')
}
