/**
 * The distinct resources (or scopes) of a table. They are parsed once each, however many rows they
 * have, and their columns are written as runs over the sorted rows, never row by row.
 */
import { hashBytes, hashSecond, mix } from './content-hash.ts'
import { DictionaryUnion } from './dictionary-union.ts'
import { GroupAttributes, type GroupValues } from './group-attributes.ts'
import { IntList } from './int-list.ts'
import { MessageReader } from './message-reader.ts'
import { columnViews, type SourceTable } from './source-table.ts'
import type { GroupField } from './table-columns.ts'
import { uniteAll } from './united-dictionary.ts'

export interface GroupTable {
  readonly count: number
  /** Group of each position of the table. */
  readonly groupOfRow: Int32Array
  readonly attributes: GroupAttributes
  /** What a resource or a scope says besides attributes; what only the other kind has is empty. */
  readonly fields: Readonly<Record<GroupField, GroupValues>>
  /** Fixed 64-bit hash of a group's content, whatever the order of its attributes. */
  readonly hashLow: Int32Array
  readonly hashHigh: Int32Array
}

export type GroupKind = 'resource' | 'scope'

/** Unites the resources or scopes of all batches of a table. */
export function buildGroupTable(table: SourceTable, kind: GroupKind): GroupTable {
  const groupOfRow = new Int32Array(table.rowCount)
  const views = columnViews(table, kind)
  if (views === undefined) {
    const builder = new GroupTableBuilder(new Uint8Array(0), 1, kind)
    builder.add(0, 0)
    return builder.finish(groupOfRow)
  }
  const united = uniteAll(views)
  const builder = new GroupTableBuilder(united.data, united.count, kind)
  for (let id = 0; id < united.count; id++)
    builder.add(united.offsets[id]!, united.offsets[id + 1]!)
  table.batches.forEach((batch, index) => {
    const { indices } = views[index]!
    const remap = united.remaps[index]!
    for (let row = 0; row < batch.view.rowCount; row++) {
      groupOfRow[batch.rowBase + row] = remap[indices === undefined ? row : indices[row]!]!
    }
  })
  return builder.finish(groupOfRow)
}

/** Values of a field by group. */
class FieldValues {
  readonly #groups = new IntList()
  readonly #ids = new IntList()
  readonly #union = new DictionaryUnion()

  /** A value that equals proto3's default is no value. */
  add(group: number, bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return
    this.#groups.push(group)
    this.#ids.push(this.#union.add(bytes, start, end))
  }

  finish(): GroupValues {
    return {
      groups: this.#groups.values.subarray(0, this.#groups.length),
      ids: this.#ids.values.subarray(0, this.#ids.length),
      dictionary: this.#union.finish(),
    }
  }
}

/** Seeds of the parts of a group in its hash. */
const HASH_SEED = {
  attribute: 0x2f0b4c47,
  schema_url: 0x3c6ef372,
  name: 0x165667b1,
  version: 0x27d4eb2f,
  entity_refs: 0x61c88647,
  dropped_attributes_count: 0x4cf5ad43,
} as const

class GroupTableBuilder {
  readonly #bytes: Uint8Array
  readonly #kind: GroupKind
  readonly #attributes: GroupAttributes
  readonly #fields: Readonly<Record<GroupField, FieldValues>> = {
    schema_url: new FieldValues(),
    dropped_attributes_count: new FieldValues(),
    entity_refs: new FieldValues(),
    name: new FieldValues(),
    version: new FieldValues(),
  }
  readonly #hashLow: Int32Array
  readonly #hashHigh: Int32Array
  /** Lanes of every attribute entry's contribution. */
  readonly #entryLow = new IntList()
  readonly #entryHigh = new IntList()
  #group = 0

  constructor(bytes: Uint8Array, count: number, kind: GroupKind) {
    this.#bytes = bytes
    this.#kind = kind
    this.#attributes = new GroupAttributes(bytes)
    this.#hashLow = new Int32Array(count)
    this.#hashHigh = new Int32Array(count)
  }

  /** Adds the group of the message in [start, end). */
  add(start: number, end: number): void {
    const group = this.#group++
    const outer = new MessageReader(this.#bytes, start, end)
    while (outer.next()) {
      if (outer.field === 1) {
        if (this.#kind === 'resource') this.#readResource(group, outer.child())
        else this.#readScope(group, outer.child())
      } else if (outer.field === 3) this.#addField(group, 'schema_url', outer)
    }
    this.#attributes.endGroup()
    const low = this.#hashLow[group]!
    const high = this.#hashHigh[group]!
    this.#hashLow[group] = mix(low, high)
    this.#hashHigh[group] = mix(high ^ 0x27d4eb2f, low)
  }

  finish(groupOfRow: Int32Array): GroupTable {
    const { schema_url, dropped_attributes_count, entity_refs, name, version } = this.#fields
    return {
      count: this.#hashLow.length,
      groupOfRow,
      attributes: this.#attributes,
      fields: {
        schema_url: schema_url.finish(),
        dropped_attributes_count: dropped_attributes_count.finish(),
        entity_refs: entity_refs.finish(),
        name: name.finish(),
        version: version.finish(),
      },
      hashLow: this.#hashLow,
      hashHigh: this.#hashHigh,
    }
  }

  #readResource(group: number, reader: MessageReader): void {
    const entityRefs: object[] = []
    while (reader.next()) {
      if (reader.field === 1) this.#addAttribute(group, reader)
      else if (reader.field === 2) this.#addDropped(group, reader.low)
      else if (reader.field === 3) {
        entityRefs.push(readEntityRef(reader.child()))
        this.#hash(group, HASH_SEED.entity_refs, reader.start, reader.end)
      }
    }
    if (entityRefs.length === 0) return
    const json = Buffer.from(JSON.stringify(entityRefs))
    this.#fields.entity_refs.add(group, json, 0, json.length)
  }

  #readScope(group: number, reader: MessageReader): void {
    while (reader.next()) {
      if (reader.field === 1) this.#addField(group, 'name', reader)
      else if (reader.field === 2) this.#addField(group, 'version', reader)
      else if (reader.field === 3) this.#addAttribute(group, reader)
      else if (reader.field === 4) this.#addDropped(group, reader.low)
    }
  }

  #addAttribute(group: number, { start, end }: MessageReader): void {
    const entry = this.#attributes.add(start, end)
    if (entry === this.#entryLow.length) {
      this.#entryLow.push(lowLane(HASH_SEED.attribute, this.#bytes, start, end))
      this.#entryHigh.push(highLane(HASH_SEED.attribute, this.#bytes, start, end))
    }
    this.#contribute(group, this.#entryLow.values[entry]!, this.#entryHigh.values[entry]!)
  }

  #addDropped(group: number, count: number): void {
    if (count === 0) return
    const seed = HASH_SEED.dropped_attributes_count
    this.#contribute(group, mix(count ^ seed, 0), mix(0, mix(count, seed)))
    const bytes = new Uint8Array(Int32Array.of(count, 0).buffer)
    this.#fields.dropped_attributes_count.add(group, bytes, 0, bytes.length)
  }

  #addField(group: number, field: 'schema_url' | 'name' | 'version', reader: MessageReader): void {
    this.#fields[field].add(group, this.#bytes, reader.start, reader.end)
    this.#hash(group, HASH_SEED[field], reader.start, reader.end)
  }

  #hash(group: number, seed: number, start: number, end: number): void {
    const low = lowLane(seed, this.#bytes, start, end)
    this.#contribute(group, low, highLane(seed, this.#bytes, start, end))
  }

  #contribute(group: number, low: number, high: number): void {
    this.#hashLow[group] = (this.#hashLow[group]! + low) | 0
    this.#hashHigh[group] = (this.#hashHigh[group]! + high) | 0
  }
}

function lowLane(seed: number, bytes: Uint8Array, start: number, end: number): number {
  return mix(hashBytes(bytes, start, end) ^ seed, end - start)
}

function highLane(seed: number, bytes: Uint8Array, start: number, end: number): number {
  return mix(hashSecond(bytes, start, end), seed)
}

/** An EntityRef under the member names of OTLP/JSON; members that were not sent are left out. */
function readEntityRef(reader: MessageReader): object {
  const ref: { schemaUrl?: string; type?: string; idKeys?: string[]; descriptionKeys?: string[] } =
    {}
  while (reader.next()) {
    const text = Buffer.from(reader.content()).toString('utf8')
    if (reader.field === 1) ref.schemaUrl = text
    else if (reader.field === 2) ref.type = text
    else if (reader.field === 3) (ref.idKeys ??= []).push(text)
    else if (reader.field === 4) (ref.descriptionKeys ??= []).push(text)
  }
  return ref
}
