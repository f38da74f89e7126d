import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { isSurplus, lastPodName } from '../../src/decide/pod-name.ts'

describe('pod names', () => {
  const set = { name: 'x-ingester', replicas: 3, ordinalStart: 0 }

  it('name the pod with the highest ordinal', () => {
    assert.equal(lastPodName(set), 'x-ingester-2')
    assert.equal(lastPodName({ ...set, ordinalStart: 5 }), 'x-ingester-7')
  })

  it('tell the pods that are too many', () => {
    assert.deepEqual(
      ['x-ingester-2', 'x-ingester-3', 'x-ingester-10', 'other-9', 'x-ingester-a'].filter((pod) =>
        isSurplus(set, pod),
      ),
      ['x-ingester-3', 'x-ingester-10'],
    )
    assert.equal(isSurplus({ ...set, ordinalStart: 2 }, 'x-ingester-4'), false)
  })
})
