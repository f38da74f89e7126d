import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

const MODULE = import.meta.resolve('../../src/testing/end-with-us.ts')
const HANGS_MS = 60_000

/** Starts more children than Node allows listeners, and ends by an error. */
const FAILING_RUN = `
import { spawn } from 'node:child_process'
import { endWithUs } from '${MODULE}'
for (let n = 0; n < 12; n++) {
  endWithUs(spawn('sleep', ['600'], { stdio: ['ignore', 'inherit', 'inherit'] }))
}
throw new Error('the run fails')
`

void test('ends all children of a run that fails, without a warning of too many listeners', () => {
  const args = ['--input-type=module', '--eval', FAILING_RUN]
  // it returns when the last one that has its pipes is gone
  const run = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: HANGS_MS })
  assert.equal(run.error, undefined)
  assert.equal(run.status, 1)
  assert.match(run.stderr, /the run fails/)
  assert.doesNotMatch(run.stderr, /MaxListenersExceededWarning/)
})
