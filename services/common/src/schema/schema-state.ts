/**
 * The attribute columns of one table (tenant and signal) as of a version of its schema chain: which
 * column a key and type has. Immutable; made of plain data (`snapshot`), so that it crosses to
 * worker threads.
 *
 * Invariant: additions only ever append. A column that a version names keeps its key and type in
 * every later one, and no two columns are equal, also where case is ignored.
 */
import assert from 'node:assert/strict'

import type { SignalName } from '../signal.ts'
import type { AttributeType, Namespace } from './column-name.ts'
import { AppError } from '../errors.ts'
import { foldKey, formatColumnName, parseColumnName } from './column-name.ts'

/**
 * Columns of a table and namespace over all time: ten times what one file takes. Without a bound a
 * client that invents keys would grow every writer for ever; what comes later goes to `_overflow`.
 */
export const SCHEMA_COLUMNS_MAX = 10_000

/** An attribute as the flush meets it. */
export interface WantedColumn {
  readonly namespace: Namespace
  readonly key: string
  readonly type: AttributeType
}

export interface SchemaAddition extends WantedColumn {
  readonly column: string
}

/** What a worker thread gets: survives a structured clone. */
export interface SchemaSnapshot {
  readonly tenant: string
  readonly signal: SignalName
  readonly version: number
  /** Of all versions up to this one, in their order. */
  readonly additions: readonly SchemaAddition[]
}

/** How the keys of a namespace that fold alike share out their names. */
interface NamedKey {
  readonly ordinal: number
  hasPlainOwner: boolean
}

export class SchemaState {
  readonly tenant: string
  readonly signal: SignalName
  readonly version: number
  readonly #additions: readonly SchemaAddition[]
  readonly #columns = new Map<string, string>()
  readonly #byColumn = new Map<string, SchemaAddition>()
  readonly #folded = new Set<string>()
  readonly #keys = new Map<string, NamedKey>()
  readonly #ordinals = new Map<string, number>()
  readonly #counts = new Map<Namespace, number>()

  private constructor(snapshot: SchemaSnapshot) {
    this.tenant = snapshot.tenant
    this.signal = snapshot.signal
    this.version = snapshot.version
    this.#additions = snapshot.additions
    for (const addition of snapshot.additions) this.#add(addition)
  }

  /** Version 0: no attribute column yet. */
  static empty(tenant: string, signal: SignalName): SchemaState {
    return new SchemaState({ tenant, signal, version: 0, additions: [] })
  }

  /** @throws AppError schema_conflict where the additions contradict each other */
  static restore(snapshot: SchemaSnapshot): SchemaState {
    return new SchemaState(snapshot)
  }

  snapshot(): SchemaSnapshot {
    const { tenant, signal, version } = this
    return { tenant, signal, version, additions: this.#additions }
  }

  /** The state after the next version. @throws AppError schema_conflict */
  with(version: number, additions: readonly SchemaAddition[]): SchemaState {
    assert.equal(version, this.version + 1, 'versions follow each other')
    return new SchemaState({
      ...this.snapshot(),
      version,
      additions: [...this.#additions, ...additions],
    })
  }

  /** The Parquet column of a key and type; undefined where it has none: it goes to `_overflow`. */
  resolve(namespace: Namespace, key: string, type: AttributeType): string | undefined {
    return this.#columns.get(columnId(namespace, key, type))
  }

  /** What a column of this table holds. */
  describe(column: string): SchemaAddition | undefined {
    return this.#byColumn.get(column)
  }

  /** Columns -> what they hold, for the footer of a file that has these columns. */
  columnMap(columns: Iterable<string>): Record<string, WantedColumn> {
    const entries: [string, WantedColumn][] = []
    for (const column of columns) {
      const held = this.#byColumn.get(column)
      if (held === undefined) continue
      entries.push([column, { namespace: held.namespace, key: held.key, type: held.type }])
    }
    return Object.fromEntries(entries)
  }

  /**
   * The additions that give every wanted attribute a column, as far as SCHEMA_COLUMNS_MAX allows;
   * empty where all have one. In the order wanted: the first type of a key owns the plain name.
   */
  additionsFor(wanted: Iterable<WantedColumn>): SchemaAddition[] {
    const missing: WantedColumn[] = []
    for (const want of wanted) {
      if (this.resolve(want.namespace, want.key, want.type) === undefined) missing.push(want)
    }
    if (missing.length === 0) return []
    // names depend on each other: they are given on a copy, one after the other
    const trial = new SchemaState(this.snapshot())
    const additions: SchemaAddition[] = []
    for (const { namespace, key, type } of missing) {
      const isKnown = trial.resolve(namespace, key, type) !== undefined
      if (isKnown || (trial.#counts.get(namespace) ?? 0) >= SCHEMA_COLUMNS_MAX) continue
      const addition = { namespace, key, type, column: trial.#nameFor(namespace, key, type) }
      trial.#add(addition)
      additions.push(addition)
    }
    return additions
  }

  #nameFor(namespace: Namespace, key: string, type: AttributeType): string {
    const named = this.#keys.get(`${namespace}.${key}`)
    const ordinal = named?.ordinal ?? (this.#ordinals.get(foldedKey(namespace, key)) ?? 0) + 1
    // arrays and maps are JSON text and say so in their name, whoever came first
    const isPlain = type !== 'any' && named?.hasPlainOwner !== true
    return formatColumnName({ namespace, key, ordinal, type: isPlain ? undefined : type })
  }

  #add(addition: SchemaAddition): void {
    const { namespace, key, type, column } = addition
    const name = parseColumnName(column)
    const isOwnName =
      name?.namespace === namespace &&
      name.key === key &&
      (name.type === undefined ? type !== 'any' : name.type === type)
    if (!isOwnName) throw conflict(this, 'a column has a name of another attribute', addition)
    const id = columnId(namespace, key, type)
    const folded = foldKey(column)
    if (this.#columns.has(id) || this.#folded.has(folded)) {
      throw conflict(this, 'a column is added twice', addition)
    }
    const keyId = `${namespace}.${key}`
    const named = this.#keys.get(keyId) ?? { ordinal: name.ordinal, hasPlainOwner: false }
    if (named.ordinal !== name.ordinal) throw conflict(this, 'a key changes its name', addition)
    named.hasPlainOwner ||= name.type === undefined
    this.#keys.set(keyId, named)
    const foldedId = foldedKey(namespace, key)
    this.#ordinals.set(foldedId, Math.max(this.#ordinals.get(foldedId) ?? 0, name.ordinal))
    this.#columns.set(id, column)
    this.#folded.add(folded)
    this.#byColumn.set(column, addition)
    this.#counts.set(namespace, (this.#counts.get(namespace) ?? 0) + 1)
  }
}

function columnId(namespace: Namespace, key: string, type: AttributeType): string {
  return `${namespace}.${type}.${key}`
}

function foldedKey(namespace: Namespace, key: string): string {
  return `${namespace}.${foldKey(key)}`
}

function conflict(state: SchemaState, problem: string, addition: SchemaAddition): AppError {
  return new AppError('schema_conflict', problem, {
    details: {
      table: `${state.tenant}/${state.signal}`,
      column: addition.column.slice(0, 200),
      key: addition.key.slice(0, 200),
      type: addition.type,
    },
  })
}
