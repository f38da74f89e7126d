/**
 * The fixed columns of every table, in file order (docs/format/tables.md). A file always has all fixed
 * columns of its signal, so files of all ages unite without surprises; attribute columns follow
 * them and exist only where a row of the file fills them.
 *
 * `source` names the column of the batch (docs/format/batch.md) that feeds a column, or says that
 * the flush derives it.
 */
import type { Field, LeafField, ListField } from '@tributary/common/parquet/schema'
import type { SignalName } from '@tributary/common/signal'

/** How a fixed column comes about. */
export type ColumnSource =
  /** Time of the row: micros or what is below them; `role` tells which OTLP time. */
  | { readonly kind: 'timestamp'; readonly part: 'micros' | 'nanos' | 'source' }
  | { readonly kind: 'time'; readonly column: string; readonly part: 'micros' | 'nanos' }
  | {
      readonly kind: 'int32' | 'int32-wide' | 'int64' | 'double' | 'boolean'
      readonly column: string
    }
  | { readonly kind: 'string' | 'hex' | 'any-json' | 'metadata-json'; readonly column: string }
  | {
      readonly kind: 'enum-name'
      readonly column: string
      readonly names: ReadonlyMap<number, string>
    }
  | { readonly kind: 'double-list' | 'int64-list'; readonly column: string }
  | { readonly kind: 'events' | 'links' | 'exemplars' | 'quantiles'; readonly column: string }
  | { readonly kind: 'duration' | 'series-id' | 'resource-hash' }
  | { readonly kind: 'resource' | 'scope'; readonly field: GroupField }

/** What a resource or a scope gives to its rows besides attributes. */
export type GroupField =
  'schema_url' | 'dropped_attributes_count' | 'entity_refs' | 'name' | 'version'

export interface TableColumn {
  readonly field: Field
  readonly source: ColumnSource
}

function leaf(
  name: string,
  physical: LeafField['physical'],
  logical?: LeafField['logical'],
  bloom = false,
): LeafField {
  return {
    kind: 'leaf',
    name,
    physical,
    optional: true,
    ...(logical === undefined ? {} : { logical }),
    ...(bloom ? { bloom } : {}),
  }
}

const string = (name: string): LeafField => leaf(name, 'BYTE_ARRAY', 'STRING')
const json = (name: string): LeafField => leaf(name, 'BYTE_ARRAY', 'JSON')
const bigint = (name: string): LeafField => leaf(name, 'INT64')
const integer = (name: string): LeafField => leaf(name, 'INT32')
const double = (name: string): LeafField => leaf(name, 'DOUBLE')
const micros = (name: string): LeafField => leaf(name, 'INT64', 'TIMESTAMP_MICROS_UTC')

function stringColumn(name: string, column = name): TableColumn {
  return { field: string(name), source: { kind: 'string', column } }
}

function countColumn(name: string): TableColumn {
  return { field: bigint(name), source: { kind: 'int32-wide', column: name } }
}

function doubleColumn(name: string): TableColumn {
  return { field: double(name), source: { kind: 'double', column: name } }
}

function integerColumn(name: string): TableColumn {
  return { field: integer(name), source: { kind: 'int32', column: name } }
}

/** An id is lower-case hex text, so that every engine compares it with what people paste. */
function idColumn(name: string, bloom: boolean): TableColumn {
  return {
    field: leaf(name, 'BYTE_ARRAY', 'STRING', bloom),
    source: { kind: 'hex', column: name },
  }
}

/** Each OTLP time is two columns: micros, which every engine reads, and the nanoseconds below. */
function timeColumns(name: string, column: string): TableColumn[] {
  return [
    { field: micros(name), source: { kind: 'time', column, part: 'micros' } },
    { field: integer(`${name}_nanos`), source: { kind: 'time', column, part: 'nanos' } },
  ]
}

function timestampColumns(): TableColumn[] {
  return [
    { field: micros('timestamp'), source: { kind: 'timestamp', part: 'micros' } },
    { field: integer('timestamp_nanos'), source: { kind: 'timestamp', part: 'nanos' } },
    { field: string('timestamp_source'), source: { kind: 'timestamp', part: 'source' } },
  ]
}

function list(name: string, element: ListField['element']): ListField {
  return { kind: 'list', name, optional: true, element }
}

function groupColumns(): TableColumn[] {
  return [
    { field: bigint('resource_hash'), source: { kind: 'resource-hash' } },
    {
      field: bigint('resource_dropped_attributes_count'),
      source: { kind: 'resource', field: 'dropped_attributes_count' },
    },
    { field: string('resource_schema_url'), source: { kind: 'resource', field: 'schema_url' } },
    { field: json('resource_entity_refs'), source: { kind: 'resource', field: 'entity_refs' } },
    { field: string('scope_name'), source: { kind: 'scope', field: 'name' } },
    { field: string('scope_version'), source: { kind: 'scope', field: 'version' } },
    {
      field: bigint('scope_dropped_attributes_count'),
      source: { kind: 'scope', field: 'dropped_attributes_count' },
    },
    { field: string('scope_schema_url'), source: { kind: 'scope', field: 'schema_url' } },
  ]
}

const LOG_COLUMNS: readonly TableColumn[] = [
  ...timestampColumns(),
  ...timeColumns('observed_timestamp', 'observed_time_unix_nano'),
  integerColumn('severity_number'),
  stringColumn('severity_text'),
  stringColumn('body', 'body@string'),
  { field: json('body@json'), source: { kind: 'any-json', column: 'body@any' } },
  idColumn('trace_id', true),
  idColumn('span_id', true),
  countColumn('flags'),
  stringColumn('event_name'),
  countColumn('dropped_attributes_count'),
  ...groupColumns(),
]

const EVENT_FIELDS: LeafField[] = [
  micros('timestamp'),
  integer('timestamp_nanos'),
  string('name'),
  json('attributes'),
  bigint('dropped_attributes_count'),
]

const LINK_FIELDS: LeafField[] = [
  string('trace_id'),
  string('span_id'),
  string('trace_state'),
  json('attributes'),
  bigint('dropped_attributes_count'),
  bigint('flags'),
]

const SPAN_COLUMNS: readonly TableColumn[] = [
  idColumn('trace_id', true),
  idColumn('span_id', true),
  idColumn('parent_span_id', false),
  stringColumn('trace_state'),
  countColumn('flags'),
  stringColumn('name'),
  integerColumn('kind'),
  ...timestampColumns(),
  ...timeColumns('end_timestamp', 'end_time_unix_nano'),
  { field: bigint('duration_ns'), source: { kind: 'duration' } },
  integerColumn('status_code'),
  stringColumn('status_message'),
  countColumn('dropped_attributes_count'),
  countColumn('dropped_events_count'),
  countColumn('dropped_links_count'),
  {
    field: list('events', {
      kind: 'struct',
      name: 'element',
      optional: true,
      fields: EVENT_FIELDS,
    }),
    source: { kind: 'events', column: 'events' },
  },
  {
    field: list('links', { kind: 'struct', name: 'element', optional: true, fields: LINK_FIELDS }),
    source: { kind: 'links', column: 'links' },
  },
  ...groupColumns(),
]

/** Field numbers of the `data` oneof of OTLP's Metric message. */
const METRIC_TYPES: ReadonlyMap<number, string> = new Map([
  [5, 'gauge'],
  [7, 'sum'],
  [9, 'histogram'],
  [10, 'exponential_histogram'],
  [11, 'summary'],
])

const EXEMPLAR_FIELDS: LeafField[] = [
  micros('timestamp'),
  integer('timestamp_nanos'),
  bigint('value_int'),
  double('value_double'),
  string('trace_id'),
  string('span_id'),
  json('attributes'),
]

function int64List(name: string): TableColumn {
  return { field: list(name, bigint('element')), source: { kind: 'int64-list', column: name } }
}

const METRIC_COLUMNS: readonly TableColumn[] = [
  { field: leaf('series_id', 'INT64', undefined, true), source: { kind: 'series-id' } },
  stringColumn('metric_name'),
  {
    field: string('metric_type'),
    source: { kind: 'enum-name', column: 'metric_type', names: METRIC_TYPES },
  },
  stringColumn('description'),
  stringColumn('unit'),
  { field: json('metadata'), source: { kind: 'metadata-json', column: 'metadata' } },
  integerColumn('temporality'),
  { field: leaf('is_monotonic', 'BOOLEAN'), source: { kind: 'boolean', column: 'is_monotonic' } },
  ...timeColumns('start_timestamp', 'start_time_unix_nano'),
  ...timestampColumns(),
  countColumn('flags'),
  { field: bigint('value_int'), source: { kind: 'int64', column: 'value_int' } },
  doubleColumn('value_double'),
  { field: bigint('count'), source: { kind: 'int64', column: 'count' } },
  doubleColumn('sum'),
  doubleColumn('min'),
  doubleColumn('max'),
  {
    field: list('explicit_bounds', double('element')),
    source: { kind: 'double-list', column: 'explicit_bounds' },
  },
  int64List('bucket_counts'),
  integerColumn('scale'),
  { field: bigint('zero_count'), source: { kind: 'int64', column: 'zero_count' } },
  doubleColumn('zero_threshold'),
  integerColumn('positive_offset'),
  int64List('positive_bucket_counts'),
  integerColumn('negative_offset'),
  int64List('negative_bucket_counts'),
  {
    field: list('quantiles', {
      kind: 'struct',
      name: 'element',
      optional: true,
      fields: [double('quantile'), double('value')],
    }),
    source: { kind: 'quantiles', column: 'quantiles' },
  },
  {
    field: list('exemplars', {
      kind: 'struct',
      name: 'element',
      optional: true,
      fields: EXEMPLAR_FIELDS,
    }),
    source: { kind: 'exemplars', column: 'exemplars' },
  },
  ...groupColumns(),
]

/** The fixed columns of a signal's table, in file order. */
export const TABLE_COLUMNS: Readonly<Record<SignalName, readonly TableColumn[]>> = {
  logs: LOG_COLUMNS,
  spans: SPAN_COLUMNS,
  metrics: METRIC_COLUMNS,
}

/** The column of a batch that holds the event time of a row. */
export const EVENT_TIME_COLUMN: Readonly<Record<SignalName, string>> = {
  logs: 'time_unix_nano',
  spans: 'start_time_unix_nano',
  metrics: 'time_unix_nano',
}
