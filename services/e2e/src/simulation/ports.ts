/**
 * What a simulation may put between a process and the outside world: the seams at which deliberate bugs
 * are made (bugs.ts). Nothing of it is known to production code.
 */
import type { FileIndex } from '@tributary/common/catalogue/file-index'
import type { FileSystem } from '@tributary/common/file-system'
import type { PartitionLog } from '@tributary/common/log/partition-log'
import type { ClusterMetadata } from '@tributary/common/metadata/cluster-metadata'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'
import type { TableEncoder } from '@tributary/ingester/flush/table-encoder'
import type { PartitionSettings } from '@tributary/ingester/shared-parts'
import type { SimulatedProcess } from './simulated-process.ts'

export interface PortContext {
  readonly process: SimulatedProcess
  readonly random: SeededRandom
  /** Of a standalone process: forgets the log below an offset. */
  readonly truncateLog?: (end: bigint) => Promise<void> | undefined
}

export interface Ports {
  /** The log as routers see it. */
  readonly routerLog?: (log: PartitionLog, context: PortContext) => PartitionLog
  /** The log as ingesters see it. */
  readonly log?: (log: PartitionLog, context: PortContext) => PartitionLog
  readonly metadata?: (metadata: ClusterMetadata, context: PortContext) => ClusterMetadata
  readonly store?: (store: ObjectStore, context: PortContext) => ObjectStore
  readonly index?: (index: FileIndex, context: PortContext) => FileIndex
  readonly encoder?: (encoder: TableEncoder, context: PortContext) => TableEncoder
  readonly fs?: (fs: FileSystem, context: PortContext) => FileSystem
  /** Deletes what no commit names. */
  readonly sweep?: (store: ObjectStore) => Promise<unknown>
  readonly settings?: Partial<PartitionSettings>
}
