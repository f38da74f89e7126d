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
import type { AttributeType, ColumnName, Namespace } from './column-name.ts'
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
  readonly hasPlainOwner: boolean
}

/** What follows from the additions, for finding names in both directions. */
interface SchemaIndex {
  readonly additions: SchemaAddition[]
  readonly columns: Map<string, string>
  readonly byColumn: Map<string, SchemaAddition>
  readonly folded: Set<string>
  readonly keys: Map<string, NamedKey>
  readonly ordinals: Map<string, number>
  readonly counts: Map<Namespace, number>
}

export class SchemaState {
  readonly tenant: string
  readonly signal: SignalName
  readonly version: number
  readonly #index: SchemaIndex

  private constructor(
    table: { readonly tenant: string; readonly signal: SignalName },
    version: number,
    index: SchemaIndex,
  ) {
    this.tenant = table.tenant
    this.signal = table.signal
    this.version = version
    this.#index = index
  }

  /** Version 0: no attribute column yet. */
  static empty(tenant: string, signal: SignalName): SchemaState {
    return new SchemaState({ tenant, signal }, 0, emptyIndex())
  }

  /** @throws AppError schema_conflict where the additions contradict each other */
  static restore(snapshot: SchemaSnapshot): SchemaState {
    const state = new SchemaState(snapshot, snapshot.version, emptyIndex())
    for (const addition of snapshot.additions)
      state.#add(addition, parseColumnName(addition.column))
    return state
  }

  /** Distinct keys of all namespaces, whatever their types. */
  get keyCount(): number {
    return this.#index.keys.size
  }

  /**
   * All of it, or only what `resolve` needs for the wanted attributes: a table that has seen
   * thousands of keys should not cross to a worker for a file with ten.
   */
  snapshot(wanted?: readonly WantedColumn[]): SchemaSnapshot {
    const { tenant, signal, version } = this
    const { additions } = this.#index
    if (wanted === undefined) return { tenant, signal, version, additions }
    const columns = new Set(wanted.map((want) => this.resolve(want.namespace, want.key, want.type)))
    return {
      ...{ tenant, signal, version },
      additions: additions.filter(({ column }) => columns.has(column)),
    }
  }

  /** The state after the next version. @throws AppError schema_conflict */
  with(version: number, additions: readonly SchemaAddition[]): SchemaState {
    assert.equal(version, this.version + 1, 'versions follow each other')
    const next = new SchemaState(this, version, copyIndex(this.#index))
    for (const addition of additions) next.#add(addition, parseColumnName(addition.column))
    return next
  }

  /** The Parquet column of a key and type; undefined where it has none: it goes to `_overflow`. */
  resolve(namespace: Namespace, key: string, type: AttributeType): string | undefined {
    return this.#index.columns.get(columnId(namespace, key, type))
  }

  /** What a column of this table holds. */
  describe(column: string): SchemaAddition | undefined {
    return this.#index.byColumn.get(column)
  }

  /** Columns -> what they hold, for the footer of a file that has these columns. */
  columnMap(columns: Iterable<string>): Record<string, WantedColumn> {
    const entries: [string, WantedColumn][] = []
    for (const column of columns) {
      const held = this.#index.byColumn.get(column)
      if (held === undefined) continue
      entries.push([column, { namespace: held.namespace, key: held.key, type: held.type }])
    }
    return Object.fromEntries(entries)
  }

  /**
   * The next version: additions that give every wanted attribute a column, as far as
   * SCHEMA_COLUMNS_MAX allows, and the state with them. In the order wanted: the first type of a
   * key owns the plain name. Undefined where nothing is missing, or nothing can be added.
   */
  extend(
    wanted: Iterable<WantedColumn>,
  ): { readonly additions: readonly SchemaAddition[]; readonly next: SchemaState } | undefined {
    let next: SchemaState | undefined
    const additions: SchemaAddition[] = []
    for (const { namespace, key, type } of wanted) {
      const { counts } = (next ?? this).#index
      if ((next ?? this).resolve(namespace, key, type) !== undefined) continue
      if ((counts.get(namespace) ?? 0) >= SCHEMA_COLUMNS_MAX) continue
      next ??= new SchemaState(this, this.version + 1, copyIndex(this.#index))
      const name = next.#nameFor(namespace, key, type)
      const addition = { namespace, key, type, column: formatColumnName(name) }
      next.#add(addition, name)
      additions.push(addition)
    }
    return next === undefined ? undefined : { additions, next }
  }

  /** The additions of `extend` alone. */
  additionsFor(wanted: Iterable<WantedColumn>): readonly SchemaAddition[] {
    return this.extend(wanted)?.additions ?? []
  }

  #nameFor(namespace: Namespace, key: string, type: AttributeType): ColumnName {
    const { keys, ordinals } = this.#index
    const named = keys.get(keyId(namespace, key))
    const ordinal = named?.ordinal ?? (ordinals.get(foldedKey(namespace, key)) ?? 0) + 1
    // arrays and maps are JSON text and say so in their name, whoever came first
    const isPlain = type !== 'any' && named?.hasPlainOwner !== true
    return { namespace, key, ordinal, type: isPlain ? undefined : type }
  }

  /** `name` is what the column's name reads as. */
  #add(addition: SchemaAddition, name: ColumnName | undefined): void {
    const { namespace, key, type, column } = addition
    const { additions, columns, byColumn, folded, keys, ordinals, counts } = this.#index
    const isOwnName =
      name?.namespace === namespace &&
      name.key === key &&
      (name.type === undefined ? type !== 'any' : name.type === type)
    if (!isOwnName) throw conflict(this, 'a column has a name of another attribute', addition)
    const id = columnId(namespace, key, type)
    const foldedColumn = foldKey(column)
    if (columns.has(id) || folded.has(foldedColumn)) {
      throw conflict(this, 'a column is added twice', addition)
    }
    const named = keys.get(keyId(namespace, key))
    if (named !== undefined && named.ordinal !== name.ordinal) {
      throw conflict(this, 'a key changes its name', addition)
    }
    const hasPlainOwner = named?.hasPlainOwner === true || name.type === undefined
    keys.set(keyId(namespace, key), { ordinal: name.ordinal, hasPlainOwner })
    const folding = foldedKey(namespace, key)
    ordinals.set(folding, Math.max(ordinals.get(folding) ?? 0, name.ordinal))
    additions.push(addition)
    columns.set(id, column)
    folded.add(foldedColumn)
    byColumn.set(column, addition)
    counts.set(namespace, (counts.get(namespace) ?? 0) + 1)
  }
}

function emptyIndex(): SchemaIndex {
  return {
    additions: [],
    columns: new Map(),
    byColumn: new Map(),
    folded: new Set(),
    keys: new Map(),
    ordinals: new Map(),
    counts: new Map(),
  }
}

/** Copied maps cost a tenth of names that are parsed again. */
function copyIndex(index: SchemaIndex): SchemaIndex {
  return {
    additions: [...index.additions],
    columns: new Map(index.columns),
    byColumn: new Map(index.byColumn),
    folded: new Set(index.folded),
    keys: new Map(index.keys),
    ordinals: new Map(index.ordinals),
    counts: new Map(index.counts),
  }
}

function keyId(namespace: Namespace, key: string): string {
  return `${namespace}.${key}`
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
