import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { leaseStanding, mayTakeOver } from '@tributary/common/metadata/lease-standing'

describe('leaseStanding', () => {
  const cases = [
    ['no lease', undefined, 'reclaim'],
    ['the own lease', { owner: 'me', epoch: 5 }, 'ours'],
    ['the own lease with another epoch', { owner: 'me', epoch: 6 }, 'reclaim'],
    ['the own lease of the past', { owner: 'me', epoch: 4 }, 'reclaim'],
    ['a free lease of ours', { owner: '', epoch: 5 }, 'reclaim'],
    ['a free lease of the past', { owner: '', epoch: 4 }, 'reclaim'],
    ['a free lease that somebody had after us', { owner: '', epoch: 6 }, 'lost'],
    ['a lease of another, taken after us', { owner: 'other', epoch: 6 }, 'lost'],
    ['a lease of another with our epoch', { owner: 'other', epoch: 5 }, 'lost'],
    ['a lease of another, of the past', { owner: 'other', epoch: 4 }, 'reclaim'],
  ] as const
  for (const [name, lease, standing] of cases) {
    it(`takes ${name} as ${standing}`, () => {
      const full = lease === undefined ? undefined : { partition: 0, ...lease }
      assert.equal(leaseStanding(full, 'me', 5), standing)
    })
  }
})

describe('mayTakeOver', () => {
  it('waits two beats and a time to live after a new incarnation', () => {
    const view = { incarnation: '1.x', members: [], leases: new Map() }
    const timing = { beatIntervalMs: 1000, memberTimeToLiveMs: 5000 }
    assert.equal(mayTakeOver({ ...view, incarnationAgeMs: 6999 }, timing), false)
    assert.equal(mayTakeOver({ ...view, incarnationAgeMs: 7000 }, timing), true)
  })
})
