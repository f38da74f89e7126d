/**
 * Values of rows as Parquet readers hand them over. Accepted for each column type, null or undefined
 * being null everywhere:
 *
 *   VARCHAR, JSON   string, or its UTF-8 bytes
 *   INT, BIGINT     number, bigint (unsigned 64-bit values arrive as negative ones)
 *   DOUBLE          number, or a bigint of its IEEE 754 bits: only these surely keep a NaN's payload
 *   BOOLEAN         boolean
 *   BLOB            Uint8Array, or an object with `bytes` (DuckDB)
 *   TIMESTAMP       bigint or number of microseconds, or an object with `micros` (DuckDB)
 *   LIST            array or typed array, or an object with `items` (DuckDB)
 *   STRUCT          object, or an object with `entries` (DuckDB)
 */
import { AppError } from '../errors.ts'

/** A row by column name. */
export type ReplayRow = Readonly<Record<string, unknown>>

/** A column of a row that holds something else than its type says. */
function failColumn(column: string, expected: string, value: unknown): never {
  const found = typeof value
  throw new AppError('invalid_file', `column is no ${expected}`, { details: { column, found } })
}

function isNull(value: unknown): value is null | undefined {
  return value === null || value === undefined
}

export function bytesOf(row: ReplayRow, column: string): Uint8Array | undefined {
  const value = row[column]
  if (isNull(value)) return undefined
  if (value instanceof Uint8Array) return value
  if (typeof value === 'object' && 'bytes' in value && value.bytes instanceof Uint8Array) {
    return value.bytes
  }
  return failColumn(column, 'BLOB', value)
}

/** UTF-8 of a text column. */
export function textOf(row: ReplayRow, column: string): Uint8Array | undefined {
  const value = row[column]
  if (isNull(value)) return undefined
  if (typeof value === 'string') return Buffer.from(value)
  if (value instanceof Uint8Array) return value
  return failColumn(column, 'VARCHAR', value)
}

export function stringOf(row: ReplayRow, column: string): string | undefined {
  const value = row[column]
  if (isNull(value)) return undefined
  return typeof value === 'string' ? value : failColumn(column, 'VARCHAR', value)
}

/** An integer; undefined for null. */
export function integerOf(row: ReplayRow, column: string): bigint | undefined {
  const value = row[column]
  return isNull(value) ? undefined : toBigint(value, column)
}

function toBigint(value: unknown, column: string): bigint {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value)
  return failColumn(column, 'integer', value)
}

export function booleanOf(row: ReplayRow, column: string): boolean | undefined {
  const value = row[column]
  if (isNull(value)) return undefined
  return typeof value === 'boolean' ? value : failColumn(column, 'BOOLEAN', value)
}

const doubleView = new DataView(new ArrayBuffer(8))

/** The bits of a double; undefined for null. */
export function doubleBitsOf(row: ReplayRow, column: string): bigint | undefined {
  const value = row[column]
  return isNull(value) ? undefined : toDoubleBits(value, column)
}

function toDoubleBits(value: unknown, column: string): bigint {
  if (typeof value === 'bigint') return BigInt.asUintN(64, value)
  if (typeof value !== 'number') return failColumn(column, 'DOUBLE', value)
  doubleView.setFloat64(0, value)
  return doubleView.getBigUint64(0)
}

/** Nanoseconds of a time in its two columns, `<name>` and `<name>_nanos`; 0 for null. */
export function timeOf(row: ReplayRow, name: string): bigint {
  const value = row[name]
  if (isNull(value)) return 0n
  const micros =
    typeof value === 'object' && 'micros' in value
      ? toBigint(value.micros, name)
      : toBigint(value, name)
  const nanos = integerOf(row, `${name}_nanos`) ?? 0n
  return BigInt.asUintN(64, micros * 1000n + nanos)
}

function listOf(row: ReplayRow, column: string): ArrayLike<unknown> | undefined {
  const value = row[column]
  if (isNull(value)) return undefined
  if (Array.isArray(value)) return value as unknown[]
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return value as unknown as ArrayLike<unknown>
  }
  if (typeof value === 'object' && 'items' in value && Array.isArray(value.items)) {
    return value.items as unknown[]
  }
  return failColumn(column, 'LIST', value)
}

export function integerListOf(row: ReplayRow, column: string): bigint[] {
  return Array.from(listOf(row, column) ?? [], (element) => toBigint(element, column))
}

/** Bits of the doubles of a list; those of a Float64Array are taken from its bytes. */
export function doubleBitsListOf(row: ReplayRow, column: string): bigint[] {
  const list = listOf(row, column) ?? []
  if (list instanceof Float64Array) {
    return Array.from(new BigUint64Array(list.buffer, list.byteOffset, list.length))
  }
  return Array.from(list, (element) => toDoubleBits(element, column))
}

/** The structs of a list as rows. */
export function structListOf(row: ReplayRow, column: string): ReplayRow[] {
  return Array.from(listOf(row, column) ?? [], (element) => {
    if (typeof element !== 'object' || element === null) {
      return failColumn(column, 'LIST of STRUCT', element)
    }
    const fields: unknown = 'entries' in element ? element.entries : element
    return fields as ReplayRow
  })
}
