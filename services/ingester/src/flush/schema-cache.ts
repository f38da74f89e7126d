/**
 * The newest known schema of each table, so that a flush without new keys asks the store nothing.
 * Least recently used tables are forgotten past the bound: the chain in the store has them all.
 */
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { resolveOrExtend } from '@tributary/common/schema/schema-chain'
import type { SchemaState, WantedColumn } from '@tributary/common/schema/schema-state'
import type { SignalName } from '@tributary/common/signal'

export type KeysObserver = (tenant: string, signal: SignalName, count: number) => void

export class SchemaCache {
  readonly #store: ObjectStore
  readonly #tablesMax: number
  readonly #onKeys: KeysObserver | undefined
  readonly #states = new Map<string, SchemaState>()

  /** @param onKeys told how many keys a table has, whenever it is asked for */
  constructor(store: ObjectStore, tablesMax: number, onKeys?: KeysObserver) {
    this.#store = store
    this.#tablesMax = tablesMax
    this.#onKeys = onKeys
  }

  /** The schema of a table with a column for every wanted attribute, as far as its bound allows. */
  async resolveOrExtend(
    tenant: string,
    signal: SignalName,
    wanted: readonly WantedColumn[],
  ): Promise<SchemaState> {
    const name = `${tenant}/${signal}`
    const known = this.#states.get(name)
    const state = await resolveOrExtend(this.#store, tenant, signal, wanted, known)
    this.#states.delete(name)
    this.#states.set(name, state)
    this.#onKeys?.(tenant, signal, state.keyCount)
    if (this.#states.size > this.#tablesMax) {
      const [oldest] = this.#states.keys()
      if (oldest !== undefined) this.#states.delete(oldest)
    }
    return state
  }
}
