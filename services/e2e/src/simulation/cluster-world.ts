/** What the processes of a simulated cluster share: log, leases, index. */
import type { PartitionId } from '@tributary/common/paths'
import { MemoryIndexState } from '@tributary/common/testing/memory-file-index'
import { MemoryLogBroker } from '@tributary/common/testing/memory-log-broker'
import { LeaseMasters } from './lease-masters.ts'
import { World, type WorldOptions } from './world.ts'

/** No part of a cluster waits for a turn of the event loop. */
const TIMERS_PER_TURN = 64

export class ClusterWorld extends World {
  readonly broker: MemoryLogBroker
  readonly leases: LeaseMasters
  readonly indexState = new MemoryIndexState()

  constructor(options: WorldOptions) {
    super(options, TIMERS_PER_TURN)
    const { clock, random } = this
    const partitions = random.chance(0.75) ? 1 : 2
    this.broker = new MemoryLogBroker({ clock, seed: random.uint32(), partitions })
    this.leases = new LeaseMasters({ clock, random })
  }

  idOf(partition: number): PartitionId {
    return { logId: this.broker.logId, topic: this.broker.topic, partition }
  }
}
