/**
 * Everything of a flush that goes to the store before its commit: data files, the sidecar of hashes,
 * what is quarantined. None of it is visible, and each object's key follows from its content: what a
 * crash left behind is written again under the same key or is an orphan.
 *
 * A store that fails is waited for, with growing pauses: the rows stay in the memtable and the log.
 */
import { hash } from 'node:crypto'
import type { Clock } from '@tributary/common/clock'
import { serializeSidecar } from '@tributary/common/commit/chunk-sidecar'
import type { CommitFile, CommitHole } from '@tributary/common/commit/commit-record'
import { mapOrdered } from '@tributary/common/commit/ordered-map'
import { AppError, toAppError, type ErrorCode } from '@tributary/common/errors'
import { failpoint } from '@tributary/common/failpoint'
import type { FileSystem } from '@tributary/common/file-system'
import type { Logger } from '@tributary/common/logger'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import {
  dataKey,
  hashesKey,
  quarantineKey,
  type OffsetRange,
  type PartitionId,
} from '@tributary/common/paths'
import type { SignalName } from '@tributary/common/signal'
import type { MemtableEntry } from '../memtable/memtable.ts'
import type { StageObserver } from './flush-stage.ts'
import type { TableFile } from './table-writer.ts'

export interface PublisherOptions {
  readonly partition: PartitionId
  readonly store: ObjectStore
  readonly fs: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  /** Ends the waiting for a store that does not come back. */
  readonly signal: AbortSignal
  readonly observe?: StageObserver
}

/** A table's file and whose it is. */
export interface FinishedFile {
  readonly tenant: string
  readonly signal: SignalName
  readonly file: TableFile
}

const RETRY_DELAY_MS_MIN = 500
const RETRY_DELAY_MS_MAX = 30_000
const TEMPORARY: ReadonlySet<ErrorCode> = new Set(['store_unavailable', 'object_missing'])
/** Hides the round trips of a store; a small file is held in memory while it is sent. */
const UPLOADS_IN_FLIGHT_MAX = 4

export class Publisher {
  readonly #options: PublisherOptions

  constructor(options: PublisherOptions) {
    this.#options = options
  }

  /** Uploads files and removes them from the spool, also where it fails. */
  publish(files: readonly FinishedFile[], range: OffsetRange): Promise<CommitFile[]> {
    return untilAborted(this.#publish(files, range), this.#options.signal)
  }

  async #publish(files: readonly FinishedFile[], range: OffsetRange): Promise<CommitFile[]> {
    const published: CommitFile[] = []
    const started: Promise<CommitFile>[] = []
    try {
      const uploads = mapOrdered(files, UPLOADS_IN_FLIGHT_MAX, (file) => {
        const upload = this.#upload(file, range)
        started.push(upload)
        return upload
      })
      for await (const file of uploads) published.push(file)
    } finally {
      // none may lose its file in the middle, also where nobody waits for it any more
      await Promise.allSettled(started)
      await this.discard(files)
    }
    return published.sort((left, right) => (left.key < right.key ? -1 : 1))
  }

  /** Removes files from the spool. */
  async discard(files: readonly FinishedFile[]): Promise<void> {
    const { fs, logger } = this.#options
    for (const { file } of files) {
      await fs.unlink(file.path).catch((error: unknown) => {
        logger.warn({ err: error, path: file.path }, 'spool file could not be removed')
      })
    }
  }

  async #upload({ tenant, signal, file }: FinishedFile, range: OffsetRange): Promise<CommitFile> {
    const { partition, store, clock, observe } = this.#options
    const { path, bytes, sha256, rows, hour, timeMin, timeMax } = file
    const key = dataKey({ ...partition, ...range, tenant, signal, hour, sha256 })
    const startMs = clock.monotonicMs()
    await failpoint('flush:before-put')
    await this.untilDone('put', () => store.putFile(key, path, bytes, sha256))
    await failpoint('flush:after-put')
    observe?.('upload', (clock.monotonicMs() - startMs) / 1000)
    return { key, bytes, sha256, rows, tenant, signal, hour, timeMin, timeMax }
  }

  /** Keeps the bytes of one offset aside with the reason; the hole goes into its commit. */
  async quarantine(offset: bigint, bytes: Uint8Array, reason: string): Promise<CommitHole> {
    const { partition, store, logger } = this.#options
    const range = { start: offset, end: offset + 1n }
    const body = Buffer.from(bytes)
    const key = quarantineKey(partition, range, hash('sha256', body))
    await this.untilStored('quarantine', () => store.put(key, body))
    logger.error({ key, reason, bytes: body.length }, 'batch quarantined')
    return { start: String(range.start), end: String(range.end), reason: `quarantined: ${reason}` }
  }

  /**
   * Stores what the next owner's window of repeats begins with.
   * @returns the key; null where nothing can come again
   */
  async putSidecar(entries: readonly MemtableEntry[], range: OffsetRange): Promise<string | null> {
    const { partition, store } = this.#options
    const groups = entries.map(({ repeats, appendUnixMs }) => ({
      hashes: repeats.storedHashes,
      appendUnixMs,
    }))
    if (groups.every(({ hashes }) => hashes.length === 0)) return null
    const body = serializeSidecar(partition, range, groups)
    const key = hashesKey(partition, range, hash('sha256', body))
    await this.untilStored('sidecar', () => store.put(key, body))
    return key
  }

  /**
   * Tries until the store takes it; only errors that may pass are waited for. When the flush is given
   * up nobody waits for an answer any more: what is under way may still happen.
   */
  untilStored<T>(what: string, action: () => Promise<T>): Promise<T> {
    return this.untilDone(what, () => untilAborted(action(), this.#options.signal))
  }

  /** The same for an action that must have ended before its memory is given back. */
  async untilDone<T>(what: string, action: () => Promise<T>): Promise<T> {
    const { logger, clock, signal } = this.#options
    for (let delayMs = RETRY_DELAY_MS_MIN; ; delayMs = Math.min(2 * delayMs, RETRY_DELAY_MS_MAX)) {
      try {
        return await action()
      } catch (error) {
        if (!TEMPORARY.has(toAppError(error).code) || signal.aborted) throw error
        logger.warn({ err: error, what, delayMs }, 'store unavailable, flush waits')
        await clock.sleep(delayMs, signal)
      }
    }
  }
}

/** As the promise, but rejected as soon as the signal is aborted. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(new AppError('cancelled', 'the flush is given up'))
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort)
    })
  })
}
