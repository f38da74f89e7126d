import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { createLogger } from '@tributary/common/logger'
import { ProcessClock } from '@tributary/common/testing/process-clock'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { LeaderElection } from '../../src/kubernetes/leader-election.ts'
import { MemoryLease, type LeaseFaults } from '../../src/testing/memory-lease-store.ts'

const logger = createLogger({ name: 'test', level: 'silent' })
const DURATION_MS = 15_000
const HEALTHY: LeaseFaults = { delayMsMax: 5, refused: 0, answerLost: 0 }

class Candidates {
  readonly clock = new VirtualClock()
  readonly random: SeededRandom
  readonly lease: MemoryLease
  #count = 0

  constructor(seed = 1, faults = HEALTHY) {
    this.random = new SeededRandom(seed)
    this.lease = new MemoryLease(this.clock, this.random, faults)
  }

  start(): { clock: ProcessClock; election: LeaderElection } {
    const clock = new ProcessClock(this.clock)
    const election = new LeaderElection({
      identity: `candidate-${this.#count++}`,
      store: this.lease.connect(),
      clock,
      logger,
      durationMs: DURATION_MS,
      random: () => this.random.below(1000) / 1000,
    })
    election.start()
    return { clock, election }
  }
}

describe('LeaderElection', () => {
  it('lets one of several act, at once where nobody held the lease', async () => {
    const candidates = new Candidates()
    const all = [candidates.start(), candidates.start(), candidates.start()]
    await candidates.clock.advance(100)
    assert.equal(all.filter(({ election }) => election.isLeader).length, 1)
    await candidates.clock.advance(3_600_000)
    assert.equal(all.filter(({ election }) => election.isLeader).length, 1)
    assert.equal(candidates.lease.stored!.transitions, 0)
  })

  it('hands over at once where it is stopped, and after the duration where it dies', async () => {
    const candidates = new Candidates()
    const first = candidates.start()
    await candidates.clock.advance(100)
    const second = candidates.start()
    await candidates.clock.advance(20_000)
    assert.deepEqual([first.election.isLeader, second.election.isLeader], [true, false])
    const stopped = first.election.stop()
    assert.equal(first.election.isLeader, false)
    await candidates.clock.run(stopped, 10_000)
    await candidates.clock.advance(DURATION_MS / 5)
    assert.equal(second.election.isLeader, true)
    const third = candidates.start()
    await candidates.clock.advance(10_000)
    second.clock.crash()
    await candidates.clock.advance(DURATION_MS - 3000)
    assert.equal(third.election.isLeader, false)
    await candidates.clock.advance(6000)
    assert.equal(third.election.isLeader, true)
  })

  it('knows that it lost the lease before anybody else has it, and ends its term', async () => {
    const candidates = new Candidates()
    const first = candidates.start()
    await candidates.clock.advance(100)
    const { term } = first.election
    assert.equal(term.aborted, false)
    first.clock.freeze()
    await candidates.clock.advance(DURATION_MS)
    // its timers have not run: the clock alone tells it
    assert.equal(first.election.isLeader, false)
    assert.equal(term.aborted, false)
    first.clock.thaw()
    assert.equal(term.aborted, true)
    await candidates.clock.advance(DURATION_MS)
    assert.equal(first.election.isLeader, true, 'nobody else wanted it')
    assert.equal(first.election.term.aborted, false)
  })

  it('goes on while the API server is away for less than two thirds of the duration', async () => {
    const candidates = new Candidates()
    const first = candidates.start()
    await candidates.clock.advance(5000)
    const store = candidates.lease
    const stored = store.stored!
    // another one's late write in between: the next renewal fails, the one after succeeds
    store.stored = { ...stored, resourceVersion: 'other' }
    await candidates.clock.advance(5000)
    assert.equal(first.election.isLeader, true)
  })

  it('never lets two act at one time, whatever stops, dies, freezes and fails', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const candidates = new Candidates(seed, { delayMsMax: 3000, refused: 0.1, answerLost: 0.1 })
      const { random } = candidates
      let all = [candidates.start(), candidates.start()]
      let ledMs = 0
      for (let atMs = 0; atMs < 400_000; atMs += 500) {
        await candidates.clock.advance(500)
        const leaders = all.filter(({ election }) => election.isLeader)
        assert.ok(leaders.length <= 1, `seed ${seed}: two at ${atMs} ms`)
        if (leaders.length === 1) ledMs += 500
        const one = random.pick(all)
        if (random.chance(0.01)) one.clock.freeze()
        if (random.chance(0.05)) one.clock.thaw()
        if (random.chance(0.004)) {
          one.clock.crash()
          // a killed process decides nothing any more
          all = all.filter((each) => each !== one).concat(candidates.start())
        }
        if (random.chance(0.004)) {
          one.clock.thaw()
          void one.election.stop()
          all = all.filter((each) => each !== one).concat(candidates.start())
        }
      }
      assert.ok(ledMs > 40_000, `seed ${seed}: somebody acted for ${ledMs} ms only`)
    }
  })
})
