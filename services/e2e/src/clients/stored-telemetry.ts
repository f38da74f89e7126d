/** What stands in the Parquet files of a store, read by DuckDB alone, in canonical form. */
import { join } from 'node:path'
import { runPython } from '@tributary/common/testing/python'
import type { SignalName } from '@tributary/common/signal'
import { sortKeys, type CanonicalRow, type ClientRows } from './canonical-values.ts'

/** Prints one JSON object per row: text as s:, ints as i:, doubles as d: and their bits, JSON as j:. */
const SCRIPT = String.raw`
import datetime, duckdb, glob, json, struct, sys
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
def value(kind, cell):
    if cell is None or isinstance(cell, bool): return cell
    if isinstance(cell, datetime.datetime):
        return 'i:' + str((cell - EPOCH) // datetime.timedelta(microseconds=1))
    if isinstance(cell, int): return 'i:' + str(cell)
    if isinstance(cell, float): return 'd:' + struct.pack('>d', cell).hex()
    if isinstance(cell, (bytes, bytearray)): return 'b:' + bytes(cell).hex()
    if isinstance(cell, list): return [value(kind.children[0][1], inner) for inner in cell]
    if isinstance(cell, dict):
        return {name: value(inner, cell[name]) for name, inner in kind.children}
    return ('j:' if str(kind) == 'JSON' else 's:') + cell
folder, signal, tenant = sys.argv[1:]
paths = glob.glob(f'{folder}/data/{tenant}/{signal}/**/*.parquet', recursive=True)
paths += glob.glob(f'{folder}/late/{tenant}/{signal}/*.parquet')
con = duckdb.connect()
con.execute("set timezone='UTC'")
for path in sorted(paths):
    result = con.execute('select * from read_parquet(?, hive_partitioning=false)', [path])
    columns = [(column[0], column[1]) for column in result.description]
    for row in result.fetchall():
        print(json.dumps({name: value(kind, cell) for (name, kind), cell in zip(columns, row)}))
`

export type StoredRow = Readonly<Record<string, unknown>>

/** Every row of a signal in the store of a data folder; null cells included. */
export function storedRows(dataDir: string, signal: SignalName, tenant = 'default'): StoredRow[] {
  return runPython(SCRIPT, [join(dataDir, 'store'), signal, tenant])
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as StoredRow)
}

/** Everything of a tenant in the store, by the name of the service that sent it. */
export function storedTelemetry(dataDir: string, tenant = 'default'): Map<string, ClientRows> {
  const services = new Map<
    string,
    { logs: CanonicalRow[]; spans: CanonicalRow[]; metrics: CanonicalRow[] }
  >()
  const canonical = { logs: logRow, spans: spanRow, metrics: pointRow }
  for (const signal of ['logs', 'spans', 'metrics'] as const) {
    for (const row of storedRows(dataDir, signal, tenant)) {
      const service = String(row['resource.service.name']).slice(2)
      let rows = services.get(service)
      if (rows === undefined) services.set(service, (rows = { logs: [], spans: [], metrics: [] }))
      rows[signal].push(canonical[signal](row))
    }
  }
  return services
}

/** Nanoseconds since 1970 from the two columns of a time, decimal. */
function nanos(row: StoredRow, name: string): string | null {
  const micros = row[name]
  if (typeof micros !== 'string') return null
  return String(BigInt(micros.slice(2)) * 1000n + BigInt(String(row[`${name}_nanos`]).slice(2)))
}

function plain(cell: unknown): unknown {
  return typeof cell === 'string' && cell.startsWith('j:')
    ? { json: sortKeys(JSON.parse(cell.slice(2))) }
    : cell
}

/** Attributes of a row by key; a key's columns of other types are named key@type. */
function attributes(row: StoredRow, namespace: string): unknown {
  const prefix = `${namespace}.`
  return Object.fromEntries(
    Object.entries(row)
      .filter(([name, cell]) => name.startsWith(prefix) && cell !== null)
      .map(([name, cell]) => [name.slice(prefix.length).split('@')[0], plain(cell)]),
  )
}

/** Attributes inside an event, link or exemplar are JSON text. */
function nestedAttributes(cell: unknown): unknown {
  return typeof cell === 'string' ? (plain(`j:${cell.slice(2)}`) as { json: unknown }).json : {}
}

function common(row: StoredRow): CanonicalRow {
  return {
    resource: attributes(row, 'resource'),
    scope: row['scope_name'],
    scopeVersion: row['scope_version'],
    attributes: attributes(row, 'attributes'),
    dropped: row['dropped_attributes_count'] ?? null,
  }
}

function logRow(row: StoredRow): CanonicalRow {
  return {
    ...common(row),
    time: nanos(row, 'timestamp'),
    observed: nanos(row, 'observed_timestamp'),
    severityNumber: row['severity_number'],
    severityText: row['severity_text'],
    body: row['body'] ?? bodyOf(row['body@json']),
    traceId: row['trace_id'],
    spanId: row['span_id'],
    eventName: row['event_name'],
  }
}

/** Bodies that are not strings are typed JSON text: scalars show their type in it. */
function bodyOf(cell: unknown): unknown {
  return typeof cell === 'string' ? { json: sortKeys(JSON.parse(cell.slice(2))) } : null
}

function spanRow(row: StoredRow): CanonicalRow {
  return {
    ...common(row),
    traceId: row['trace_id'],
    spanId: row['span_id'],
    parentSpanId: row['parent_span_id'],
    traceState: row['trace_state'],
    name: row['name'],
    kind: row['kind'],
    start: nanos(row, 'timestamp'),
    end: nanos(row, 'end_timestamp'),
    statusCode: row['status_code'],
    statusMessage: row['status_message'],
    events: list(row['events'], (event) => ({
      time: nanos(event, 'timestamp'),
      name: event['name'],
      attributes: nestedAttributes(event['attributes']),
    })),
    links: list(row['links'], (link) => ({
      traceId: link['trace_id'],
      spanId: link['span_id'],
      attributes: nestedAttributes(link['attributes']),
    })),
  }
}

function pointRow(row: StoredRow): CanonicalRow {
  return {
    ...common(row),
    name: row['metric_name'],
    type: row['metric_type'],
    unit: row['unit'],
    description: row['description'],
    temporality: row['temporality'],
    isMonotonic: row['is_monotonic'],
    start: nanos(row, 'start_timestamp'),
    time: nanos(row, 'timestamp'),
    value: row['value_int'] ?? row['value_double'],
    count: row['count'],
    sum: row['sum'],
    min: row['min'],
    max: row['max'],
    bounds: row['explicit_bounds'],
    buckets: row['bucket_counts'],
    scale: row['scale'],
    zeroCount: row['zero_count'],
    positiveOffset: row['positive_offset'],
    positive: row['positive_bucket_counts'],
    negativeOffset: row['negative_offset'],
    negative: row['negative_bucket_counts'],
    exemplars: list(row['exemplars'], (exemplar) => ({
      time: nanos(exemplar, 'timestamp'),
      value: exemplar['value_int'] ?? exemplar['value_double'],
      traceId: exemplar['trace_id'],
      spanId: exemplar['span_id'],
      attributes: nestedAttributes(exemplar['attributes']),
    })),
  }
}

function list(cell: unknown, canonical: (element: StoredRow) => CanonicalRow): CanonicalRow[] {
  return Array.isArray(cell) ? cell.map((element) => canonical(element as StoredRow)) : []
}
