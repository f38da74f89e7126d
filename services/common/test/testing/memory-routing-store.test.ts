import { describe } from 'node:test'

import { FaultyCalls } from '@tributary/common/testing/faulty-calls'
import {
  MemoryRoutingState,
  MemoryRoutingStore,
} from '@tributary/common/testing/memory-routing-store'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { ManualClock } from '../metadata/cluster-metadata-contract.ts'
import { describeRoutingContract } from '../metadata/routing-store-contract.ts'

describe('MemoryRoutingStore', () => {
  describeRoutingContract(() => {
    const clock = new ManualClock()
    const calls = new FaultyCalls({ clock, random: new SeededRandom(1) })
    return Promise.resolve({
      store: new MemoryRoutingStore(new MemoryRoutingState(), calls),
      pass: (durationMs) => {
        clock.unixMs += durationMs
        return Promise.resolve()
      },
    })
  })
})
