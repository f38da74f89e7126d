import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import fc from 'fast-check'

import { planNodeDrains, type DrainablePod } from '../../src/decide/drain-plan.ts'

function pod(ordinal: number, node: string, more: Partial<DrainablePod> = {}): DrainablePod {
  const name = `ingester-${ordinal}`
  return { name, uid: `uid-${ordinal}`, node, isTerminating: false, isMember: true, ...more }
}

function plan(
  pods: readonly DrainablePod[],
  cordoned: readonly string[],
  begun: Readonly<Record<string, number>> = {},
): readonly string[] {
  return planNodeDrains({
    pods,
    cordonedNodes: new Set(cordoned),
    begunMs: new Map(Object.entries(begun)),
    holdMs: 600_000,
    nowMs: 1_000_000,
  }).map(({ name }) => name)
}

describe('planNodeDrains', () => {
  const three = [pod(0, 'a'), pod(1, 'b'), pod(2, 'c')]

  it('drains nothing while no node is cordoned', () => {
    assert.deepEqual(plan(three, []), [])
  })

  it('drains the ingester of a cordoned node', () => {
    assert.deepEqual(plan(three, ['b']), ['ingester-1'])
  })

  it('drains half of them at most, those first that have begun', () => {
    const four = [pod(0, 'a'), pod(1, 'a'), pod(2, 'a'), pod(3, 'b')]
    assert.deepEqual(plan(four, ['a']), ['ingester-0', 'ingester-1'])
    assert.deepEqual(plan(four, ['a'], { 'uid-2': 900_000 }), ['ingester-2', 'ingester-0'])
  })

  it('leaves one that works, also where every node is cordoned', () => {
    assert.deepEqual(plan([pod(0, 'a')], ['a']), [])
    assert.deepEqual(plan([pod(0, 'a'), pod(1, 'b')], ['a', 'b']), ['ingester-0'])
    assert.deepEqual(plan([pod(0, 'a'), pod(1, 'b')], ['a']), ['ingester-0'])
  })

  it('leaves those alone that stop already, or do not live', () => {
    const pods = [
      pod(0, 'a', { isTerminating: true }),
      pod(1, 'a', { isMember: false }),
      pod(2, 'b'),
    ]
    assert.deepEqual(plan(pods, ['a']), [])
  })

  it('gives up the one that nobody evicted in time', () => {
    assert.deepEqual(plan(three, ['b'], { 'uid-1': 400_001 }), ['ingester-1'])
    assert.deepEqual(plan(three, ['b'], { 'uid-1': 400_000 }), [])
  })

  it('never takes the last one that works, and only pods of cordoned nodes', () => {
    const pods = fc
      .array(
        fc.record({
          node: fc.constantFrom('a', 'b', 'c'),
          isTerminating: fc.boolean(),
          isMember: fc.boolean(),
        }),
        { maxLength: 10 },
      )
      .map((all) => all.map((each, ordinal) => pod(ordinal, each.node, each)))
    fc.assert(
      fc.property(pods, fc.subarray(['a', 'b', 'c']), (all, cordoned) => {
        const planned = plan(all, cordoned)
        const living = all.filter(({ isMember, isTerminating }) => isMember && !isTerminating)
        assert.ok(planned.length <= Math.max(1, Math.floor(living.length / 2)))
        if (living.length > 0) assert.ok(planned.length < living.length)
        for (const name of planned) {
          assert.ok(living.some((each) => each.name === name && cordoned.includes(each.node)))
        }
      }),
    )
  })
})
