/** What the processes of a simulated cluster share, and what looks at them from outside. */
import type { PartitionId } from '@tributary/common/paths'
import { MemoryIndexState } from '@tributary/common/testing/memory-file-index'
import { MemoryLogBroker } from '@tributary/common/testing/memory-log-broker'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import type { PartitionSettings } from '@tributary/ingester/shared-parts'
import { LeaseMasters } from './lease-masters.ts'
import { Ledger } from './ledger.ts'
import type { Ports } from './ports.ts'
import { Trace } from './trace.ts'
import { Violations } from './violations.ts'
import { WatchedBucket } from './watched-bucket.ts'

export interface WorldOptions {
  readonly seed: number
  readonly ports: Ports
  readonly isTraceKept: boolean
}

export class ClusterWorld {
  readonly seed: number
  readonly ports: Ports
  readonly clock = new VirtualClock()
  readonly random: SeededRandom
  readonly trace: Trace
  readonly violations = new Violations()
  readonly ledger = new Ledger()
  readonly bucket: WatchedBucket
  readonly broker: MemoryLogBroker
  readonly leases: LeaseMasters
  readonly indexState = new MemoryIndexState()
  /** Ids of batches that no encoder takes. */
  readonly poison = new Set<string>()
  readonly settings: PartitionSettings
  /** Chance that an encoder fails for no reason of the table. */
  encodeFailureChance = 0

  constructor({ seed, ports, isTraceKept }: WorldOptions) {
    this.seed = seed
    this.ports = ports
    // seeds that follow each other must not begin alike
    this.random = new SeededRandom(Math.imul(seed + 1, 0x9e37_79b1))
    const { clock, random } = this
    this.trace = new Trace(() => clock.monotonicMs(), isTraceKept)
    const note = (what: string): void => {
      this.trace.note(what)
    }
    this.bucket = new WatchedBucket(clock, random, this.violations, note)
    const partitions = random.chance(0.75) ? 1 : 2
    this.broker = new MemoryLogBroker({ clock, seed: random.uint32(), partitions })
    this.leases = new LeaseMasters({ clock, random })
    this.settings = {
      flushIntervalMs: 300 + random.below(1500),
      flushBytes: random.chance(0.5) ? 1000 : 4000,
      retryRemoval: true,
      // clocks are stepped by hours: the window's own bound is another test's business
      retryWindowMs: 86_400_000,
      retryWindowEntriesMax: 10_000,
    }
  }

  idOf(partition: number): PartitionId {
    return { logId: this.broker.logId, topic: this.broker.topic, partition }
  }

  note(what: string): void {
    this.trace.note(what)
  }

  hex(bytes: number): string {
    return Buffer.from(this.random.bytes(bytes)).toString('hex')
  }
}
