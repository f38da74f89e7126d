/**
 * The routing table that this router goes by: looks every second whether the store has a newer one,
 * and writes its own back where the store has an older one or none, as after a loss of the store.
 * While the store can't be reached, or holds what can't be read, the table stays as it is. Until
 * there is one, all partitions of the log take part.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import { toAppError } from '@tributary/common/errors'
import type { PartitionLog } from '@tributary/common/log/partition-log'
import type { Logger } from '@tributary/common/logger'
import type { RoutingStore } from '@tributary/common/metadata/routing-store'
import {
  emptyRoutingTable,
  parseRoutingTable,
  serializeRoutingTable,
  type RoutingTable,
} from '@tributary/common/routing/routing-table'
import type { Partitioner } from '../partitioner.ts'

export interface TableKeeperOptions {
  readonly store: Pick<RoutingStore, 'readTable' | 'writeTable'>
  readonly log: Pick<PartitionLog, 'partitionCount'>
  readonly partitioner: Partitioner
  readonly clock: Clock
  readonly logger: Logger
}

const REFRESH_MS = 1000

export class TableKeeper {
  readonly #options: TableKeeperOptions
  #readAtMs: number
  #isFailing = false
  /** The version of a stored table that could not be read: it is not fetched again and again. */
  #unreadable = 0
  #timer: Timer | undefined
  #refreshing: Promise<void> | undefined

  constructor(options: TableKeeperOptions) {
    this.#options = options
    this.#readAtMs = options.clock.monotonicMs()
  }

  get table(): RoutingTable {
    return this.#options.partitioner.table
  }

  /** Since the store was last asked with success. */
  get ageMs(): number {
    return this.#options.clock.monotonicMs() - this.#readAtMs
  }

  /** Reads the table once, then again and again. */
  async start(): Promise<void> {
    await this.refresh()
    this.#timer = this.#options.clock.every(REFRESH_MS, () => {
      void this.refresh()
    })
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#refreshing
  }

  /** One look at the store; never rejects. Calls while one is under way share it. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  /** Goes by a table that this router made. */
  adopt(table: RoutingTable): void {
    if (table.version > this.table.version) this.#options.partitioner.adopt(table)
  }

  async #refresh(): Promise<void> {
    const { logger, clock } = this.#options
    this.#followLog()
    try {
      await this.#readOnce()
      this.#readAtMs = clock.monotonicMs()
      if (this.#isFailing) logger.info({ version: this.table.version }, 'routing table read again')
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) {
        logger.warn(
          { err: toAppError(error), version: this.table.version },
          'routing table can not be read: the known one stays',
        )
      }
      this.#isFailing = true
    }
  }

  async #readOnce(): Promise<void> {
    const { store, partitioner, logger } = this.#options
    const known = this.table
    const stored = await store.readTable(Math.max(known.version, this.#unreadable))
    if (stored === undefined) return
    if (stored.version < known.version) {
      await store.writeTable({ version: known.version, text: serializeRoutingTable(known) })
      return
    }
    if (stored.version === 0 || stored.version === known.version) return
    this.#unreadable = stored.version
    const table = { ...parseRoutingTable(stored.text), version: stored.version }
    this.#unreadable = 0
    if (table.version <= this.table.version) return
    partitioner.adopt(table)
    const { version, madeBy, partitions, entries } = table
    logger.info({ version, madeBy, partitions, entries: entries.size }, 'routing table changed')
  }

  /** Without a table the log alone tells how many partitions there are. */
  #followLog(): void {
    const { log, partitioner } = this.#options
    const { version, partitions } = partitioner.table
    if (version > 0 || partitions === log.partitionCount) return
    partitioner.adopt(emptyRoutingTable(log.partitionCount))
  }
}
