/**
 * A column made of pairs: the positions of the table that have a value, ascending, and for each the
 * number of its value. Values become a dictionary in the form that Parquet takes when the first row
 * group asks for them.
 */
import { anyValueToJson } from '@tributary/common/otlp/typed-json'
import type { LeafColumn, ValueDictionary } from '@tributary/common/parquet/column-values'
import type { AttributeType } from '@tributary/common/schema/column-name'
import { takeInt32, takeZeroedBytes } from './column-scratch.ts'
import { hashBytes, hashSecond, hashText, mix } from './content-hash.ts'
import { DictionaryUnion } from './dictionary-union.ts'
import type { RowPicks } from './row-picks.ts'
import { slotsOfTargets } from './sparse-rows.ts'
import { contentStart, readFixed } from './sparse-value.ts'

/** The distinct values of all columns of a table, as AnyValue messages. */
export interface SparseValues {
  readonly data: Uint8Array
  readonly offsets: Int32Array
  /** A number per value for whoever is at work: all 0 in between. */
  readonly seen: Int32Array
}

/** Values of a column by numbers of its own. */
interface OwnValues {
  /** Per row of the column. */
  readonly ids: Int32Array
  /** Their numbers among the values of the table. */
  readonly values: Int32Array
}

/** Values by their place among the rows of an hour: a row group takes those of its range. */
interface PlacedRows {
  /** The places of the table's rows that these follow. */
  readonly order: Int32Array
  /** Ascending. */
  readonly positions: Int32Array
  readonly ids: Int32Array
}

export class SparseColumn {
  readonly key: string
  readonly type: AttributeType
  /** The first batch that has it. */
  readonly firstBatch: number
  readonly #rows: Int32Array
  readonly #values: Int32Array
  readonly #shared: SparseValues
  #own: OwnValues | undefined
  /** Of the hour at hand. */
  #placed: PlacedRows | undefined
  #dictionary: { readonly ids: Int32Array; readonly dictionary: ValueDictionary } | undefined

  constructor(
    key: string,
    type: AttributeType,
    firstBatch: number,
    rows: Int32Array,
    values: Int32Array,
    shared: SparseValues,
  ) {
    this.key = key
    this.type = type
    this.firstBatch = firstBatch
    this.#rows = rows
    this.#values = values
    this.#shared = shared
  }

  /** Rows that have a value. */
  get count(): number {
    return this.#rows.length
  }

  /** The column in a row group. */
  produce(picks: RowPicks): LeafColumn {
    const { ids, dictionary } = (this.#dictionary ??= this.#makeDictionary())
    if (this.#placed?.order !== picks.positionOfRow) this.#placed = place(this.#rows, ids, picks)
    const { positions, ids: placedIds } = this.#placed
    const from = firstAtLeast(positions, picks.start)
    const to = firstAtLeast(positions, picks.start + picks.rowCount)
    const presence = takeZeroedBytes((picks.rowCount + 7) >>> 3)
    markPresent(positions, from, to, picks.start, presence)
    const values = { kind: 'dictionary', ids: placedIds.subarray(from, to), dictionary } as const
    return { values, count: to - from, presence }
  }

  /** Calls back with every row of a row group that has a value, and its AnyValue message. */
  forEachValue(picks: RowPicks, visit: (target: number, message: Uint8Array) => void): void {
    const { data, offsets } = this.#shared
    for (let index = 0; index < this.#rows.length; index++) {
      const target = picks.positionOfRow[this.#rows[index]!]! - picks.start
      if (target < 0 || target >= picks.rowCount) continue
      const value = this.#values[index]!
      visit(target, data.subarray(offsets[value], offsets[value + 1]))
    }
  }

  /** Adds to the two lanes of every row what its value contributes to its series. */
  addToSeries(arrowName: string, low: Int32Array, high: Int32Array): void {
    const { ids, values } = (this.#own ??= this.#number())
    const seed = hashText(arrowName)
    const lanes = new Int32Array(2 * values.length)
    for (let id = 0; id < values.length; id++) this.#hashInto(lanes, id, values[id]!, seed)
    for (let index = 0; index < ids.length; index++) {
      const row = this.#rows[index]!
      const id = ids[index]!
      low[row] = (low[row]! + lanes[2 * id]!) | 0
      high[row] = (high[row]! + lanes[2 * id + 1]!) | 0
    }
  }

  /** What series-id.ts makes of the same value in a column of a batch. */
  #hashInto(lanes: Int32Array, id: number, value: number, seed: number): void {
    const { data, offsets } = this.#shared
    const end = offsets[value + 1]!
    if (this.type === 'int' || this.type === 'double' || this.type === 'bool') {
      const halves = readFixed(this.type, data, offsets[value]!)
      const first = halves[0]!
      const second = halves[1]!
      lanes[2 * id] = mix(first ^ seed, second)
      lanes[2 * id + 1] = mix(second ^ 0x3c6ef372, mix(first, seed))
      return
    }
    const start = this.#contentStart(value)
    lanes[2 * id] = mix(hashBytes(data, start, end) ^ seed, end - start)
    lanes[2 * id + 1] = mix(hashSecond(data, start, end), seed)
  }

  #contentStart(value: number): number {
    const start = this.#shared.offsets[value]!
    return this.type === 'any' ? start : contentStart(this.#shared.data, start)
  }

  /** Numbers the values in the order in which rows bring them. */
  #number(): OwnValues {
    const { seen } = this.#shared
    const ids = new Int32Array(this.#values.length)
    const values = new Int32Array(this.#values.length)
    let count = 0
    for (let index = 0; index < ids.length; index++) {
      const value = this.#values[index]!
      if (seen[value] === 0) {
        values[count++] = value
        seen[value] = count
      }
      ids[index] = seen[value]! - 1
    }
    for (let id = 0; id < count; id++) seen[values[id]!] = 0
    return { ids, values: values.slice(0, count) }
  }

  #makeDictionary(): { ids: Int32Array; dictionary: ValueDictionary } {
    const own = (this.#own ??= this.#number())
    switch (this.type) {
      case 'string':
      case 'bytes':
        return { ids: own.ids, dictionary: this.#contents(own.values) }
      case 'any':
        return this.#jsonDictionary(own)
      case 'int':
      case 'double':
        return { ids: own.ids, dictionary: this.#fixedDictionary(own.values, 8) }
      case 'bool':
        return { ids: own.ids, dictionary: this.#fixedDictionary(own.values, 1) }
    }
  }

  #contents(values: Int32Array): ValueDictionary {
    const { data: from, offsets: bounds } = this.#shared
    const offsets = new Int32Array(values.length + 1)
    for (let id = 0; id < values.length; id++) {
      const value = values[id]!
      offsets[id + 1] = offsets[id]! + bounds[value + 1]! - this.#contentStart(value)
    }
    const data = new Uint8Array(offsets[values.length]!)
    for (let id = 0; id < values.length; id++) {
      const start = this.#contentStart(values[id]!)
      const at = offsets[id]!
      const length = offsets[id + 1]! - at
      for (let index = 0; index < length; index++) data[at + index] = from[start + index]!
    }
    return { data, offsets }
  }

  #fixedDictionary(values: Int32Array, width: 1 | 8): ValueDictionary {
    const { data: from, offsets: bounds } = this.#shared
    const data = new Uint8Array(values.length * width)
    const offsets = new Int32Array(values.length + 1)
    const view = new DataView(data.buffer)
    for (let id = 0; id < values.length; id++) {
      const halves = readFixed(this.type, from, bounds[values[id]!]!)
      if (width === 1) data[id] = halves[0]!
      else {
        view.setInt32(8 * id, halves[0]!, true)
        view.setInt32(8 * id + 4, halves[1]!, true)
      }
      offsets[id + 1] = (id + 1) * width
    }
    return { data, offsets }
  }

  /** Different messages may have one text, which stands in a dictionary once. */
  #jsonDictionary(own: OwnValues): { ids: Int32Array; dictionary: ValueDictionary } {
    const { data, offsets } = this.#shared
    const union = new DictionaryUnion()
    const textOf = new Int32Array(own.values.length)
    for (let id = 0; id < textOf.length; id++) {
      const value = own.values[id]!
      const json = anyValueToJson(data.subarray(offsets[value], offsets[value + 1]))
      textOf[id] = union.add(json, 0, json.length)
    }
    const ids = new Int32Array(own.ids.length)
    for (let index = 0; index < ids.length; index++) ids[index] = textOf[own.ids[index]!]!
    return { ids, dictionary: union.finish() }
  }
}

/** Rows and values in the order of an hour's rows; what is in no file of the hour is left out. */
function place(rows: Int32Array, ids: Int32Array, { positionOfRow }: RowPicks): PlacedRows {
  const targets = takeInt32(rows.length)
  const picked = takeInt32(rows.length)
  let count = 0
  let end = 0
  for (let index = 0; index < rows.length; index++) {
    const position = positionOfRow[rows[index]!]!
    if (position < 0) continue
    if (position >= end) end = position + 1
    targets[count] = position
    picked[count++] = ids[index]!
  }
  const { pickSlot } = slotsOfTargets(targets, count, end)
  const positions = new Int32Array(count)
  const placedIds = new Int32Array(count)
  for (let index = 0; index < count; index++) {
    const slot = pickSlot[index]!
    positions[slot] = targets[index]!
    placedIds[slot] = picked[index]!
  }
  return { order: positionOfRow, positions, ids: placedIds }
}

/** The index of the first of the ascending positions that is not below one. */
function firstAtLeast(positions: Int32Array, position: number): number {
  let low = 0
  let high = positions.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (positions[middle]! < position) low = middle + 1
    else high = middle
  }
  return low
}

function markPresent(
  positions: Int32Array,
  from: number,
  to: number,
  start: number,
  presence: Uint8Array,
): void {
  for (let index = from; index < to; index++) {
    const row = positions[index]! - start
    presence[row >>> 3]! |= 1 << (row & 7)
  }
}
