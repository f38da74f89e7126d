import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'

import { StandaloneProcess } from '@tributary/e2e/standalone-process'

const run = promisify(execFile)
const CLI = join(import.meta.dirname, '../../cli/src/main.ts')

describe('tributary roundtrip', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tributary-roundtrip-'))
  let standalone: StandaloneProcess

  before(async () => {
    standalone = await StandaloneProcess.start({ dataDir, flags: ['--flush-interval=500ms'] })
  })
  after(async () => {
    await standalone.kill()
    rmSync(dataDir, { recursive: true, force: true })
  })

  function roundtrip(...flags: readonly string[]) {
    const grpc = `127.0.0.1:${String(standalone.grpcPort)}`
    const words = ['roundtrip', '--grpc', grpc, '--http', standalone.httpUrl]
    return run(process.execPath, [CLI, ...words, '--data-dir', dataDir, ...flags])
  }

  it('finds every item of every transport and signal, again and again', async () => {
    for (let round = 0; round < 2; round++) {
      const { stdout } = await roundtrip('--items', '6')
      assert.match(stdout, /18 items acknowledged/)
      assert.match(stdout, /each in a committed file, once/)
    }
  })

  it('says which items are missing when they do not come in time', async () => {
    const other = mkdtempSync(join(tmpdir(), 'tributary-roundtrip-'))
    const elsewhere = ['--object-store', `file://${other}`]
    try {
      await assert.rejects(roundtrip('--items', '2', '--wait', '1s', ...elsewhere), (error) => {
        const { code, stderr } = error as { code: number; stderr: string }
        assert.equal(code, 1)
        assert.match(stderr, /6 items are not there: logs\/0, logs\/1, traces\/0/)
        return true
      })
    } finally {
      rmSync(other, { recursive: true })
    }
  })
})
