/** How a column goes into an Arrow stream: its form and its sizes, decided before a byte is written. */
import assert from 'node:assert/strict'

import { DICTIONARY_METADATA_BYTES } from './arrow-message-writer.ts'
import { padded } from './arrow-format.ts'
import type { FieldPlan } from './arrow-schema-writer.ts'
import type { ColumnBuilder, ValueColumn } from './batch-builder.ts'
import type { ByteDictionary } from './byte-dictionary.ts'
import type { BytesColumn } from './bytes-column.ts'
import type { RunColumn } from './run-column.ts'
import type { IdListColumn } from './sparse-attributes.ts'

export interface ColumnWriting extends FieldPlan {
  readonly column: ColumnBuilder
  readonly nullCount: number
  /** The distinct values, where the column is kept as ids of them (it may be written plain). */
  readonly entries: ByteDictionary | undefined
  /** Bytes of all values where utf8 or binary is written plain. */
  readonly plainBytes: number
  /** Body of its dictionary batch; 0 for a plain column. */
  readonly dictionaryBytes: number
  /** Its share of the record batch. */
  readonly nodeCount: number
  readonly bufferCount: number
  readonly bodyBytes: number
}

/**
 * Up to this many rows it is worth finding out whether a dictionary is larger than its values
 * repeated: the dictionary's message and field cost as much as some 15 short values.
 */
const PLAIN_ROWS_MAX = 64
/** A DictionaryEncoding with its reference, in the schema. */
const ENCODING_BYTES = 20

/** Decides how a column of a batch with `rowCount` rows is written. */
export function planColumn(column: ColumnBuilder, rowCount: number): ColumnWriting {
  if (column.kind === 'runs') {
    assert.ok(rowCount === 0 || (column.runCount > 0 && column.runStarts[0] === 0))
    return planIds(column, column.entries, 0, rowCount)
  }
  if (column.kind === 'id_list') return planIdList(column, rowCount)
  const nullCount = rowCount - column.rows.count
  if (column.kind !== 'bytes') return planFixed(column, nullCount, rowCount)
  if (column.isDictionary) return planIds(column, column.entries, nullCount, rowCount)
  return planPlain(column, undefined, column.entries.byteLength, nullCount, rowCount)
}

function planIds(
  column: BytesColumn | RunColumn,
  entries: ByteDictionary,
  nullCount: number,
  rowCount: number,
): ColumnWriting {
  const indexBytes = entries.idBytes()
  const dictionaryBytes = bodyBytesOf(entries)
  const idBytes = padded(rowCount * indexBytes)
  if (rowCount <= PLAIN_ROWS_MAX) {
    const plainBytes = repeatedBytes(column, rowCount)
    const asIds = DICTIONARY_METADATA_BYTES + ENCODING_BYTES + dictionaryBytes + idBytes
    if (padded(4 * (rowCount + 1)) + padded(plainBytes) <= asIds) {
      return planPlain(column, entries, plainBytes, nullCount, rowCount)
    }
  }
  return {
    name: column.name,
    type: column.type,
    indexBytes,
    column,
    nullCount,
    entries,
    plainBytes: 0,
    dictionaryBytes,
    nodeCount: 1,
    bufferCount: 2,
    bodyBytes: validityBytes(nullCount, rowCount) + idBytes,
  }
}

function planIdList(column: IdListColumn, rowCount: number): ColumnWriting {
  const { entries, pairs } = column
  const indexBytes = entries.idBytes()
  return {
    name: column.name,
    type: column.type,
    indexBytes,
    column,
    nullCount: 0,
    entries,
    plainBytes: 0,
    dictionaryBytes: bodyBytesOf(entries),
    nodeCount: 2,
    bufferCount: 4,
    bodyBytes: padded(4 * (rowCount + 1)) + padded(pairs.count * indexBytes),
  }
}

/** The body of a dictionary batch. */
function bodyBytesOf(entries: ByteDictionary): number {
  return padded(4 * (entries.size + 1)) + padded(entries.byteLength)
}

function planPlain(
  column: BytesColumn | RunColumn,
  entries: ByteDictionary | undefined,
  plainBytes: number,
  nullCount: number,
  rowCount: number,
): ColumnWriting {
  const valueBytes = padded(4 * (rowCount + 1)) + padded(plainBytes)
  return {
    name: column.name,
    type: column.type,
    indexBytes: 0,
    column,
    nullCount,
    entries,
    plainBytes,
    dictionaryBytes: 0,
    nodeCount: 1,
    bufferCount: 3,
    bodyBytes: validityBytes(nullCount, rowCount) + valueBytes,
  }
}

type FixedColumn = Exclude<ValueColumn, BytesColumn>

function planFixed(column: FixedColumn, nullCount: number, rowCount: number): ColumnWriting {
  const isList = column.kind === 'list'
  return {
    name: column.name,
    type: column.type,
    indexBytes: 0,
    column,
    nullCount,
    entries: undefined,
    plainBytes: 0,
    dictionaryBytes: 0,
    nodeCount: isList ? 2 : 1,
    bufferCount: isList ? 4 : 2,
    bodyBytes: validityBytes(nullCount, rowCount) + fixedBytes(column, rowCount),
  }
}

function fixedBytes(column: FixedColumn, rowCount: number): number {
  switch (column.kind) {
    case 'fixed64':
      return 8 * rowCount
    case 'fixed32':
      return padded(4 * rowCount)
    case 'bool':
      return padded((rowCount + 7) >>> 3)
    case 'fixed_bytes':
      return column.width * rowCount
    case 'list':
      return padded(4 * (rowCount + 1)) + 8 * column.offsets[column.count]!
  }
}

function validityBytes(nullCount: number, rowCount: number): number {
  return nullCount === 0 ? 0 : padded((rowCount + 7) >>> 3)
}

/** Bytes of all values of a column that keeps ids. */
function repeatedBytes(column: BytesColumn | RunColumn, rowCount: number): number {
  const { offsets } = column.entries
  let byteCount = 0
  if (column.kind === 'runs') {
    for (let run = 0; run < column.runCount; run++) {
      const id = column.runIds[run]!
      const rows = runEnd(column, run, rowCount) - column.runStarts[run]!
      byteCount += rows * (offsets[id + 1]! - offsets[id]!)
    }
    return byteCount
  }
  for (let index = 0; index < column.count; index++) {
    const id = column.ids[index]!
    byteCount += offsets[id + 1]! - offsets[id]!
  }
  return byteCount
}

/** The row after a run's last. */
export function runEnd(column: RunColumn, run: number, rowCount: number): number {
  return run + 1 < column.runCount ? column.runStarts[run + 1]! : rowCount
}
