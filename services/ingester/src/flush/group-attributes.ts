/**
 * The attributes of a table's resources (or scopes). Every distinct KeyValue message is read once,
 * however many groups hold it; groups are lists of entry numbers, and a column is the pairs of its
 * groups and their entries. So a hundred thousand resources cost arrays of integers, not objects,
 * and memory follows the attributes that there are, not groups times columns.
 *
 * Groups are added one after another: `add` per attribute, then `endGroup`.
 */
import { anyValueToJson } from '@tributary/common/otlp/typed-json'
import type { ValueDictionary } from '@tributary/common/parquet/column-values'
import type { AttributeType } from '@tributary/common/schema/column-name'
import { typeOfField } from './attribute-value.ts'
import { DictionaryUnion } from './dictionary-union.ts'
import { IntList } from './int-list.ts'
import { MessageReader } from './message-reader.ts'

interface GroupAttribute {
  readonly key: string
  readonly type: AttributeType
  /** Groups that have it. */
  readonly count: number
}

/** The values of a column by group. */
export interface GroupValues {
  /** Groups that have a value, ascending, and the value's id for each. */
  readonly groups: Int32Array
  readonly ids: Int32Array
  readonly dictionary: ValueDictionary
}

interface MutableAttribute extends GroupAttribute {
  count: number
}

/** The groups of each column, one column after another. */
interface Transposed {
  readonly columnStarts: Int32Array
  readonly groups: Int32Array
  readonly entries: Int32Array
}

const TYPES: readonly AttributeType[] = ['string', 'bool', 'int', 'double', 'any', 'bytes']

export class GroupAttributes {
  readonly #bytes: Uint8Array
  readonly #messages = new DictionaryUnion()
  readonly #keys = new DictionaryUnion()
  /** Column by key id and type. */
  readonly #columnOfKey = new Map<number, number>()
  readonly #columns: MutableAttribute[] = []
  /** Of every entry: its column, where its value stands in the bytes, its halves if it is fixed. */
  readonly #entryColumn = new IntList()
  readonly #valueStart = new IntList()
  readonly #valueEnd = new IntList()
  readonly #valueLow = new IntList()
  readonly #valueHigh = new IntList()
  /** Entries of all groups, and where those of each begin. */
  readonly #entries = new IntList()
  readonly #groupStarts = new IntList()
  #groupBefore = 0
  #transposed: Transposed | undefined

  /** `bytes` holds all messages that will be added. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#groupStarts.push(0)
  }

  /** In order of first appearance. */
  get columns(): readonly GroupAttribute[] {
    return this.#columns
  }

  /** Adds the KeyValue message [start, end) to the group at hand; returns its entry. */
  add(start: number, end: number): number {
    const { values, length } = this.#entries
    const groupStart = this.#groupStarts.values[this.#groupStarts.length - 1]!
    // as a rule the group before has the same value at the same place, or another of the same key
    const before = this.#groupBefore + length - groupStart
    let entry = before < groupStart ? values[before]! : -1
    if (entry < 0 || !this.#messages.equals(entry, this.#bytes, start, end)) {
      const known = this.#messages.count
      entry = this.#messages.add(this.#bytes, start, end)
      if (entry === known) this.#readEntry(start, end)
    }
    this.#entries.push(entry)
    this.#columns[this.#entryColumn.values[entry]!]!.count++
    return entry
  }

  endGroup(): void {
    this.#groupBefore = this.#groupStarts.values[this.#groupStarts.length - 1]!
    this.#groupStarts.push(this.#entries.length)
  }

  /** The KeyValue messages of a group whose key and type are in `names`: `key@type`. */
  messagesOf(group: number, names: ReadonlySet<string>): Uint8Array[] {
    const messages: Uint8Array[] = []
    const end = this.#groupStarts.values[group + 1]!
    for (let index = this.#groupStarts.values[group]!; index < end; index++) {
      const entry = this.#entries.values[index]!
      const { key, type } = this.#columns[this.#entryColumn.values[entry]!]!
      if (names.has(`${key}@${type}`)) messages.push(this.#messages.entry(entry))
    }
    return messages
  }

  /** The column of an attribute; the data rules leave at most one entry per key. */
  valuesOf(key: string, type: AttributeType): GroupValues {
    const column = this.#columns.findIndex((each) => each.key === key && each.type === type)
    const { columnStarts, groups, entries } = (this.#transposed ??= this.#transpose())
    const start = column < 0 ? 0 : columnStarts[column]!
    const end = column < 0 ? 0 : columnStarts[column + 1]!
    const union = new DictionaryUnion()
    const idOfEntry = new Map<number, number>()
    const ids = new Int32Array(end - start)
    let entryBefore = -1
    for (let index = start; index < end; index++) {
      const entry = entries[index]!
      if (entry === entryBefore) {
        ids[index - start] = ids[index - start - 1]!
        continue
      }
      entryBefore = entry
      let id = idOfEntry.get(entry)
      if (id === undefined) {
        id = this.#addValue(entry, type, union)
        idOfEntry.set(entry, id)
      }
      ids[index - start] = id
    }
    return { groups: groups.subarray(start, end), ids, dictionary: union.finish() }
  }

  #addValue(entry: number, type: AttributeType, union: DictionaryUnion): number {
    const start = this.#valueStart.values[entry]!
    const end = this.#valueEnd.values[entry]!
    if (type === 'string' || type === 'bytes') return union.add(this.#bytes, start, end)
    if (type === 'any') {
      const json = anyValueToJson(this.#bytes.subarray(start, end))
      return union.add(json, 0, json.length)
    }
    fixed[0] = this.#valueLow.values[entry]!
    fixed[1] = this.#valueHigh.values[entry]!
    return union.add(fixedBytes, 0, type === 'bool' ? 1 : 8)
  }

  #readEntry(start: number, end: number): void {
    const pair = new MessageReader(this.#bytes, start, end)
    let keyStart = 0
    let keyEnd = 0
    let type: AttributeType = 'any'
    let valueStart = 0
    let valueEnd = 0
    let low = 0
    let high = 0
    while (pair.next()) {
      if (pair.field === 1) {
        keyStart = pair.start
        keyEnd = pair.end
      } else if (pair.field === 2) {
        const value = pair.child()
        type = value.next() ? typeOfField(value.field) : 'any'
        const range = type === 'any' ? pair : value
        valueStart = range.start
        valueEnd = range.end
        low = value.low
        high = value.high
      }
    }
    this.#entryColumn.push(this.#columnOf(keyStart, keyEnd, type))
    this.#valueStart.push(valueStart)
    this.#valueEnd.push(valueEnd)
    this.#valueLow.push(low)
    this.#valueHigh.push(high)
  }

  #columnOf(keyStart: number, keyEnd: number, type: AttributeType): number {
    const keyId = this.#keys.add(this.#bytes, keyStart, keyEnd)
    const name = keyId * TYPES.length + TYPES.indexOf(type)
    const known = this.#columnOfKey.get(name)
    if (known !== undefined) return known
    const column = this.#columns.length
    const bytes = this.#bytes.subarray(keyStart, keyEnd)
    this.#columns.push({ key: Buffer.from(bytes).toString('utf8'), type, count: 0 })
    this.#columnOfKey.set(name, column)
    return column
  }

  /** A counting sort by column; groups stay ascending within one. */
  #transpose(): Transposed {
    const columnStarts = new Int32Array(this.#columns.length + 1)
    this.#columns.forEach(({ count }, column) => {
      columnStarts[column + 1] = columnStarts[column]! + count
    })
    const next = columnStarts.slice()
    const groups = new Int32Array(this.#entries.length)
    const entries = new Int32Array(this.#entries.length)
    const groupStarts = this.#groupStarts.values
    const groupCount = this.#groupStarts.length - 1
    for (let group = 0; group < groupCount; group++) {
      const end = groupStarts[group + 1]!
      for (let index = groupStarts[group]!; index < end; index++) {
        const entry = this.#entries.values[index]!
        const column = this.#entryColumn.values[entry]!
        const at = next[column]!
        next[column] = at + 1
        groups[at] = group
        entries[at] = entry
      }
    }
    return { columnStarts, groups, entries }
  }
}

const fixed = new Int32Array(2)
const fixedBytes = new Uint8Array(fixed.buffer)
