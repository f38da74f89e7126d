/** The tools on files in a bucket of a real S3 server. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { openObjectStore } from '@tributary/common/object-store/object-store'
import { createLogger } from '@tributary/common/logger'
import { startS3Server } from '@tributary/common/testing/s3-server'
import type { S3Server } from '@tributary/common/testing/s3-server'

import { StoreFixture } from '../store-fixture.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const run = promisify(execFile)

describe('tools on a bucket', () => {
  const local = new StoreFixture()
  const cacheDir = mkdtempSync(join(tmpdir(), 'tributary-cache-'))
  let server: S3Server
  let environment: NodeJS.ProcessEnv

  before(async () => {
    server = await startS3Server()
    const { accessKeyId, secretAccessKey } = server.credentials
    environment = {
      ...process.env,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      TRIBUTARY_OBJECT_STORE: `s3://${server.bucket}/some/prefix`,
      TRIBUTARY_OBJECT_STORE_ENDPOINT: server.endpoint,
    }
    const keys = [
      ...(await local.commit({ sql: `SELECT 'a' AS body`, rows: 1 })),
      ...(await local.commit({ sql: `SELECT 'b' AS body`, rows: 1, tenant: 'acme' })),
    ]
    Object.assign(process.env, {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    })
    const store = await openObjectStore(`s3://${server.bucket}/some/prefix`, {
      endpoint: server.endpoint,
      region: server.region,
      logger: createLogger({ name: 'test', level: 'silent' }),
    })
    for (const key of keys) await store.put(key, readFileSync(join(local.root, key)))
    await store.close()
  })

  after(async () => {
    await server.stop()
    local.remove()
    rmSync(cacheDir, { recursive: true })
  })

  it('query reads through a cache of what it needs', async () => {
    const words = ['query', '--tenant=acme', `--cache-dir=${cacheDir}`, '--format=json']
    const { stdout } = await run(process.execPath, [MAIN, ...words, 'select body from logs'], {
      env: environment,
    })
    assert.equal(stdout, '[{"body":"b"}]\n')
    assert.equal(readdirSync(cacheDir).length, 1)
  })

  it('verify reads the bucket alone', async () => {
    const { stdout } = await run(process.execPath, [MAIN, 'verify', '--json', '--no-contents'], {
      env: environment,
    }).catch((error: unknown) => error as { stdout: string })
    const report = JSON.parse(stdout) as { files: number; problems: { kind: string }[] }
    assert.equal(report.files, 2)
    // the fixture has no schema chain
    assert.ok(report.problems.every(({ kind }) => kind.startsWith('schema_')))
  })

  it('says so when the bucket is away', async () => {
    const failed = run(process.execPath, [MAIN, 'query', 'select 1'], {
      env: { ...environment, TRIBUTARY_OBJECT_STORE: 's3://no-such-bucket/x' },
    })
    await assert.rejects(failed, { code: 1, stderr: /^tributary query: [^\n]*\n$/ })
  })
})
