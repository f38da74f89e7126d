/** The routing table, its maker's lease and the routers' rates in memory, as RedisRoutingStore does it. */
import type { CallLine, FaultyCalls } from './faulty-calls.ts'
import type { RateStore } from '../metadata/rate-store.ts'
import type { RoutingStore, StoredRoutingTable } from '../metadata/routing-store.ts'
import { RATE_PUBLISHERS_MAX } from '../metadata/rate-store.ts'
import { metadataUnavailable } from '../metadata/redis-errors.ts'
import { checkRates, checkTable } from '../metadata/redis-routing-store.ts'

interface Until {
  readonly text: string
  readonly deadlineMs: number
}

/** What all processes share; `flushAll` empties it. */
export class MemoryRoutingState {
  table: StoredRoutingTable = NO_TABLE
  maker: Until = NOBODY
  readonly rates = new Map<string, Until>()

  flushAll(): void {
    this.table = NO_TABLE
    this.maker = NOBODY
    this.rates.clear()
  }
}

export class MemoryRoutingStore implements RoutingStore, RateStore {
  /** `isCut` makes this process alone unable to reach the store. */
  readonly line: CallLine
  readonly #state: MemoryRoutingState

  /** @param calls of a MemoryClusterStore, so that faults and lateness are shared with it */
  constructor(state: MemoryRoutingState, calls: FaultyCalls) {
    this.#state = state
    this.line = calls.line()
  }

  readTable(knownVersion: number): Promise<StoredRoutingTable | undefined> {
    return this.line.call(() => {
      return this.#state.table.version === knownVersion ? undefined : this.#state.table
    })
  }

  writeTable(table: StoredRoutingTable): Promise<boolean> {
    checkTable(table)
    return this.line.call(() => {
      if (table.version <= this.#state.table.version) return false
      this.#state.table = { version: table.version, text: table.text }
      return true
    })
  }

  takeMaking(member: string, timeToLiveMs: number): Promise<boolean> {
    return this.line.call((nowMs) => {
      const { text, deadlineMs } = this.#state.maker
      if (deadlineMs > nowMs && text !== member) return false
      this.#state.maker = { text: member, deadlineMs: nowMs + timeToLiveMs }
      return true
    })
  }

  leaveMaking(member: string): Promise<void> {
    return this.line.call(() => {
      if (this.#state.maker.text === member) this.#state.maker = NOBODY
    })
  }

  publishRates(member: string, text: string, timeToLiveMs: number): Promise<void> {
    checkRates(text)
    return this.line.call((nowMs) => {
      const { rates } = this.#state
      for (const [known, { deadlineMs }] of rates) if (deadlineMs <= nowMs) rates.delete(known)
      if (!rates.has(member) && rates.size >= RATE_PUBLISHERS_MAX) throw metadataUnavailable('full')
      rates.set(member, { text, deadlineMs: nowMs + timeToLiveMs })
    })
  }

  readRates(): Promise<ReadonlyMap<string, string>> {
    return this.line.call((nowMs) => {
      const known = [...this.#state.rates].filter(([, { deadlineMs }]) => deadlineMs > nowMs)
      return new Map(known.map(([member, { text }]) => [member, text]))
    })
  }
}

const NO_TABLE: StoredRoutingTable = { version: 0, text: '' }
const NOBODY: Until = { text: '', deadlineMs: -Infinity }
