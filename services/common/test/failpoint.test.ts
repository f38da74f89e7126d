import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { afterEach, describe, it } from 'node:test'

import { AppError } from '../src/errors.ts'
import { failpoint, failpointSync, setFailpoints } from '../src/failpoint.ts'

const MODULE = new URL('../src/failpoint.ts', import.meta.url).href

/** Runs a line of code in a process of its own with failpoints set; gives its signal and output. */
function runWith(specification: string, code: string) {
  return spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { failpoint, failpointSync } from ${JSON.stringify(MODULE)}; ${code}`,
    ],
    { env: { TRIBUTARY_FAILPOINTS: specification }, encoding: 'utf8', timeout: 10_000 },
  )
}

describe('failpoint', () => {
  afterEach(() => {
    setFailpoints(undefined)
  })

  it('does nothing when unset or when another point is set', () => {
    assert.equal(failpoint('a'), undefined)
    setFailpoints('b=throw')
    assert.equal(failpoint('a'), undefined)
  })

  it('throws at the n-th hit and only there', () => {
    setFailpoints('a=throw@2')
    assert.equal(failpoint('a'), undefined)
    assert.throws(() => failpoint('a'), { code: 'internal' })
    assert.equal(failpoint('a'), undefined)
  })

  it('throws from the n-th hit on when a plus says so', () => {
    setFailpoints('a.b-c=throw@2+, d=throw')
    assert.equal(failpoint('a.b-c'), undefined)
    assert.throws(() => failpoint('a.b-c'), AppError)
    assert.throws(() => {
      failpointSync('a.b-c')
    }, AppError)
    assert.throws(() => failpoint('d'), AppError)
  })

  it('sleeps asynchronously and synchronously', async () => {
    setFailpoints('a=sleep(20)@1+')
    const start = performance.now()
    failpointSync('a')
    assert.ok(performance.now() - start >= 19)
    const waiting = failpoint('a')
    assert.ok(waiting instanceof Promise)
    await waiting
    assert.ok(performance.now() - start >= 38)
  })

  it('refuses what it does not understand', () => {
    for (const wrong of ['a', 'a=explode', 'a=sleep', 'a=throw@', 'a=throw@x', '=throw']) {
      assert.throws(() => {
        setFailpoints(wrong)
      }, /failpoint not understood/)
    }
  })

  it('kills the process without running another line', () => {
    const code = `process.on('exit', () => console.log('exit handler')); failpoint('a'); failpoint('a'); console.log('alive')`
    const killed = runWith('a=exit@2', code)
    assert.equal(killed.signal, 'SIGKILL')
    assert.equal(killed.stdout, '')
  })

  it('kills the whole process from a worker thread', () => {
    const worker = `import { failpoint } from ${JSON.stringify(MODULE)}; failpoint('a')`
    const code = `import { Worker } from 'node:worker_threads'
      new Worker(new URL('data:text/javascript,' + ${JSON.stringify(encodeURIComponent(worker))}))
      setInterval(() => {}, 1000)`
    assert.equal(runWith('a=exit', code).signal, 'SIGKILL')
  })

  it('hangs without letting the process end', () => {
    const code = `setTimeout(() => { console.log('still here'); process.exit(3) }, 50); await failpoint('a')`
    const hung = runWith('a=hang', code)
    assert.equal(hung.stdout, 'still here\n')
    assert.equal(hung.status, 3)
  })
})
