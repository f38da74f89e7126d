/**
 * The distinct resources (or scopes) of a table. They are parsed once each, however many rows they
 * have, and their columns are written as runs over the sorted rows, never row by row.
 */
import { hash } from 'node:crypto'
import type { AttributeEntry } from './attribute-value.ts'
import { readAttribute } from './attribute-value.ts'
import { MessageReader } from './message-reader.ts'
import { columnViews, type SourceTable } from './source-table.ts'
import { uniteAll } from './united-dictionary.ts'

export interface Group {
  readonly attributes: readonly AttributeEntry[]
  readonly droppedAttributesCount: number
  readonly schemaUrl: Uint8Array
  /** Scopes only. */
  readonly name: Uint8Array
  readonly version: Uint8Array
  /** Resources only: OTLP/JSON text of the entity references, empty when none were sent. */
  readonly entityRefs: Uint8Array
  /** Fixed 64-bit hash of the content, whatever the order of its attributes. */
  readonly hashLow: number
  readonly hashHigh: number
}

export interface GroupTable {
  readonly groups: readonly Group[]
  /** Group of each position of the table. */
  readonly groupOfRow: Int32Array
}

export type GroupKind = 'resource' | 'scope'

/** Unites the resources or scopes of all batches of a table. */
export function buildGroupTable(table: SourceTable, kind: GroupKind): GroupTable {
  const groupOfRow = new Int32Array(table.rowCount)
  const views = columnViews(table, kind)
  if (views === undefined) {
    return { groups: [parseGroup(new Uint8Array(0), kind)], groupOfRow }
  }
  const united = uniteAll(views)
  const groups: Group[] = []
  for (let id = 0; id < united.count; id++) {
    const bytes = united.data.subarray(united.offsets[id], united.offsets[id + 1])
    groups.push(parseGroup(bytes, kind))
  }
  table.batches.forEach((batch, index) => {
    const { indices } = views[index]!
    const remap = united.remaps[index]!
    for (let row = 0; row < batch.view.rowCount; row++) {
      groupOfRow[batch.rowBase + row] = remap[indices === undefined ? row : indices[row]!]!
    }
  })
  return { groups, groupOfRow }
}

const EMPTY = new Uint8Array(0)

/** Mutable while its message is read. */
interface GroupParts {
  attributes: AttributeEntry[]
  droppedAttributesCount: number
  schemaUrl: Uint8Array
  name: Uint8Array
  version: Uint8Array
  entityRefs: object[]
  /** Content that the hash covers, a line per field; attributes sorted. */
  hashed: string[]
}

function parseGroup(bytes: Uint8Array, kind: GroupKind): Group {
  const parts: GroupParts = {
    attributes: [],
    droppedAttributesCount: 0,
    schemaUrl: EMPTY,
    name: EMPTY,
    version: EMPTY,
    entityRefs: [],
    hashed: [],
  }
  const outer = new MessageReader(bytes)
  while (outer.next()) {
    if (outer.field === 1) {
      if (kind === 'resource') readResource(outer.child(), parts)
      else readScope(outer.child(), parts)
    } else if (outer.field === 3) {
      parts.schemaUrl = outer.content()
      parts.hashed.push(`schema_url ${textOf(outer)}`)
    }
  }
  const digest = hash('sha256', parts.hashed.sort().join('\n'), 'buffer')
  const { hashed: _, entityRefs, ...rest } = parts
  return {
    ...rest,
    entityRefs: entityRefs.length === 0 ? EMPTY : Buffer.from(JSON.stringify(entityRefs)),
    hashLow: digest.readInt32LE(0),
    hashHigh: digest.readInt32LE(4),
  }
}

function textOf(reader: MessageReader): string {
  return Buffer.from(reader.content()).toString('hex')
}

function readResource(reader: MessageReader, parts: GroupParts): void {
  while (reader.next()) {
    if (reader.field === 1) {
      parts.attributes.push(readAttribute(reader))
      parts.hashed.push(`attribute ${textOf(reader)}`)
    } else if (reader.field === 2) {
      parts.droppedAttributesCount = reader.low
      parts.hashed.push(`dropped ${String(reader.low)}`)
    } else if (reader.field === 3) {
      parts.entityRefs.push(readEntityRef(reader.child()))
      parts.hashed.push(`entity ${textOf(reader)}`)
    }
  }
}

function readScope(reader: MessageReader, parts: GroupParts): void {
  while (reader.next()) {
    if (reader.field === 1) {
      parts.name = reader.content()
      parts.hashed.push(`name ${textOf(reader)}`)
    } else if (reader.field === 2) {
      parts.version = reader.content()
      parts.hashed.push(`version ${textOf(reader)}`)
    } else if (reader.field === 3) {
      parts.attributes.push(readAttribute(reader))
      parts.hashed.push(`attribute ${textOf(reader)}`)
    } else if (reader.field === 4) {
      parts.droppedAttributesCount = reader.low
      parts.hashed.push(`dropped ${String(reader.low)}`)
    }
  }
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
