/**
 * Requests of thousands of attribute keys: most find no column in their batch, and all come back.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { SignalName } from '@tributary/common/signal'
import { canonicalizeProtobuf, compareCanonical } from '@tributary/common/testing/otlp-canonical'
import { payload } from '@tributary/common/testing/payloads'

import { removeCheckedData } from '../src/readers/checked-store.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const PATHS = { logs: '/v1/logs', spans: '/v1/traces', metrics: '/v1/metrics' } as const

it('requests of 3,000 keys come back whole', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-wide-'))
  const standalone = await StandaloneProcess.start({
    dataDir,
    flags: ['--no-retry-removal', '--flush-interval=1h'],
  })
  t.after(async () => {
    await standalone.kill()
    await removeCheckedData(dataDir)
  })
  for (const [signal, path] of Object.entries(PATHS) as [SignalName, string][]) {
    // the second is larger than what decodes in one run
    const bodies = [900, 3000].map((records, call) =>
      payload(signal, { records, call, sparseKeys: 3000, resources: 3 }),
    )
    for (const body of bodies) {
      const answer = await fetch(standalone.httpUrl + path, {
        method: 'POST',
        headers: { 'content-type': 'application/x-protobuf', 'x-tributary-tenant': signal },
        body: body as Uint8Array<ArrayBuffer>,
      })
      assert.equal(answer.status, 200)
    }
    await standalone.flush()
    const folder = join(dataDir, 'replayed', signal)
    const flags = [`--data-dir=${dataDir}`, `--tenant=${signal}`, `--to=file:${folder}`]
    await run(process.execPath, [COMMAND, 'replay', ...flags])
    const names = await readdir(folder)
    const replayed = await Promise.all(names.map((name) => readFile(join(folder, name))))
    const sent = canonicalizeProtobuf(signal, bodies)
    const differences = compareCanonical(sent.items, canonicalizeProtobuf(signal, replayed).items)
    assert.deepEqual(differences.slice(0, 2), [], `${String(differences.length)} differ`)
    assert.equal(sent.items.length, 3900)
  }
})
