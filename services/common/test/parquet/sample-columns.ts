/** Every column type with the values that writers get wrong. */
import type { LeafField, LogicalType, PhysicalType } from '../../src/parquet/schema.ts'
import type { LeafValue, RowValue, SampleColumn, ValueShape } from './column-builder.ts'

export function leafField(
  name: string,
  physical: PhysicalType,
  logical?: LogicalType,
  optional = true,
): LeafField {
  return { kind: 'leaf', name, physical, logical, optional }
}

const INT64_EDGES = [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 32n, -(2n ** 32n), 2n ** 31n]
const INT32_EDGES = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 255, -256, 65536]
const DOUBLE_EDGES = [0, -0, 1.5, -1.5, Infinity, -Infinity, 5e-324, Number.MAX_VALUE]
const TEXT_EDGES = [
  '',
  'a',
  'a\0b',
  'é',
  '\u{1f600}',
  '\uffff',
  'z'.repeat(70),
  '\u{10ffff}'.repeat(20),
]
const BYTE_EDGES = [[], [0], [0xff], [0xff, 0xff], [0x80, 0x00], [0, 0xff]].map((bytes) =>
  Uint8Array.from(bytes),
)

/** Repeated to `count`, every `nullEvery`-th row null (0: none). */
export function cycle(
  values: readonly LeafValue[],
  count: number,
  nullEvery = 0,
): (LeafValue | null)[] {
  return Array.from({ length: count }, (_, i) =>
    nullEvery > 0 && i % nullEvery === nullEvery - 1 ? null : values[i % values.length]!,
  )
}

function distinct(count: number, of: (i: number) => LeafValue, nullEvery = 0): RowValue[] {
  return Array.from({ length: count }, (_, i) =>
    nullEvery > 0 && i % nullEvery === nullEvery - 1 ? null : of(i),
  )
}

/** A multiplicative step through 2^64: looks random, never repeats. */
export function scattered(i: number): bigint {
  return BigInt.asIntN(64, BigInt(i + 1) * 0x9e3779b97f4a7c15n)
}

function flat(name: string, field: LeafField, rows: readonly RowValue[], shape?: ValueShape) {
  return { field: { ...field, name }, rows, ...(shape === undefined ? {} : { shape }) }
}

export function everyFlatColumn(count: number): SampleColumn[] {
  const int32 = leafField('', 'INT32')
  const int64 = leafField('', 'INT64')
  const time = leafField('', 'INT64', 'TIMESTAMP_MICROS_UTC')
  const double = leafField('', 'DOUBLE')
  const boolean = leafField('', 'BOOLEAN')
  const text = leafField('', 'BYTE_ARRAY', 'STRING')
  const json = leafField('', 'BYTE_ARRAY', 'JSON')
  const blob = leafField('', 'BYTE_ARRAY')
  const hex = (i: number) => BigInt.asUintN(64, scattered(i)).toString(16).padStart(16, '0')
  return [
    flat('int32_edges', int32, cycle(INT32_EDGES, count, 7)),
    flat(
      'int32_distinct',
      int32,
      distinct(count, (i) => Number(BigInt.asIntN(32, scattered(i)))),
    ),
    flat(
      'int32_rising',
      int32,
      distinct(count, (i) => i * 3 - 1000, 5),
    ),
    flat('int32_dictionary', int32, cycle(INT32_EDGES, count, 3), 'dictionary'),
    flat(
      'int32_runs',
      int32,
      distinct(count, (i) => (i >>> 6) % 5, 0),
      'runs',
    ),
    flat('int64_edges', int64, cycle(INT64_EDGES, count, 11)),
    flat('int64_distinct', int64, distinct(count, scattered, 2)),
    flat(
      'int64_extremes',
      int64,
      distinct(count, (i) => (i % 2 === 0 ? 1n : -1n) * (2n ** 63n - 1n - BigInt(i))),
    ),
    flat('int64_dictionary', int64, cycle(INT64_EDGES, count), 'dictionary'),
    flat('int64_dictionary_distinct', int64, distinct(count, scattered), 'dictionary'),
    flat(
      'time_rising',
      { ...time, optional: false },
      distinct(count, (i) => 1_700_000_000_000_000n + BigInt(i * 977)),
    ),
    flat(
      'time_jumping',
      time,
      distinct(count, (i) => 1_700_000_000_000_000n + scattered(i) / 2n ** 30n, 9),
    ),
    flat('double_edges', double, cycle(DOUBLE_EDGES, count, 4)),
    flat('double_nan', double, cycle([...DOUBLE_EDGES, NaN], count, 4)),
    flat(
      'double_distinct',
      double,
      distinct(count, (i) => Number(scattered(i)) / 1e9),
    ),
    flat('double_dictionary', double, cycle(DOUBLE_EDGES, count, 2), 'dictionary'),
    flat('boolean', boolean, cycle([true, false, false], count, 5)),
    flat('boolean_dictionary', boolean, cycle([true, false, false], count, 5), 'dictionary'),
    flat(
      'boolean_runs',
      boolean,
      distinct(count, (i) => i % 100 < 50),
      'runs',
    ),
    flat('boolean_required', { ...boolean, optional: false }, cycle([true], count)),
    flat('text_edges', text, cycle(TEXT_EDGES, count, 6)),
    flat(
      'text_distinct',
      text,
      distinct(count, (i) => `request ${hex(i)} took ${i} ms`, 3),
    ),
    flat(
      'text_ids',
      text,
      distinct(count, (i) => hex(i) + hex(i + 1)),
    ),
    flat('text_dictionary', text, cycle(TEXT_EDGES, count, 13), 'dictionary'),
    flat(
      'text_dictionary_distinct',
      text,
      distinct(count, (i) => `user-${i}`, 2),
      'dictionary',
    ),
    flat(
      'text_runs',
      text,
      distinct(count, (i) => `service-${(i >>> 5) % 7}`),
      'runs',
    ),
    flat(
      'text_runs_with_nulls',
      text,
      distinct(count, (i) => `s${i >>> 5}`).map((v, i) => ((i >>> 4) % 3 === 0 ? null : v)),
      'runs',
    ),
    flat(
      'text_runs_short',
      text,
      distinct(count, (i) => `s${i >>> 1}`, 3),
      'runs',
    ),
    flat('text_required', { ...text, optional: false }, cycle(['constant'], count)),
    flat('json', json, cycle(['{}', '{"a":1}', '[]'], count, 3)),
    flat('blob_edges', blob, cycle(BYTE_EDGES, count, 8)),
    flat('all_null_text', text, cycle([''], count, 1)),
    flat('all_null_int', int64, cycle([0n], count, 1)),
    flat('all_null_runs', text, cycle([''], count, 1), 'runs'),
    flat('all_null_boolean', boolean, cycle([true], count, 1)),
    flat(
      'first_half',
      text,
      distinct(count, (i) => `v${i % 10}`).map((v, i) => (i * 2 < count ? v : null)),
    ),
    flat(
      'second_half',
      int64,
      distinct(count, (i) => BigInt(i)).map((v, i) => (i * 2 < count ? null : v)),
    ),
  ]
}

export function everyListColumn(count: number): SampleColumn[] {
  const lengths = [0, 1, 3, 0, 2, 17]
  const times = leafField('timestamp', 'INT64', 'TIMESTAMP_MICROS_UTC', false)
  const fields = [
    times,
    leafField('name', 'BYTE_ARRAY', 'STRING'),
    leafField('value_double', 'DOUBLE'),
    leafField('attributes', 'BYTE_ARRAY', 'JSON'),
    leafField('flag', 'BOOLEAN'),
    leafField('trace_id', 'BYTE_ARRAY'),
  ]
  const lists = (of: (k: number) => unknown, nullEvery: number) =>
    Array.from({ length: count }, (_, row) =>
      nullEvery > 0 && row % nullEvery === 0
        ? null
        : Array.from({ length: lengths[row % lengths.length]! }, (_, k) => of(row * 31 + k)),
    ) as RowValue[]
  const struct = (k: number) => [
    BigInt(k) * 1000n,
    k % 3 === 0 ? null : `event ${k % 40}`,
    k % 4 === 0 ? null : k / 7,
    k % 5 === 0 ? null : `{"k":${k}}`,
    k % 2 === 0 ? null : k % 3 === 0,
    k % 7 === 0 ? null : Uint8Array.of(k & 0xff, 0xff),
  ]
  const list = (name: string, element: LeafField, optional: boolean) =>
    ({ kind: 'list', name, optional, element }) as const
  return [
    {
      field: list('doubles', leafField('element', 'DOUBLE', undefined, false), true),
      rows: lists((k) => k / 3, 5),
    },
    {
      field: list('longs', leafField('element', 'INT64'), true),
      rows: lists((k) => (k % 4 === 0 ? null : BigInt(k)), 7),
    },
    {
      field: list('required_list', leafField('element', 'BYTE_ARRAY', 'STRING'), false),
      rows: lists((k) => (k % 6 === 0 ? null : `t${k}`), 0),
    },
    {
      field: list('dictionary_list', leafField('element', 'BYTE_ARRAY', 'STRING'), true),
      rows: lists((k) => (k % 6 === 0 ? null : `t${k % 5}`), 4),
      shape: 'dictionary',
    },
    {
      field: list('all_null_lists', leafField('element', 'INT64'), true),
      rows: Array.from({ length: count }, () => null),
    },
    {
      field: list('all_empty_lists', leafField('element', 'INT64'), true),
      rows: Array.from({ length: count }, () => []),
    },
    {
      field: {
        kind: 'list',
        name: 'events',
        optional: true,
        element: { kind: 'struct', name: 'element', optional: false, fields },
      },
      rows: lists(struct, 3),
    },
    {
      field: {
        kind: 'list',
        name: 'optional_structs',
        optional: false,
        element: { kind: 'struct', name: 'element', optional: true, fields },
      },
      rows: lists(struct, 0),
    },
  ]
}
