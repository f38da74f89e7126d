import type { SignalName } from '@tributary/common/signal'

type Columns = Readonly<Record<string, string>>

const TIME = 'TIMESTAMP WITH TIME ZONE'
const TIMESTAMP: Columns = {
  timestamp: TIME,
  timestamp_nanos: 'INTEGER',
  timestamp_source: 'VARCHAR',
}

const GROUP: Columns = {
  resource_hash: 'BIGINT',
  resource_dropped_attributes_count: 'BIGINT',
  resource_schema_url: 'VARCHAR',
  resource_entity_refs: 'JSON',
  scope_name: 'VARCHAR',
  scope_version: 'VARCHAR',
  scope_dropped_attributes_count: 'BIGINT',
  scope_schema_url: 'VARCHAR',
}

function time(name: string): Columns {
  return { [name]: TIME, [`${name}_nanos`]: 'INTEGER' }
}

function listOf(fields: Columns): string {
  const members = Object.entries(fields).map(([name, type]) => `"${name}" ${type}`)
  return `STRUCT(${members.join(', ')})[]`
}

/**
 * The columns that every file of a signal has, with DuckDB's types: what the views show before there
 * is a file. A test compares them with what the flush writes.
 */
export const FIXED_COLUMNS: Readonly<Record<SignalName, Columns>> = {
  logs: {
    ...TIMESTAMP,
    ...time('observed_timestamp'),
    severity_number: 'INTEGER',
    severity_text: 'VARCHAR',
    body: 'VARCHAR',
    'body@json': 'JSON',
    trace_id: 'VARCHAR',
    span_id: 'VARCHAR',
    flags: 'BIGINT',
    event_name: 'VARCHAR',
    dropped_attributes_count: 'BIGINT',
    ...GROUP,
  },
  spans: {
    trace_id: 'VARCHAR',
    span_id: 'VARCHAR',
    parent_span_id: 'VARCHAR',
    trace_state: 'VARCHAR',
    flags: 'BIGINT',
    name: 'VARCHAR',
    kind: 'INTEGER',
    ...TIMESTAMP,
    ...time('end_timestamp'),
    duration_ns: 'BIGINT',
    status_code: 'INTEGER',
    status_message: 'VARCHAR',
    dropped_attributes_count: 'BIGINT',
    dropped_events_count: 'BIGINT',
    dropped_links_count: 'BIGINT',
    events: listOf({
      timestamp: TIME,
      timestamp_nanos: 'INTEGER',
      name: 'VARCHAR',
      attributes: 'JSON',
      dropped_attributes_count: 'BIGINT',
    }),
    links: listOf({
      trace_id: 'VARCHAR',
      span_id: 'VARCHAR',
      trace_state: 'VARCHAR',
      attributes: 'JSON',
      dropped_attributes_count: 'BIGINT',
      flags: 'BIGINT',
    }),
    ...GROUP,
  },
  metrics: {
    series_id: 'BIGINT',
    metric_name: 'VARCHAR',
    metric_type: 'VARCHAR',
    description: 'VARCHAR',
    unit: 'VARCHAR',
    metadata: 'JSON',
    temporality: 'INTEGER',
    is_monotonic: 'BOOLEAN',
    ...time('start_timestamp'),
    ...TIMESTAMP,
    flags: 'BIGINT',
    value_int: 'BIGINT',
    value_double: 'DOUBLE',
    count: 'BIGINT',
    sum: 'DOUBLE',
    min: 'DOUBLE',
    max: 'DOUBLE',
    explicit_bounds: 'DOUBLE[]',
    bucket_counts: 'BIGINT[]',
    scale: 'INTEGER',
    zero_count: 'BIGINT',
    zero_threshold: 'DOUBLE',
    positive_offset: 'INTEGER',
    positive_bucket_counts: 'BIGINT[]',
    negative_offset: 'INTEGER',
    negative_bucket_counts: 'BIGINT[]',
    quantiles: listOf({ quantile: 'DOUBLE', value: 'DOUBLE' }),
    exemplars: listOf({
      timestamp: TIME,
      timestamp_nanos: 'INTEGER',
      value_int: 'BIGINT',
      value_double: 'DOUBLE',
      trace_id: 'VARCHAR',
      span_id: 'VARCHAR',
      attributes: 'JSON',
    }),
    ...GROUP,
  },
}
