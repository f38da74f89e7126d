/**
 * Seeded log rows in the shape of the logs table, sorted as the flush sorts them: few services,
 * a resource behind each run of rows, bodies from templates, ids of random bytes, attributes of
 * low, middle and high cardinality. The same rows as columns of ours, and as plain values.
 */
import type { LeafColumn } from '../src/parquet/column-values.ts'
import type { LeafField, LogicalType, PhysicalType } from '../src/parquet/schema.ts'
import { SeededRandom } from '../src/testing/seeded-random.ts'

export interface BenchColumn {
  readonly field: LeafField
  readonly column: LeafColumn
  /** The same values, one per row: what rivals take. */
  readonly rows: readonly (string | number | bigint | null)[]
}

function field(
  name: string,
  physical: PhysicalType,
  logical: LogicalType,
  options: { optional?: boolean; bloom?: boolean } = {},
): LeafField {
  return { kind: 'leaf', name, physical, logical, optional: true, ...options }
}

function joined(values: readonly string[]) {
  const parts = values.map((value) => Buffer.from(value))
  const offsets = new Int32Array(parts.length + 1)
  for (const [i, part] of parts.entries()) offsets[i + 1] = offsets[i]! + part.length
  return { data: new Uint8Array(Buffer.concat(parts)), offsets }
}

function bitmapOf(rows: readonly unknown[]): Uint8Array {
  const bitmap = new Uint8Array((rows.length + 7) >>> 3)
  for (const [row, value] of rows.entries()) {
    if (value !== null) bitmap[row >>> 3]! |= 1 << (row & 7)
  }
  return bitmap
}

function withPresence(rows: readonly unknown[], count: number) {
  return count === rows.length ? { count } : { count, presence: bitmapOf(rows) }
}

/** Distinct text: one byte array per row. */
export function textColumn(
  name: string,
  rows: readonly (string | null)[],
  options: { optional?: boolean; bloom?: boolean } = {},
): BenchColumn {
  const present = rows.filter((value) => value !== null)
  const values = { kind: 'bytes', ...joined(present) } as const
  const column = { values, ...withPresence(rows, present.length) }
  return { field: field(name, 'BYTE_ARRAY', 'STRING', options), rows, column }
}

/** Text that the memtable holds as dictionary ids. */
export function dictionaryColumn(name: string, rows: readonly (string | null)[]): BenchColumn {
  const present = rows.filter((value) => value !== null)
  const ids = new Map<string, number>()
  const idValues = Int32Array.from(present, (value) => {
    const id = ids.get(value) ?? ids.size
    ids.set(value, id)
    return id
  })
  const values = { kind: 'dictionary', ids: idValues, dictionary: joined([...ids.keys()]) } as const
  const column = { values, ...withPresence(rows, present.length) }
  return { field: field(name, 'BYTE_ARRAY', 'STRING'), rows, column }
}

/** Text that stands still while the resource does. */
export function runColumn(name: string, rows: readonly string[]): BenchColumn {
  const ids = new Map<string, number>()
  const runIds: number[] = []
  const runLengths: number[] = []
  for (const value of rows) {
    const id = ids.get(value) ?? ids.size
    ids.set(value, id)
    if (runIds.at(-1) === id) runLengths[runLengths.length - 1]!++
    else {
      runIds.push(id)
      runLengths.push(1)
    }
  }
  const values = {
    kind: 'runs',
    runIds: Int32Array.from(runIds),
    runLengths: Int32Array.from(runLengths),
    dictionary: joined([...ids.keys()]),
  } as const
  return {
    field: field(name, 'BYTE_ARRAY', 'STRING'),
    rows,
    column: { values, count: rows.length },
  }
}

export function int32Column(name: string, rows: readonly number[]): BenchColumn {
  const values = { kind: 'int32', values: Int32Array.from(rows) } as const
  return { field: field(name, 'INT32', undefined), rows, column: { values, count: rows.length } }
}

export function int64Column(name: string, rows: readonly (bigint | null)[]): BenchColumn {
  const present = rows.filter((value) => value !== null)
  const halves = new Int32Array(BigInt64Array.from(present).buffer)
  const values = { kind: 'int64', halves } as const
  const column = { values, ...withPresence(rows, present.length) }
  return { field: field(name, 'INT64', undefined), rows, column }
}

export function doubleColumn(name: string, rows: readonly (number | null)[]): BenchColumn {
  const present = rows.filter((value) => value !== null)
  const values = { kind: 'double', values: Float64Array.from(present) } as const
  const column = { values, ...withPresence(rows, present.length) }
  return { field: field(name, 'DOUBLE', undefined), rows, column }
}

const SERVICES = 10
const RESOURCES = 100
const SEVERITIES = [
  [9, 'INFO'],
  [9, 'INFO'],
  [9, 'INFO'],
  [5, 'DEBUG'],
  [13, 'WARN'],
  [17, 'ERROR'],
] as const
const METHODS = ['GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE']
const BODIES = [
  (n: number, id: string) => `request ${id.slice(0, 12)} completed in ${n % 997} ms`,
  (n: number) => `cache miss for key user:${n % 50_000}:profile, falling back to primary store`,
  (n: number, id: string) =>
    `payment authorised, order=${id.slice(12, 24)} amount=${n % 9973}.${n % 90}`,
  (n: number) =>
    `slow query (${n % 4000} ms): SELECT * FROM orders WHERE customer_id = ${n % 100_000}`,
  (n: number) =>
    `connection to 10.0.${n % 256}.${(n >>> 8) % 256}:5432 closed by peer after ${n % 7200} s`,
]

/** The columns of `count` log records. */
export function logColumns(count: number, seed = 1): BenchColumn[] {
  const numbers = new SeededRandom(seed)
  const random = (): number => numbers.uint32()
  const hex = (words: number) =>
    Array.from({ length: words }, () => random().toString(16).padStart(8, '0')).join('')
  const of = <T>(make: (row: number) => T) => Array.from({ length: count }, (_, row) => make(row))
  const resource = of((row) => Math.floor((row * RESOURCES) / count))
  let time = 1_763_000_000_000_000n
  const times = of((row) => {
    // every resource starts over: rows are sorted by resource, then time
    if (row > 0 && resource[row] !== resource[row - 1]) time -= 60_000_000n
    time += BigInt(random() % Math.ceil((120_000_000 * RESOURCES) / count))
    return time
  })
  const severity = of(() => SEVERITIES[random() % SEVERITIES.length]!)
  const traces = of(() => hex(4))
  const trace = of((row) => traces[row - (random() % Math.min(row + 1, 4))]!)
  const resourceHash = Array.from({ length: RESOURCES }, () => hex(2))
  const sparse = <T>(every: number, make: (row: number) => T) =>
    of((row) => (random() % every === 0 ? make(row) : null))
  return [
    int64Column('timestamp', times),
    int32Column(
      'timestamp_nanos',
      of(() => random() % 1000),
    ),
    dictionaryColumn(
      'timestamp_source',
      of(() => 'event'),
    ),
    int64Column(
      'observed_timestamp',
      times.map((t) => t + BigInt(random() % 5000)),
    ),
    int32Column(
      'observed_timestamp_nanos',
      of(() => 0),
    ),
    int32Column(
      'severity_number',
      severity.map(([number]) => number),
    ),
    dictionaryColumn(
      'severity_text',
      severity.map(([, text]) => text),
    ),
    textColumn(
      'body',
      of(() => BODIES[random() % BODIES.length]!(random(), hex(3))),
    ),
    textColumn('trace_id', trace, { bloom: true }),
    textColumn(
      'span_id',
      of(() => hex(2)),
      { bloom: true },
    ),
    int64Column(
      'flags',
      of(() => 1n),
    ),
    int64Column(
      'dropped_attributes_count',
      of(() => 0n),
    ),
    int64Column(
      'resource_hash',
      resource.map((r) => BigInt.asIntN(64, BigInt(`0x${resourceHash[r]!}`))),
    ),
    dictionaryColumn(
      'scope_name',
      resource.map((r) => `io.example.instrumentation.${r % 7}`),
    ),
    runColumn(
      'resource.service.name',
      resource.map((r) => `service-${Math.floor((r * SERVICES) / RESOURCES)}`),
    ),
    runColumn(
      'resource.service.instance.id',
      resource.map((r) => resourceHash[r]!),
    ),
    runColumn(
      'resource.service.version',
      resource.map((r) => `1.${r % 5}.0`),
    ),
    runColumn(
      'resource.host.name',
      resource.map((r) => `ip-10-0-${r}-17.eu-central-1.compute.internal`),
    ),
    runColumn(
      'resource.k8s.pod.name',
      resource.map((r) => `pod-${resourceHash[r]!}`),
    ),
    runColumn(
      'resource.k8s.namespace.name',
      resource.map(() => 'production'),
    ),
    runColumn(
      'resource.cloud.region',
      resource.map(() => 'eu-central-1'),
    ),
    dictionaryColumn(
      'attributes.http.request.method',
      of(() => METHODS[random() % METHODS.length]!),
    ),
    dictionaryColumn(
      'attributes.http.route',
      of(() => `/api/v1/resource-${random() % 60}/{id}`),
    ),
    int64Column(
      'attributes.http.response.status_code',
      of(() => BigInt([200, 200, 200, 201, 404, 500][random() % 6]!)),
    ),
    doubleColumn(
      'attributes.duration_ms',
      of(() => (random() % 2_000_000) / 1000),
    ),
    dictionaryColumn(
      'attributes.user.id',
      of(() => `user-${random() % 20_000}`),
    ),
    dictionaryColumn(
      'attributes.thread.name',
      of(() => `worker-${random() % 32}`),
    ),
    int64Column(
      'attributes.bytes',
      sparse(2, () => BigInt(random() % 1_000_000)),
    ),
    dictionaryColumn(
      'attributes.error.type',
      sparse(20, () => `ErrorKind${random() % 12}`),
    ),
  ]
}
