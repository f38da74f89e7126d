import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { handOvers } from '@tributary/e2e/cluster/partition-events'
import { OkGap } from '@tributary/e2e/kubernetes/ok-gap'
import { figuresOf, stepTable, type Step } from '@tributary/e2e/kubernetes/step-table'

const STEP: Step = {
  name: 'a node drained',
  beganMs: 1000,
  endedMs: 9000,
  failure: undefined,
  longestGapMs: 40,
  longestClientGapMs: 1250,
  tries: 200,
  failed: 3,
}

void describe('OkGap', () => {
  void it('tells the longest time without an OK, one that goes on included', () => {
    const gap = new OkGap(0)
    gap.note(1, 100)
    gap.note(1, 380)
    gap.note(2, 400)
    assert.equal(gap.take(450), 300)
    gap.note(3, 500)
    assert.equal(gap.take(900), 400)
    assert.equal(gap.take(1000), 500, 'a gap that goes on counts whole')
  })
})

void describe('handOvers', () => {
  void it('pauses a partition from where its owner stopped fetching until the next one owns it', () => {
    const line = (time: number, msg: string, more: object): string =>
      JSON.stringify({ time: new Date(time).toISOString(), msg, ...more })
    const old = line(2000, 'partition handed over', { partition: 3, pauseMs: 50 })
    const next = line(2400, 'partition owned', { partition: 3, start: '7' })
    assert.deepEqual(handOvers([`${next}\ncut off {`, old]), [
      { partition: 3, atMs: 1950, pauseMs: 450 },
    ])
  })
})

void describe('the table of a run', () => {
  const handOversSeen = [
    { partition: 0, atMs: 1000, pauseMs: 100 },
    { partition: 1, atMs: 5000, pauseMs: 300 },
    { partition: 2, atMs: 8999, pauseMs: 200 },
    { partition: 3, atMs: 9000, pauseMs: 9999 },
  ]
  const lives = [
    { name: 'i-0', component: 'ingester', seenMs: 0, readyMs: 500, stoppingMs: 2000, goneMs: 3500 },
    { name: 'i-0', component: 'ingester', seenMs: 3600, readyMs: 7600 },
    { name: 'i-1', component: 'ingester', seenMs: 0, readyMs: 600, stoppingMs: 9500, goneMs: 9900 },
    { name: 'r', component: 'router', seenMs: 1500, readyMs: 8000, stoppingMs: 8100, goneMs: 8900 },
  ]

  void it('counts what ingesters did within a step', () => {
    const figures = figuresOf(STEP, handOversSeen, lives)
    const { handOvers: count, pauseMsMedian, pauseMsMax, stopped, started } = figures
    assert.deepEqual([count, pauseMsMedian, pauseMsMax], [3, 200, 300])
    assert.deepEqual([stopped, figures.stopMsMax, started, figures.startMsMax], [1, 1500, 1, 4000])
  })

  void it('has a row for every step, and says which did not finish and why', () => {
    const broken = { ...STEP, name: 'image upgraded', failure: 'helm ended with 1' }
    const table = stepTable([STEP, broken].map((step) => figuresOf(step, handOversSeen, lives)))
    assert.match(
      table,
      /^\| a node drained \| 8 s \| 40 ms \| 1250 ms \| 3 of 200 \| 3: 200, 300 ms \| 1, slowest 1\.5 s \| 1, slowest 4\.0 s \|$/m,
    )
    assert.match(table, /^\| image upgraded \| NOT FINISHED \|/m)
    assert.match(table, /^image upgraded did not finish: helm ended with 1$/m)
  })
})
