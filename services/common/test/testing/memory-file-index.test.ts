import { describe } from 'node:test'

import { FaultyCalls } from '@tributary/common/testing/faulty-calls'
import { MemoryFileIndex, MemoryIndexState } from '@tributary/common/testing/memory-file-index'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { describeIndexContract } from '../catalogue/file-index-contract.ts'
import { ManualClock } from '../metadata/cluster-metadata-contract.ts'

describe('MemoryFileIndex', () => {
  describeIndexContract(() => {
    const calls = new FaultyCalls({ clock: new ManualClock(), random: new SeededRandom(1) })
    const state = new MemoryIndexState()
    return Promise.resolve({
      connect: () => new MemoryFileIndex(state, calls),
      flushAll: () => Promise.resolve(state.flushAll()),
    })
  })
})
