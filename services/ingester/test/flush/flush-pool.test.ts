import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Worker } from 'node:worker_threads'

import { systemClock } from '@tributary/common/clock'
import { createLogger } from '@tributary/common/logger'
import { FlushPool } from '@tributary/ingester/flush/flush-pool'

void test('FlushPool starts its threads before the first table, each once', async (t) => {
  const spoolDirectory = await mkdtemp(join(tmpdir(), 'tributary-pool-'))
  t.after(() => rm(spoolDirectory, { recursive: true, force: true }))
  const workers: Worker[] = []
  const note = (worker: Worker): void => {
    workers.push(worker)
  }
  process.on('worker', note)
  t.after(() => process.off('worker', note))
  const pool = new FlushPool({
    workers: 2,
    spoolDirectory,
    schemaOf: () => Promise.reject(new Error('no table is written here')),
    clock: systemClock,
    logger: createLogger({ name: 'test', level: 'silent' }),
  })
  pool.start()
  pool.start()
  // told of at the next turn
  await new Promise(setImmediate)
  assert.equal(workers.length, 2)
  const ends = workers.map((worker) => once(worker, 'exit'))
  await Promise.all(workers.map((worker) => once(worker, 'online')))
  await pool.close()
  await Promise.all(ends)
})
