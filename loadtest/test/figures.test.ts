import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'

import { compareRuns, readRun, tableOf } from '../src/figures.ts'

const COMMAND = join(import.meta.dirname, '../src/run.ts')
const folder = mkdtempSync(join(tmpdir(), 'tributary-loadtest-'))
after(() => {
  rmSync(folder, { recursive: true })
})

function summary(name: string, rate: number, isFast: boolean): string {
  const path = join(folder, name)
  const metrics = {
    iterations: { values: { count: 10 * rate, rate } },
    accepted_items: { values: { count: 1000, rate: 100 } },
    acknowledgement_ms: {
      values: { med: 5, 'p(99)': 20, 'p(99.9)': 30 },
      thresholds: { 'p(99)<15': { ok: isFast } },
    },
  }
  writeFileSync(path, JSON.stringify({ scenario: 'mixed', scale: 1, run: 'r', metrics }))
  return path
}

describe('readRun', () => {
  it('reads the figures and names the thresholds that were missed', () => {
    const run = readRun(summary('slow.json', 50, false))
    assert.equal(run.requestsPerSecond, 50)
    assert.equal(run.acceptedItems, 1000)
    assert.equal(run.p99Ms, 20)
    assert.equal(run.wrongAnswers, 0)
    assert.deepEqual(run.failedThresholds, ['acknowledgement_ms p(99)<15'])
    assert.deepEqual(readRun(summary('fast.json', 50, true)).failedThresholds, [])
  })

  it('refuses a file that is no summary', () => {
    const path = join(folder, 'other.json')
    writeFileSync(path, '{}')
    assert.throws(() => readRun(path), /is no summary/)
  })
})

describe('compareRuns', () => {
  it('gives the ratio of now to before', () => {
    const text = compareRuns(
      readRun(summary('before.json', 50, true)),
      readRun(summary('now.json', 100, true)),
    )
    assert.match(text, /requests\/s +50\.0 -> +100\.0 {2}2\.00x/)
  })
})

describe('tableOf', () => {
  it('gives the median of the runs of a scenario with their spread', () => {
    const rates = [50, 200, 100]
    const table = tableOf(rates.map((rate) => readRun(summary(`run-${rate}.json`, rate, true))))
    const [head, , row, ...more] = table.trimEnd().split('\n')
    assert.match(head!, /^\| scenario \| requests\/s \|/)
    assert.match(
      row!,
      /^\| mixed \| 100 \(50 to 200\) \| 100 \| 5\.0 \| 20\.0 \| 30\.0 \| 0\.0 \| 0 \|$/,
    )
    assert.deepEqual(more, [])
  })

  it('gives what lies between the two in the middle of an even number of runs', () => {
    const rates = [50, 200, 100, 120]
    const runs = rates.map((rate) => readRun(summary(`even-${rate}.json`, rate, true)))
    assert.match(tableOf(runs), /^\| mixed \| 110 \(50 to 200\) \|/m)
  })
})

describe('npm run loadtest', () => {
  it('refuses a number of runs that is none', () => {
    for (const runs of ['0', 'three', '1.5']) {
      const args = [COMMAND, '--runs', runs, '--out', folder, 'smoke']
      const { status, stderr } = spawnSync(process.execPath, args, {
        encoding: 'utf8',
        env: { K6: 'false' },
      })
      assert.equal(status, 2, runs)
      assert.match(stderr, /--runs/)
    }
  })
})
