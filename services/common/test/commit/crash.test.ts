import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'

import { createLogger } from '../../src/logger.ts'
import { openObjectStore } from '../../src/object-store/object-store.ts'
import { sweepOrphans } from '../../src/verify/orphan-sweep.ts'
import { verifyStore } from '../../src/verify/verify.ts'

const WRITER = join(import.meta.dirname, 'crash-writer.ts')
const POINTS = [
  'store:before-link',
  'store:after-link',
  'schema:before-put',
  'schema:after-put',
  'commit:before-put',
  'commit:after-put',
]

describe('a writer that is killed', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-crash-'))
  })
  after(() => rm(folder, { recursive: true }))

  /** Runs the writer up to an offset; answers the signal that ended it. */
  async function write(root: string, end: number, failpoints: string): Promise<string | null> {
    const child = spawn(
      process.execPath,
      [WRITER, pathToFileURL(root).href, String(end), `${root}-spool`],
      { env: { ...process.env, TRIBUTARY_FAILPOINTS: failpoints }, stdio: 'inherit' },
    )
    const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
    return signal
  }

  for (const point of POINTS) {
    it(`at ${point} leaves a store that verifies, and the next one goes on`, async () => {
      const root = join(folder, point.replace(':', '-'))
      for (const nth of [1, 3]) {
        assert.equal(await write(root, 30, `${point}=exit@${nth}`), 'SIGKILL')
      }
      const store = await openObjectStore(pathToFileURL(root).href, {
        logger: createLogger({ name: 'test', level: 'silent' }),
      })
      const killed = await verifyStore(store)
      assert.deepEqual(killed.problems, [])
      assert.equal(await write(root, 30, ''), null)
      const done = await verifyStore(store)
      assert.deepEqual(done.problems, [])
      assert.equal(done.chains[0]!.end, '30')
      assert.equal(done.rows, 30)
      assert.deepEqual(await readdir(join(root, '.temporary')), [])
      await sweepOrphans(store, { graceMs: -1 })
      const swept = await verifyStore(store, { graceMs: -1 })
      assert.deepEqual(swept.problems, [])
      assert.equal(swept.rows, 30)
    })
  }
})
