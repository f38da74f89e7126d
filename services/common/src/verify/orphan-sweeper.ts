/**
 * Sweeps what crashed flushes left in the store, now and then: files that no commit names and none
 * ever will. It is housekeeping; a sweep that fails is logged and tried again at the next turn. In a
 * cluster one process does it; two at once do no harm, each asks again before it deletes.
 */
import type { Clock, Timer } from '../clock.ts'
import type { Logger } from '../logger.ts'
import type { ObjectStore } from '../object-store/object-store.ts'

export interface OrphanSweeperOptions {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly logger: Logger
  /** Whether it is this process that sweeps; default: always. */
  readonly isOurs?: () => boolean
}

const INTERVAL_MS = 60 * 60 * 1000

export class OrphanSweeper {
  readonly #options: OrphanSweeperOptions
  #timer: Timer | undefined
  #sweep: Promise<void> = Promise.resolve()

  constructor(options: OrphanSweeperOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer = this.#options.clock.every(INTERVAL_MS, () => {
      this.#sweep = this.#sweep.then(() => this.#run())
    })
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#sweep
  }

  async #run(): Promise<void> {
    const { store, clock, logger, isOurs } = this.#options
    if (isOurs?.() === false) return
    try {
      // 7 MB of readers that most processes never need within their first hour
      const { sweepOrphans } = await import('./orphan-sweep.ts')
      const { deletedCount, deletedBytes, keptCount } = await sweepOrphans(store, { clock })
      logger.info({ deletedCount, deletedBytes, keptCount }, 'orphans swept')
    } catch (error) {
      logger.error({ err: error }, 'orphans could not be swept')
    }
  }
}
