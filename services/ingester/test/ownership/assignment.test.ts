import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import fc from 'fast-check'

import type { Member } from '@tributary/common/metadata/cluster-metadata'

import { SeededRandom } from '@tributary/common/testing/seeded-random'

import { assignPartitions, eligibleNames } from '../../src/ownership/assignment.ts'

const names = fc.uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,12}$/), {
  minLength: 1,
  maxLength: 40,
})
const partitions = fc.integer({ min: 0, max: 300 })

function countsOf(assigned: readonly string[], members: readonly string[]): number[] {
  return members.map((name) => assigned.filter((owner) => owner === name).length)
}

function movedBetween(before: readonly string[], after: readonly string[]): number {
  return before.filter((owner, partition) => owner !== after[partition]).length
}

describe('assignPartitions', () => {
  it('gives each partition one member, and each member as many as the others, give or take one', () => {
    fc.assert(
      fc.property(partitions, names, (count, members) => {
        const assigned = assignPartitions(count, members)
        assert.equal(assigned.length, count)
        const counts = countsOf(assigned, members)
        assert.equal(
          counts.reduce((sum, each) => sum + each, 0),
          count,
        )
        assert.ok(Math.max(...counts) - Math.min(...counts) <= 1)
      }),
    )
  })

  it('is the same in every process, whatever the order of the members', () => {
    fc.assert(
      fc.property(partitions, names, fc.nat(), (count, members, seed) => {
        const shuffled = new SeededRandom(seed).shuffled(members)
        assert.deepEqual(assignPartitions(count, members), assignPartitions(count, shuffled))
      }),
    )
  })

  it('moves little more than the share of a member that comes or goes', () => {
    let moved = 0
    let leaving = 0
    for (let size = 2; size <= 24; size++) {
      for (let count = size; count <= 192; count += 24) {
        const members = Array.from({ length: size }, (_, index) => `ingester-${index}`)
        const before = assignPartitions(count, members)
        for (const left of members) {
          const after = assignPartitions(
            count,
            members.filter((name) => name !== left),
          )
          leaving += before.filter((owner) => owner === left).length
          moved += movedBetween(before, after)
          assert.ok(movedBetween(before, after) <= 0.6 * count + 1, `${size} of ${count}`)
        }
      }
    }
    // what must move, and as much again at most
    assert.ok(moved / leaving < 2, `${moved / leaving}`)
  })

  it('keeps everything where nothing changes but who drains', () => {
    const member = (id: string, more: Partial<Member> = {}): Member => ({
      id,
      name: `host-${id}`,
      role: 'ingester',
      address: '127.0.0.1:1',
      isDraining: false,
      status: '{}',
      ...more,
    })
    const members = [
      member('a'),
      member('b', { isDraining: true }),
      member('c', { role: 'router' }),
      // a process that was killed and its successor under the same name
      member('d'),
      member('e', { name: 'host-d' }),
    ]
    assert.deepEqual(eligibleNames(members), ['host-a', 'host-d'])
    assert.deepEqual(assignPartitions(4, []), [])
  })
})
