/**
 * Sweeps what crashed flushes left in the store, now and then: files that no commit names and none
 * ever will. It is housekeeping; a sweep that fails is logged and tried again at the next turn.
 */
import type { Logger } from '@tributary/common/logger'
import type { ObjectStore } from '@tributary/common/object-store/object-store'

const INTERVAL_MS = 60 * 60 * 1000

export class OrphanSweeper {
  readonly #store: ObjectStore
  readonly #logger: Logger
  #timer: NodeJS.Timeout | undefined
  #sweep: Promise<void> = Promise.resolve()

  constructor(store: ObjectStore, logger: Logger) {
    this.#store = store
    this.#logger = logger
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#sweep = this.#sweep.then(() => this.#run())
    }, INTERVAL_MS)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#sweep
  }

  async #run(): Promise<void> {
    try {
      // 7 MB of readers that most processes never need within their first hour
      const { sweepOrphans } = await import('@tributary/common/verify/orphan-sweep')
      const { deletedCount, deletedBytes, keptCount } = await sweepOrphans(this.#store)
      this.#logger.info({ deletedCount, deletedBytes, keptCount }, 'orphans swept')
    } catch (error) {
      this.#logger.error({ err: error }, 'orphans could not be swept')
    }
  }
}
