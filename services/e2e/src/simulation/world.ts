/** What every simulated world has: time, chance, a bucket, the books of what clients were told. */
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import type { PartitionSettings } from '@tributary/ingester/shared-parts'
import { Ledger } from './ledger.ts'
import type { Ports } from './ports.ts'
import { Trace } from './trace.ts'
import { Violations } from './violations.ts'
import { WatchedBucket } from './watched-bucket.ts'

/** Routers and ingesters around a log, or one process whose disk is the log. */
export type WorldKind = 'cluster' | 'standalone'

export interface WorldOptions {
  readonly seed: number
  readonly ports: Ports
  readonly isTraceKept: boolean
}

export class World {
  readonly seed: number
  readonly ports: Ports
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly trace: Trace
  readonly violations = new Violations()
  readonly ledger = new Ledger()
  readonly bucket: WatchedBucket
  readonly settings: PartitionSettings
  /** Ids of batches that no encoder takes. */
  readonly poison = new Set<string>()
  /** Chance that an encoder fails for no reason of the table. */
  encodeFailureChance = 0

  constructor({ seed, ports, isTraceKept }: WorldOptions, timersPerTurn = 1) {
    this.clock = new VirtualClock(undefined, timersPerTurn)
    this.seed = seed
    this.ports = ports
    // seeds that follow each other must not begin alike
    this.random = new SeededRandom(Math.imul(seed + 1, 0x9e37_79b1))
    const { clock, random } = this
    this.trace = new Trace(() => clock.monotonicMs(), isTraceKept)
    this.bucket = new WatchedBucket(clock, random, this.violations, (what) => {
      this.note(what)
    })
    this.settings = {
      flushIntervalMs: 200 + random.below(1200),
      flushBytes: random.chance(0.5) ? 1000 : 4000,
      retryRemoval: true,
      // clocks are stepped by hours: the window's own bound is another test's business
      retryWindowMs: 86_400_000,
      retryWindowEntriesMax: 10_000,
    }
  }

  note(what: string): void {
    this.trace.note(what)
  }
}
