import type { Clock } from '@tributary/common/clock'
import type { FileSystem } from '@tributary/common/file-system'
import type { Logger } from '@tributary/common/logger'

import type { SegmentIdentity } from './segment-header.ts'

/**
 * always: one fdatasync per append. group: one for all that waited meanwhile. none: an append is
 * acknowledged when the kernel has it: a power loss takes the last rows, a killed process does not.
 */
export type WalSync = 'always' | 'group' | 'none'

/**
 * open: appends are taken. full: refused with log_full until space is there. unavailable: the disk
 * fails; refused with log_unavailable until a new file can be written. closed: for good.
 */
export type WalState = 'open' | 'full' | 'unavailable' | 'closed'

export interface UnflushedFrame {
  readonly offset: bigint
  /** Must stay as it is until the next step of the iteration. */
  readonly payload: Uint8Array
}

export interface WalOptions {
  readonly directory: string
  readonly fs: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  readonly sync: WalSync
  readonly groupBytesMax: number
  readonly segmentBytesMax: number
  /** All segments together; must hold at least two, or truncation cannot keep up. */
  readonly diskBytesMax: number
  /** Appends not yet durable; beyond it they are refused with log_unavailable. Default 64 MiB. */
  readonly waitingBytesMax?: number
  /**
   * A synced log that was idle for so long writes that all before was acknowledged: from then on
   * damage to its last group is told from a torn write. Undefined: only `close` writes that.
   */
  readonly markIdleMs?: number
  readonly segmentIdentity: SegmentIdentity
  /** For the ids of files; default: those of node:crypto. */
  readonly randomBytes?: (count: number) => Uint8Array
  /**
   * All appended and not yet truncated rows from an offset on, ascending: asked for when a file
   * failed and its rows must be written again. Without it the failed file is kept for recovery.
   */
  readonly unflushed?: (fromOffset: bigint) => Iterable<UnflushedFrame>
  readonly onStateChange?: (state: WalState) => void
}
