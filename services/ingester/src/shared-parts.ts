/** What all partitions of a process share: one of each per process, and a test's or simulator's own. */
import type { Clock } from '@tributary/common/clock'
import type { FileSystem } from '@tributary/common/file-system'
import { LIMITS } from '@tributary/common/limits'
import type { Logger } from '@tributary/common/logger'
import type { Tracing } from '@tributary/common/tracing'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { StageObserver } from './flush/flush-stage.ts'
import type { TableEncoder } from './flush/table-encoder.ts'
import type { FlushSettings } from './flush/table-writer.ts'
import type { SlabPool } from './memtable/slab-pool.ts'
import type { IngesterMetrics } from './metrics.ts'

/** Settings of when rows become files and what is a repeat. */
export interface PartitionSettings {
  readonly flushIntervalMs: number
  readonly flushBytes: number
  readonly retryRemoval: boolean
  readonly retryWindowMs: number
  readonly retryWindowEntriesMax: number
}

export interface SharedParts {
  readonly store: ObjectStore
  readonly encoder: TableEncoder
  readonly slabs: SlabPool
  readonly fs: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: IngesterMetrics
  readonly observe: StageObserver
  /** Goes on with traces of batches; undefined: nothing is traced. */
  readonly tracing?: Tracing | undefined
  readonly settings: PartitionSettings
  readonly flushSettings: FlushSettings
}

/** Row groups hold this much of the batches' bytes at most. */
const ROW_GROUP_BYTES_MAX = 64 * 1024 * 1024

/** How files are cut and encoded, from the settings of the process. */
export function flushSettingsOf(
  settings: Omit<FlushSettings, 'rowGroupBytesMax' | 'hoursMax'>,
): FlushSettings {
  return {
    rowGroupRowsMax: settings.rowGroupRowsMax,
    rowGroupBytesMax: ROW_GROUP_BYTES_MAX,
    fileRowsMax: settings.fileRowsMax,
    fileBytesMax: settings.fileBytesMax,
    hoursMax: LIMITS.hoursPerFlushMax,
    attributeColumnsMax: settings.attributeColumnsMax,
    zstdLevel: settings.zstdLevel,
  }
}
