/**
 * One producer per Parquet column: what the column is called and how its values for a row group are
 * made. Producers only choose kernels; the loops live in the gather modules.
 */
import type { LeafColumn, ListColumn } from '@tributary/common/parquet/column-values'
import type { Field } from '@tributary/common/parquet/schema'
import { anyValueToJson, keyValuesToJson } from '@tributary/common/otlp/typed-json'
import { takeInt32, takeUint32, takeZeroedBytes, takeZeroedInt32 } from './column-scratch.ts'
import {
  findSlots,
  gatherBoolean,
  gatherDouble,
  gatherHex,
  gatherIds,
  gatherInt32,
  gatherInt64,
  gatherWidened,
  leafOf,
} from './gather.ts'
import { gatherBytes } from './gather-bytes.ts'
import { groupColumn, hashValues, type GroupRuns } from './group-columns.ts'
import { MessageReader } from './message-reader.ts'
import { nestedList, numericList } from './nested-columns.ts'
import type { RowPicks } from './row-picks.ts'
import { findPresent } from './sparse-rows.ts'
import { splitMicros, TIMESTAMP_SOURCES } from './row-times.ts'
import type { SeriesIds } from './series-id.ts'
import { columnViews, type TableColumnViews } from './source-table.ts'
import type { ColumnSource, TableColumn } from './table-columns.ts'
import type { TableContext } from './table-context.ts'
import { BytesSink } from './value-sinks.ts'

/** The rows of a row group, as kernels need them. */
export interface RowGroupRows {
  readonly picks: RowPicks
  readonly order: Int32Array
  readonly start: number
  readonly end: number
  readonly resourceRuns: GroupRuns
  readonly scopeRuns: GroupRuns
}

export interface ColumnProducer {
  readonly field: Field
  produce(rows: RowGroupRows): LeafColumn | ListColumn
}

/** The producer of a fixed column. */
export function fixedProducer(
  { field, source }: TableColumn,
  context: TableContext,
  series: SeriesIds | undefined,
): ColumnProducer {
  return { field, produce: producerOf(field, source, context, series) }
}

type Produce = ColumnProducer['produce']

/** A column that no batch of the table has: all null. */
function nullColumn(field: Field): Produce {
  return (rows) => {
    const rowCount = rows.end - rows.start
    const presence = takeZeroedBytes((rowCount + 7) >>> 3)
    if (field.kind === 'leaf') return { values: nullValues(field.physical), count: 0, presence }
    const fields = field.element.kind === 'leaf' ? [field.element] : field.element.fields
    return {
      offsets: takeZeroedInt32(rowCount + 1),
      listPresence: presence,
      leaves: fields.map((leaf) => ({ values: nullValues(leaf.physical), count: 0 })),
    }
  }
}

function nullValues(physical: string): LeafColumn['values'] {
  switch (physical) {
    case 'INT32':
      return { kind: 'int32', values: new Int32Array(0) }
    case 'INT64':
      return { kind: 'int64', halves: new Int32Array(0) }
    case 'DOUBLE':
      return { kind: 'double', values: new Float64Array(0) }
    case 'BOOLEAN':
      return { kind: 'boolean', values: new Uint8Array(0) }
    default:
      return { kind: 'bytes', data: new Uint8Array(0), offsets: new Int32Array(1) }
  }
}

function producerOf(
  field: Field,
  source: ColumnSource,
  context: TableContext,
  series: SeriesIds | undefined,
): Produce {
  switch (source.kind) {
    case 'timestamp':
      return timestampProducer(source.part, context)
    case 'duration':
      return (rows) => durationColumn(context, rows)
    case 'series-id':
      return (rows) => seriesColumn(series!, rows)
    case 'resource-hash': {
      const values = hashValues(context.resources)
      return (rows) => groupColumn(values, rows.resourceRuns)
    }
    case 'resource': {
      const values = context.resources.fields[source.field]
      return (rows) => groupColumn(values, rows.resourceRuns)
    }
    case 'scope': {
      const values = context.scopes.fields[source.field]
      return (rows) => groupColumn(values, rows.scopeRuns)
    }
    default: {
      const views = columnViews(context.source, source.column)
      if (views === undefined) return nullColumn(field)
      return batchColumnProducer(source, views, context)
    }
  }
}

type BatchColumnSource = Extract<ColumnSource, { readonly column: string }>

/** The producer of a column that stands in the batches. */
export function batchColumnProducer(
  source: BatchColumnSource,
  views: TableColumnViews,
  context: TableContext,
): Produce {
  switch (source.kind) {
    case 'time':
      return (rows) => timeColumn(views, rows.picks, source.part)
    case 'double-list':
      return (rows) => numericList(views, rows.picks, 'double')
    case 'int64-list':
      return (rows) => numericList(views, rows.picks, 'int64')
    case 'events':
    case 'links':
    case 'exemplars':
    case 'quantiles':
      return (rows) => nestedList(views, rows.picks, source.kind)
    case 'string':
      return (rows) => bytesColumn(source.column, views, context, rows.picks)
    case 'any-json':
      return (rows) => jsonColumn(views, rows.picks, anyValueToJson)
    case 'metadata-json':
      return (rows) => jsonColumn(views, rows.picks, metadataToJson)
    case 'enum-name':
      return (rows) => enumColumn(views, rows.picks, source.names)
    case 'int32':
    case 'int32-wide':
    case 'int64':
    case 'double':
    case 'boolean':
    case 'hex':
      return fixedWidthProducer(source.kind, views)
  }
}

type FixedWidthKind = 'int32' | 'int32-wide' | 'int64' | 'double' | 'boolean' | 'hex'

function fixedWidthProducer(kind: FixedWidthKind, views: TableColumnViews): Produce {
  return (rows) => fixedWidthColumn(kind, views, rows.picks)
}

function fixedWidthColumn(
  kind: FixedWidthKind,
  views: TableColumnViews,
  allPicks: RowPicks,
): LeafColumn {
  const { picks, slots } = findPresent(views, allPicks)
  switch (kind) {
    case 'int32':
      return leafOf(slots, { kind: 'int32', values: gatherInt32(views, picks, slots) })
    case 'int32-wide':
      return leafOf(slots, { kind: 'int64', halves: gatherWidened(views, picks, slots) })
    case 'int64':
      return leafOf(slots, { kind: 'int64', halves: gatherInt64(views, picks, slots) })
    case 'double':
      return leafOf(slots, { kind: 'double', values: gatherDouble(views, picks, slots) })
    case 'boolean':
      return leafOf(slots, { kind: 'boolean', values: gatherBoolean(views, picks, slots) })
    case 'hex': {
      const width = views.some((view) => view?.type === 'fixed16') ? 16 : 8
      return leafOf(slots, { kind: 'bytes', ...gatherHex(views, width, picks, slots) })
    }
  }
}

function bytesColumn(
  name: string,
  views: TableColumnViews,
  context: TableContext,
  allPicks: RowPicks,
): LeafColumn {
  const { picks, slots } = findPresent(views, allPicks)
  const united = context.united(name, views)
  if (united === undefined) {
    return leafOf(slots, { kind: 'bytes', ...gatherBytes(views, picks, slots) })
  }
  return leafOf(slots, {
    kind: 'dictionary',
    ids: gatherIds(views, united, picks, slots),
    dictionary: { data: united.data, offsets: united.offsets },
  })
}

function jsonColumn(
  views: TableColumnViews,
  allPicks: RowPicks,
  toJson: (message: Uint8Array) => Uint8Array,
): LeafColumn {
  const { picks, slots } = findPresent(views, allPicks)
  const { data, offsets } = gatherBytes(views, picks, slots)
  const sink = new BytesSink()
  for (let slot = 0; slot < slots.count; slot++) {
    sink.add(toJson(data.subarray(offsets[slot], offsets[slot + 1])))
  }
  return leafOf(slots, sink.column().values)
}

/** Metadata travels as a Metric message with nothing but field 12. */
function metadataToJson(message: Uint8Array): Uint8Array {
  const entries: Uint8Array[] = []
  const reader = new MessageReader(message)
  while (reader.next()) entries.push(reader.content())
  return keyValuesToJson(entries)
}

function enumColumn(
  views: TableColumnViews,
  allPicks: RowPicks,
  names: ReadonlyMap<number, string>,
): LeafColumn {
  const { picks, slots } = findPresent(views, allPicks)
  const ids = gatherInt32(views, picks, slots)
  const numbers = [...names.keys()]
  for (let slot = 0; slot < ids.length; slot++) ids[slot] = numbers.indexOf(ids[slot]!)
  return leafOf(slots, { kind: 'dictionary', ids, dictionary: textDictionary([...names.values()]) })
}

function textDictionary(texts: readonly string[]): { data: Uint8Array; offsets: Int32Array } {
  const offsets = new Int32Array(texts.length + 1)
  texts.forEach((text, index) => (offsets[index + 1] = offsets[index]! + Buffer.byteLength(text)))
  return { data: Buffer.from(texts.join('')), offsets }
}

/** One half of an OTLP time's two columns. */
function timeColumn(
  views: TableColumnViews,
  allPicks: RowPicks,
  part: 'micros' | 'nanos',
): LeafColumn {
  const { picks, slots } = findPresent(views, allPicks)
  const halves = gatherInt64(views, picks, slots)
  const high = takeUint32(slots.count)
  const low = takeUint32(slots.count)
  for (let slot = 0; slot < slots.count; slot++) {
    low[slot] = halves[2 * slot]!
    high[slot] = halves[2 * slot + 1]!
  }
  const nanos = takeInt32(slots.count)
  splitMicros(high, low, slots.count, halves, nanos)
  return leafOf(
    slots,
    part === 'micros' ? { kind: 'int64', halves } : { kind: 'int32', values: nanos },
  )
}

function timestampProducer(part: 'micros' | 'nanos' | 'source', context: TableContext): Produce {
  if (part === 'source') return (rows) => timestampSource(context, rows)
  return ({ order, start, end }) => {
    const count = end - start
    const high = takeUint32(count)
    const low = takeUint32(count)
    for (let index = 0; index < count; index++) {
      const row = order[start + index]!
      high[index] = context.times.high[row]!
      low[index] = context.times.low[row]!
    }
    const halves = takeInt32(2 * count)
    const nanos = takeInt32(count)
    splitMicros(high, low, count, halves, nanos)
    const values: LeafColumn['values'] =
      part === 'micros' ? { kind: 'int64', halves } : { kind: 'int32', values: nanos }
    return { values, count }
  }
}

function timestampSource(context: TableContext, { order, start, end }: RowGroupRows): LeafColumn {
  const ids = takeInt32(end - start)
  for (let index = 0; index < ids.length; index++) {
    ids[index] = context.times.source[order[start + index]!]!
  }
  const dictionary = textDictionary(TIMESTAMP_SOURCES)
  return { values: { kind: 'dictionary', ids, dictionary }, count: ids.length }
}

function seriesColumn(series: SeriesIds, { order, start, end }: RowGroupRows): LeafColumn {
  const halves = takeInt32(2 * (end - start))
  for (let index = start; index < end; index++) {
    const row = order[index]!
    halves[2 * (index - start)] = series.low[row]!
    halves[2 * (index - start) + 1] = series.high[row]!
  }
  return { values: { kind: 'int64', halves }, count: end - start }
}

/** End minus start of a span in nanoseconds; null where one of them was not sent. */
function durationColumn(context: TableContext, rows: RowGroupRows): LeafColumn {
  const rowCount = rows.end - rows.start
  const views = columnViews(context.source, 'end_time_unix_nano')
  const ends = views === undefined ? takeZeroedInt32(2 * rowCount) : denseInt64(views, rows.picks)
  const halves = takeInt32(2 * rowCount)
  const presence = takeZeroedBytes((rowCount + 7) >>> 3)
  let count = 0
  for (let index = 0; index < rowCount; index++) {
    const row = rows.order[rows.start + index]!
    const endLow = ends[2 * index]! >>> 0
    const endHigh = ends[2 * index + 1]! >>> 0
    const isUnset = (endLow === 0 && endHigh === 0) || context.times.source[row] !== 0
    if (isUnset) continue
    const low = endLow - context.times.low[row]!
    halves[2 * count] = low | 0
    halves[2 * count + 1] = (endHigh - context.times.high[row]! - (low < 0 ? 1 : 0)) | 0
    presence[index >>> 3]! |= 1 << (index & 7)
    count++
  }
  const values: LeafColumn['values'] = { kind: 'int64', halves: halves.subarray(0, 2 * count) }
  return { values, count, presence }
}

/** 64-bit values with 0 for nulls, by row of the row group. */
function denseInt64(views: TableColumnViews, picks: RowPicks): Int32Array {
  const slots = findSlots(views, picks)
  const compact = gatherInt64(views, picks, slots)
  const dense = takeZeroedInt32(2 * picks.rowCount)
  for (let pick = 0; pick < picks.rowCount; pick++) {
    const slot = slots.pickSlot[pick]!
    if (slot < 0) continue
    const target = picks.pickTarget[pick]!
    dense[2 * target] = compact[2 * slot]!
    dense[2 * target + 1] = compact[2 * slot + 1]!
  }
  return dense
}
