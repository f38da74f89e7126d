/**
 * The part of a router that makes the routing table while it holds the lease for that: publishes what
 * this router sees come in, and as the maker plans the next table from what all routers published
 * and what the owners of partitions say. Losing the lease, the store or the maker costs balance for
 * some seconds: the table that is there goes on counting. Two makers at once write the same version,
 * and the store takes the first.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import { toAppError } from '@tributary/common/errors'
import type { LogTime } from '@tributary/common/log/log-time'
import type { PartitionLog } from '@tributary/common/log/partition-log'
import type { Logger } from '@tributary/common/logger'
import type { Member } from '@tributary/common/metadata/cluster-metadata'
import type { RateStore } from '@tributary/common/metadata/rate-store'
import type { RoutingStore } from '@tributary/common/metadata/routing-store'
import { readPartitionStates } from '@tributary/common/routing/partition-states'
import { sumRates } from '@tributary/common/routing/router-rates'
import { serializeRoutingTable } from '@tributary/common/routing/routing-table'
import { TablePlanner } from '@tributary/common/routing/table-plan'
import type { RateMeter } from './rate-meter.ts'
import type { TableKeeper } from './table-keeper.ts'

export interface TableMakerOptions {
  readonly store: RoutingStore & RateStore
  /** Who is alive, as the last beat of this router saw it. */
  readonly members: () => readonly Member[]
  readonly log: Pick<PartitionLog, 'partitionCount'>
  readonly keeper: TableKeeper
  readonly meter: RateMeter
  readonly clock: Clock
  readonly logger: Logger
  /** Id of this router's membership, and its name. */
  readonly member: string
  readonly name: string
  /** OTLP bytes a second of one tenant and signal that one partition takes. */
  readonly targetRate: number
  /** How long repeats are removed. */
  readonly retryWindowMs: number
  /** By the brokers; undefined before they told. Items have the time of many machines, not of this one. */
  readonly logTime: Pick<LogTime, 'nowUnixMs'>
}

const ROUND_MS = 5000
/** Three rounds: one that is late loses nothing. */
const LEASE_MS = 15_000
const RATES_MS = 15_000

export class TableMaker {
  readonly #options: TableMakerOptions
  #planner = new TablePlanner()
  #isMaker = false
  #isFailing = false
  #timer: Timer | undefined
  #round: Promise<void> | undefined

  constructor(options: TableMakerOptions) {
    this.#options = options
  }

  get isMaker(): boolean {
    return this.#isMaker
  }

  start(): void {
    this.#timer = this.#options.clock.every(ROUND_MS, () => {
      void this.round()
    })
  }

  /** Gives the lease back, so that another router goes on at once. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#round
    if (!this.#isMaker) return
    this.#isMaker = false
    try {
      await this.#options.store.leaveMaking(this.#options.member)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'lease of the table maker could not be given back')
    }
  }

  /** Publishes rates and, as the maker, a table where it changed; never rejects. */
  round(): Promise<void> {
    this.#round ??= this.#runRound().finally(() => {
      this.#round = undefined
    })
    return this.#round
  }

  async #runRound(): Promise<void> {
    const { store, member, meter, logger } = this.#options
    try {
      await store.publishRates(member, meter.measure(), RATES_MS)
      const wasMaker = this.#isMaker
      this.#isMaker = await store.takeMaking(member, LEASE_MS)
      if (this.#isMaker && !wasMaker) {
        this.#planner = new TablePlanner()
        logger.info({}, 'this router makes the routing table')
      }
      if (this.#isMaker) await this.#make()
      this.#isFailing = false
    } catch (error) {
      this.#isMaker = false
      if (!this.#isFailing) {
        logger.warn({ err: toAppError(error) }, 'routing table can not be made: it stays as it is')
      }
      this.#isFailing = true
    }
  }

  async #make(): Promise<void> {
    const { store, keeper, log, clock, logger, name, targetRate } = this.#options
    const { logTime, retryWindowMs } = this.#options
    await keeper.refresh()
    const rates = await store.readRates()
    const { saturated, halted } = this.#partitionStates()
    const previous = keeper.table
    const table = this.#planner.plan({
      previous,
      madeBy: name,
      partitionCount: log.partitionCount,
      loads: sumRates(rates.values()),
      saturated,
      halted,
      targetRate,
      nowMs: clock.monotonicMs(),
      nowUnixMs: logTime.nowUnixMs ?? clock.nowUnixMs(),
      windowMs: retryWindowMs,
    })
    if (table === previous) return
    const isStored = await store.writeTable({
      version: table.version,
      text: serializeRoutingTable(table),
    })
    if (!isStored) return
    keeper.adopt(table)
    const { version, partitions, entries } = table
    logger.info({ version, partitions, entries: entries.size }, 'routing table made')
  }

  #partitionStates(): { saturated: Set<number>; halted: Set<number> } {
    const saturated = new Set<number>()
    const halted = new Set<number>()
    for (const { role, status } of this.#options.members()) {
      if (role !== 'ingester') continue
      const states = readPartitionStates(status)
      for (const partition of states.saturated) saturated.add(partition)
      for (const partition of states.halted) halted.add(partition)
    }
    return { saturated, halted }
  }
}
