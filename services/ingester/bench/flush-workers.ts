/**
 * The same two tables (two tenants' logs) through a pool of one and of two flush workers: what a
 * second worker gives where the machine has a second core, and what the thread costs.
 */
import assert from 'node:assert/strict'
import { unlinkSync } from 'node:fs'

import {
  benchRow,
  throughputFigures,
  timeRuns,
  type BenchRow,
  type FlagDefaults,
} from '@tributary/common/bench/bench-harness'
import { systemClock } from '@tributary/common/clock'
import { createLogger } from '@tributary/common/logger'

import { FlushPool } from '../src/flush/flush-pool.ts'
import { bodiesOf, FLUSH_SETTINGS, FlushRig } from './flush-rig.ts'

const TENANTS = ['a', 'b']

export async function benchFlushWorkers(records: number, flags: FlagDefaults): Promise<BenchRow[]> {
  const rig = await FlushRig.open('logs')
  const bodies = bodiesOf('logs', records, { records: 1000, resources: 10 })
  const entries = rig.decode(bodies)
  const rows: BenchRow[] = []
  try {
    for (const workers of [1, 2]) {
      const pool = new FlushPool({
        workers,
        spoolDirectory: rig.spoolDirectory,
        schemaOf: (tenant, signal, wanted) => rig.schemas.resolveOrExtend(tenant, signal, wanted),
        clock: systemClock,
        logger: createLogger({ name: 'flush-bench', level: 'silent' }),
      })
      const flushBoth = async (): Promise<void> => {
        const jobs = TENANTS.map((tenant) => rig.jobOf(entries, FLUSH_SETTINGS, tenant))
        const results = await Promise.all(jobs.map((job) => pool.run(job)))
        for (const { files, rowsStored } of results) {
          assert.equal(rowsStored, bodies.length * 1000)
          for (const { path } of files) unlinkSync(path)
        }
      }
      const samples = await timeRuns(flushBoth, flags)
      await pool.close()
      const figures = throughputFigures(samples, TENANTS.length * bodies.length * 1000)
      rows.push(benchRow(`${workers} flush workers, two tables`, figures))
    }
  } finally {
    rig.close()
  }
  return rows
}
