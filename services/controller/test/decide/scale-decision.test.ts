import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import fc from 'fast-check'

import type { ClusterFigures } from '../../src/decide/cluster-figures.ts'
import {
  decideScale,
  firstHistory,
  withAdded,
  withRemoved,
  type ScaleDecision,
  type ScaleHistory,
  type ScalePolicy,
} from '../../src/decide/scale-decision.ts'

const POLICY: ScalePolicy = {
  replicasMin: 1,
  replicasMax: 8,
  lagTargetSeconds: 30,
  memoryShareMax: 0.7,
  busyShareMax: 0.7,
  outDelayMs: 15_000,
  outIntervalMs: 60_000,
  outStepMax: 2,
  inCoolDownMs: 300_000,
}

function figures(more: Partial<ClusterFigures> = {}): ClusterFigures {
  const replicas = more.replicas ?? 2
  const lagSeconds = more.lagSeconds ?? 0
  return {
    atMs: 1_000_000,
    replicas,
    working: replicas,
    partitions: 12,
    unowned: 0,
    isComplete: true,
    lagSeconds,
    movableLagSeconds: lagSeconds,
    backlogRecords: lagSeconds * 1000,
    arrivedPerSecond: 1000,
    fetchedPerSecond: 1000,
    memoryShare: 0.1,
    busySum: 0.2,
    ...more,
  }
}

/** Both trends have been there for an hour, and nothing changed for two. */
function ripe(replicas: number): ScaleHistory {
  return {
    replicas,
    changedMs: 1_000_000 - 7_200_000,
    addedMs: -Infinity,
    pressureSinceMs: 1_000_000 - 3_600_000,
    calmSinceMs: 1_000_000 - 3_600_000,
  }
}

/** What is decided where all delays have passed. */
const CASES: readonly (readonly [
  claim: string,
  seen: Partial<ClusterFigures>,
  expected: readonly [ScaleDecision['kind'], number, ScaleDecision['cause']],
])[] = [
  [
    'adds one where lag grows slowly',
    { lagSeconds: 40, arrivedPerSecond: 1100 },
    ['out', 3, 'lag'],
  ],
  ['adds two where twice arrives', { lagSeconds: 40, arrivedPerSecond: 2000 }, ['out', 4, 'lag']],
  ['adds at most the step', { lagSeconds: 400, arrivedPerSecond: 90_000 }, ['out', 4, 'lag']],
  ['leaves lag at its target', { lagSeconds: 30, arrivedPerSecond: 2000 }, ['hold', 2, 'steady']],
  [
    'waits where it will have caught up in time',
    { lagSeconds: 60, backlogRecords: 60_000, arrivedPerSecond: 1000, fetchedPerSecond: 4000 },
    ['hold', 2, 'steady'],
  ],
  [
    'adds where catching up takes too long',
    { lagSeconds: 60, backlogRecords: 600_000, arrivedPerSecond: 1000, fetchedPerSecond: 1100 },
    ['out', 3, 'lag'],
  ],
  ['adds where memory is nearly full', { memoryShare: 0.71 }, ['out', 3, 'memory']],
  ['leaves memory at its most', { memoryShare: 0.7 }, ['hold', 2, 'steady']],
  [
    'adds nothing where nothing moves at all: the log or the store is the trouble',
    { lagSeconds: 100, fetchedPerSecond: 0 },
    ['hold', 2, 'stalled'],
  ],
  [
    'adds nothing for a partition that has an ingester of its own',
    { lagSeconds: 100, movableLagSeconds: 0, arrivedPerSecond: 2000 },
    ['hold', 2, 'hot_partition'],
  ],
  [
    'adds nothing beyond the most',
    { replicas: 8, lagSeconds: 100, arrivedPerSecond: 2000 },
    ['hold', 8, 'limit'],
  ],
  [
    'adds nothing beyond the partitions',
    { replicas: 4, partitions: 4, lagSeconds: 100, arrivedPerSecond: 2000 },
    ['hold', 4, 'limit'],
  ],
  ['removes one where the others stay idle', { busySum: 0.2 }, ['in', 1, 'calm']],
  ['removes one at a time', { replicas: 6, busySum: 0.1 }, ['in', 5, 'calm']],
  ['keeps one whose work would make the others busy', { busySum: 0.71 }, ['hold', 2, 'steady']],
  [
    'keeps one while lag is above half of its target',
    { lagSeconds: 16, busySum: 0.1 },
    ['hold', 2, 'steady'],
  ],
  [
    'keeps one whose rows would fill the others',
    { memoryShare: 0.3, busySum: 0.1 },
    ['hold', 2, 'steady'],
  ],
  ['keeps all while one does not answer', { isComplete: false }, ['hold', 2, 'steady']],
  ['keeps all while one does not work', { working: 1 }, ['hold', 2, 'steady']],
  ['keeps all while a partition has no owner', { unowned: 1 }, ['hold', 2, 'steady']],
  ['keeps the least', { replicas: 1, busySum: 0 }, ['hold', 1, 'steady']],
  ['leaves a StatefulSet alone that somebody stopped', { replicas: 0 }, ['hold', 0, 'paused']],
  [
    'goes below the most at once, one by one, whatever presses',
    { replicas: 12, lagSeconds: 100 },
    ['in', 11, 'bounds'],
  ],
  [
    'does not decide on lag before rates are known',
    { lagSeconds: 100, fetchedPerSecond: 0, isComplete: false },
    ['hold', 2, 'unknown'],
  ],
  [
    'adds where one does not answer but others lag',
    { lagSeconds: 100, isComplete: false, arrivedPerSecond: 1500 },
    ['out', 3, 'lag'],
  ],
]

describe('decideScale', () => {
  for (const [claim, seen, expected] of CASES) {
    it(claim, () => {
      const replicas = seen.replicas ?? 2
      const decision = decideScale(POLICY, ripe(replicas), figures(seen))
      assert.deepEqual(
        [decision.kind, decision.replicas, decision.cause],
        expected,
        decision.reason,
      )
    })
  }

  it('goes up to the least at once', () => {
    const decision = decideScale(
      { ...POLICY, replicasMin: 3 },
      firstHistory(1, 0),
      figures({ replicas: 1 }),
    )
    assert.deepEqual([decision.kind, decision.replicas], ['out', 3])
  })

  it('adds only what presses for the whole delay', () => {
    const pressing = figures({ lagSeconds: 60, arrivedPerSecond: 1100 })
    const at = (atMs: number): ClusterFigures => ({ ...pressing, atMs })
    let { history, kind } = decideScale(POLICY, firstHistory(2, 0), at(100_000))
    assert.equal(kind, 'hold')
    ;({ history, kind } = decideScale(POLICY, history, at(114_000)))
    assert.equal(kind, 'hold')
    assert.equal(decideScale(POLICY, history, at(115_000)).kind, 'out')
    ;({ history } = decideScale(POLICY, history, { ...figures(), atMs: 115_000 }))
    assert.equal(decideScale(POLICY, history, at(116_000)).cause, 'delay', 'it begins anew')
  })

  it('takes a number that somebody else has set as a change', () => {
    const { history } = decideScale(POLICY, ripe(2), figures({ replicas: 3 }))
    const later = figures({ replicas: 3, atMs: 1_000_000 + POLICY.inCoolDownMs - 1 })
    const second = decideScale(POLICY, history, later)
    assert.equal(second.cause, 'cool_down')
  })

  it('waits for pods that were added, but not for ever', () => {
    const pressing = (atMs: number): ClusterFigures => {
      return figures({ replicas: 4, working: 2, lagSeconds: 60, arrivedPerSecond: 1500, atMs })
    }
    const history = { ...withAdded(ripe(2), 4, 1_000_000), pressureSinceMs: 1_000_000 }
    assert.equal(decideScale(POLICY, history, pressing(1_061_000)).cause, 'settling')
    assert.equal(decideScale(POLICY, history, pressing(1_121_000)).kind, 'out')
  })
})

interface Step {
  readonly kind: ScaleDecision['kind']
  readonly atMs: number
  readonly from: number
  readonly to: number
}

const share = fc.double({ min: 0, max: 1, noNaN: true })
const anything = fc.record({
  passMs: fc.integer({ min: 200, max: 60_000 }),
  lagSeconds: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 200, noNaN: true })),
  movable: fc.boolean(),
  arrivedPerSecond: fc.integer({ min: 0, max: 10_000 }),
  fetchedPerSecond: fc.integer({ min: 0, max: 10_000 }),
  memoryShare: share,
  busyShare: share,
  missing: fc.integer({ min: 0, max: 1 }),
  isComplete: fc.boolean(),
  unowned: fc.integer({ min: 0, max: 1 }),
  partitions: fc.constantFrom<number>(0, 4, 12, 64),
})
const calm = anything.map((any) => ({
  ...any,
  ...{ lagSeconds: 0, memoryShare: 0, busyShare: 0, missing: 0, isComplete: true, unowned: 0 },
}))
const pressing = anything.map((any) => ({
  ...any,
  ...{ lagSeconds: 100, movable: true, missing: 0, isComplete: true, partitions: 64 },
  ...{ arrivedPerSecond: 3000, fetchedPerSecond: 1000 },
}))
/** Long quiet and long busy times, with whatever else in between. */
const moments = fc
  .array(
    fc.oneof(
      fc.array(calm, { minLength: 1, maxLength: 20 }),
      fc.array(pressing, { minLength: 1, maxLength: 10 }),
      fc.array(anything, { maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((runs) => runs.flat())
const policies = fc
  .record({
    replicasMin: fc.integer({ min: 1, max: 5 }),
    more: fc.integer({ min: 0, max: 10 }),
    outStepMax: fc.integer({ min: 1, max: 4 }),
    inCoolDownMs: fc.integer({ min: 1000, max: 300_000 }),
    outIntervalMs: fc.integer({ min: 1000, max: 60_000 }),
  })
  .map(({ more, ...rest }) => ({ ...POLICY, ...rest, replicasMax: rest.replicasMin + more }))

type Moment = typeof anything extends fc.Arbitrary<infer Each> ? Each : never

/** A StatefulSet that does what is decided; what happened, in order. */
function play(policy: ScalePolicy, start: number, seen: readonly Moment[]): readonly Step[] {
  let replicas = start
  let atMs = 0
  let history = firstHistory(replicas, atMs)
  const steps: Step[] = []
  for (const { passMs, movable, busyShare, missing, ...rest } of seen) {
    atMs += passMs
    const decision = decideScale(
      policy,
      history,
      figures({
        ...rest,
        atMs,
        replicas,
        working: Math.max(0, replicas - missing),
        movableLagSeconds: movable ? rest.lagSeconds : 0,
        busySum: busyShare * replicas,
      }),
    )
    const to = decision.replicas
    steps.push({ kind: decision.kind, atMs, from: replicas, to })
    history = decision.history
    if (decision.kind === 'out') history = withAdded(history, to, atMs)
    if (decision.kind === 'in') history = withRemoved(history, to, atMs)
    replicas = to
  }
  return steps
}

describe('decideScale, whatever happens', () => {
  it('stays within its bounds, moves as far as it may, and says what it does', () => {
    fc.assert(
      fc.property(policies, fc.integer({ min: 0, max: 20 }), moments, (policy, start, seen) => {
        const { replicasMin, replicasMax, outStepMax } = policy
        for (const { kind, from, to } of play(policy, start, seen)) {
          if (from === 0) assert.equal(to, 0)
          else if (from < replicasMin) assert.equal(to, replicasMin)
          else if (from > replicasMax) assert.equal(to, from - 1)
          else assert.ok(to >= replicasMin && to <= replicasMax)
          if (kind === 'hold') assert.equal(to, from)
          if (kind === 'in') assert.equal(to, from - 1)
          if (kind === 'out' && from >= replicasMin) assert.ok(to > from && to - from <= outStepMax)
        }
      }),
    )
  })

  it('does not flap: nothing is removed within the cool-down of any change, nothing added twice within the interval', () => {
    fc.assert(
      fc.property(policies, moments, (policy, seen) => {
        let changedMs = 0
        let addedMs = -Infinity
        for (const { kind, atMs } of play(policy, policy.replicasMin, seen)) {
          if (kind === 'in') assert.ok(atMs - changedMs >= policy.inCoolDownMs)
          if (kind === 'out') assert.ok(atMs - addedMs >= policy.outIntervalMs)
          if (kind !== 'hold') changedMs = atMs
          if (kind === 'out') addedMs = atMs
        }
      }),
    )
  })

  it('comes to rest: under a load that stays, what was removed is not wanted back', () => {
    const load = fc.record({
      arrivedPerSecond: fc.integer({ min: 0, max: 50_000 }),
      // records a second of one ingester at full work
      capacity: fc.integer({ min: 1000, max: 10_000 }),
      start: fc.integer({ min: 1, max: 8 }),
    })
    fc.assert(
      fc.property(load, ({ arrivedPerSecond, capacity, start }) => {
        let replicas = start
        let backlogRecords = 0
        let history = firstHistory(replicas, 0)
        const changes: string[] = []
        for (let atMs = 0; atMs < 7_200_000; atMs += 5000) {
          const most = capacity * replicas
          const wanted = arrivedPerSecond + backlogRecords / 5
          const fetchedPerSecond = Math.min(most, wanted)
          backlogRecords = Math.max(0, backlogRecords + (arrivedPerSecond - fetchedPerSecond) * 5)
          const lagSeconds = arrivedPerSecond === 0 ? 0 : backlogRecords / arrivedPerSecond
          const decision = decideScale(
            POLICY,
            history,
            figures({
              ...{ atMs, replicas, backlogRecords, arrivedPerSecond, fetchedPerSecond },
              ...{ lagSeconds, movableLagSeconds: lagSeconds, partitions: 64 },
              busySum: fetchedPerSecond / capacity,
            }),
          )
          history = decision.history
          if (decision.kind === 'hold') continue
          changes.push(decision.kind)
          replicas = decision.replicas
          if (decision.kind === 'out') history = withAdded(history, replicas, atMs)
          else history = withRemoved(history, replicas, atMs)
        }
        const text = changes.join(' ')
        assert.match(text, /^(out ?)*(in ?)*$/, `${text}: it went back and forth`)
      }),
    )
  })
})
