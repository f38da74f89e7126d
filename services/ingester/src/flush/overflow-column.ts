/**
 * The overflow column of a namespace: the attributes past the bound of columns as one JSON object a
 * row. They are put back together as the KeyValue messages that they came from, so that the same
 * typed JSON reads them back.
 */
import type { LeafColumn } from '@tributary/common/parquet/column-values'
import { keyValuesToJson } from '@tributary/common/otlp/typed-json'
import type { AttributeType } from '@tributary/common/schema/column-name'
import { arrowName, type TableAttribute } from './attribute-plan.ts'
import type { AttributeEntry } from './attribute-value.ts'
import { findSlots } from './gather.ts'
import { forEachView } from './gather-bytes.ts'
import { DictionaryUnion } from './dictionary-union.ts'
import type { GroupTable } from './group-table.ts'
import type { GroupValues } from './group-attributes.ts'
import { IntList } from './int-list.ts'
import type { RowPicks } from './row-picks.ts'
import { columnViews, type SourceTable } from './source-table.ts'
import type { SparseTable } from './sparse-table.ts'
import { BytesSink } from './value-sinks.ts'
import type { ColumnView } from '@tributary/common/columnar/batch-view'

/** The overflow of item attributes in a row group. */
export function itemOverflow(
  table: SourceTable,
  sparse: SparseTable | undefined,
  picks: RowPicks,
  overflow: readonly TableAttribute[],
): LeafColumn {
  const entriesOfRow: (Uint8Array[] | undefined)[] = new Array<undefined>(picks.rowCount)
  for (const attribute of overflow) {
    sparse?.column(attribute)?.forEachValue(picks, (target, message) => {
      const entries = (entriesOfRow[target] ??= [])
      entries.push(keyValue(attribute.key, message))
    })
    const views = columnViews(table, arrowName(attribute))
    if (views === undefined) continue
    const slots = findSlots(views, picks)
    forEachView(views, picks, (view, start, end) => {
      for (let pick = start; pick < end; pick++) {
        if (slots.pickSlot[pick]! < 0) continue
        const value = anyValueOf(view, attribute.type, picks.pickRow[pick]!)
        const entries = (entriesOfRow[picks.pickTarget[pick]!] ??= [])
        entries.push(keyValue(attribute.key, value))
      }
    })
  }
  const sink = new BytesSink()
  for (const entries of entriesOfRow) {
    if (entries === undefined) sink.addNull()
    else sink.add(keyValuesToJson(entries))
  }
  return sink.column()
}

/** The overflow of resource or scope attributes, an entry per group. */
export function groupOverflow(table: GroupTable, overflow: readonly TableAttribute[]): GroupValues {
  const names = new Set(overflow.map(({ key, type }) => `${key}@${type}`))
  const union = new DictionaryUnion()
  const groups = new IntList()
  const ids = new IntList()
  for (let group = 0; group < table.count; group++) {
    const messages = table.attributes.messagesOf(group, names)
    if (messages.length === 0) continue
    const json = keyValuesToJson(messages)
    groups.push(group)
    ids.push(union.add(json, 0, json.length))
  }
  return {
    groups: groups.values.subarray(0, groups.length),
    ids: ids.values.subarray(0, ids.length),
    dictionary: union.finish(),
  }
}

function anyValueOf(view: ColumnView, type: AttributeType, row: number): Uint8Array {
  const { values, offsets, indices } = view
  const base: AttributeEntry = { key: '', type, bytes: values, low: 0, high: 0 }
  if (type === 'bool') {
    return anyValue({ ...base, low: (values[row >>> 3]! >>> (row & 7)) & 1 })
  }
  if (type === 'int' || type === 'double') {
    const data = new DataView(values.buffer, values.byteOffset, values.byteLength)
    return anyValue({
      ...base,
      low: data.getUint32(8 * row, true),
      high: data.getUint32(8 * row + 4, true),
    })
  }
  const entry = indices === undefined ? row : indices[row]!
  return anyValue({ ...base, bytes: values.subarray(offsets![entry], offsets![entry + 1]) })
}

/** An AnyValue message: the field numbers of OTLP's common.proto. */
function anyValue(entry: AttributeEntry): Uint8Array {
  switch (entry.type) {
    case 'string':
      return lengthDelimited(1, entry.bytes)
    case 'bytes':
      return lengthDelimited(7, entry.bytes)
    case 'bool':
      return Uint8Array.of(0x10, entry.low)
    case 'int':
      return Uint8Array.from([0x18, ...varint(entry.low, entry.high)])
    case 'double': {
      const message = Buffer.alloc(9)
      message[0] = 0x21
      message.writeUInt32LE(entry.low >>> 0, 1)
      message.writeUInt32LE(entry.high >>> 0, 5)
      return message
    }
    case 'any':
      return entry.bytes
  }
}

function keyValue(key: string, value: Uint8Array): Uint8Array {
  return Buffer.concat([lengthDelimited(1, Buffer.from(key)), lengthDelimited(2, value)])
}

function lengthDelimited(field: number, content: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of((field << 3) | 2, ...varint(content.length, 0)), content])
}

function varint(low: number, high: number): number[] {
  let rest = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
  const bytes: number[] = []
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return bytes
}
