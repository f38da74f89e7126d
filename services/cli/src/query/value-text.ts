/**
 * DuckDB values as text: JSON that keeps all 64 bits of integers (numbers of any length are JSON)
 * and columns of JSON as they are, and plain text for tables and CSV.
 */
import {
  DuckDBArrayType,
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDecimalValue,
  DuckDBListType,
  DuckDBListValue,
  DuckDBMapType,
  DuckDBMapValue,
  DuckDBStructType,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
} from '@duckdb/node-api'
import type { DuckDBType, DuckDBValue } from '@duckdb/node-api'

/** The value as JSON text; NaN and infinities become strings, bytes base64. */
export function jsonText(value: DuckDBValue, type: DuckDBType): string {
  if (value === null) return 'null'
  if (type.alias === 'JSON' && typeof value === 'string') return value
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') {
    return Number.isFinite(value) ? numberText(value) : JSON.stringify(String(value))
  }
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof DuckDBDecimalValue) return value.toString()
  if (value instanceof DuckDBListValue) {
    return jsonArray(value.items, type instanceof DuckDBListType ? type.valueType : type)
  }
  if (value instanceof DuckDBArrayValue) {
    return jsonArray(value.items, type instanceof DuckDBArrayType ? type.valueType : type)
  }
  if (value instanceof DuckDBStructValue) return jsonObject(value, type)
  if (value instanceof DuckDBMapValue) return jsonMap(value, type)
  return JSON.stringify(scalarText(value))
}

function numberText(value: number): string {
  return Object.is(value, -0) ? '-0.0' : String(value)
}

function jsonArray(items: readonly DuckDBValue[], itemType: DuckDBType): string {
  return `[${items.map((item) => jsonText(item, itemType)).join(',')}]`
}

function jsonObject(value: DuckDBStructValue, type: DuckDBType): string {
  const types = type instanceof DuckDBStructType ? type : undefined
  const members = Object.entries(value.entries).map(([name, member]) => {
    const index = types?.entryNames.indexOf(name) ?? -1
    return `${JSON.stringify(name)}:${jsonText(member, types?.entryTypes[index] ?? type)}`
  })
  return `{${members.join(',')}}`
}

function jsonMap(value: DuckDBMapValue, type: DuckDBType): string {
  const members = value.entries.map((entry) => {
    const valueType = type instanceof DuckDBMapType ? type.valueType : type
    return `${JSON.stringify(plainText(entry.key, type))}:${jsonText(entry.value, valueType)}`
  })
  return `{${members.join(',')}}`
}

/** The value for a table cell or a CSV field; null is the empty text. */
export function plainText(value: DuckDBValue, type: DuckDBType): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number') return Number.isFinite(value) ? numberText(value) : String(value)
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  const isNested =
    value instanceof DuckDBListValue ||
    value instanceof DuckDBArrayValue ||
    value instanceof DuckDBStructValue ||
    value instanceof DuckDBMapValue
  return isNested ? jsonText(value, type) : scalarText(value)
}

type ScalarObject = Exclude<DuckDBValue, null | string | number | bigint | boolean>

function scalarText(value: ScalarObject): string {
  if (value instanceof DuckDBTimestampTZValue) return timestampText(value.micros)
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString('base64')
  return String(value)
}

const MICROS_PER_SECOND = 1_000_000n

/** RFC 3339 in UTC with as many digits as there are: `2026-11-21T04:00:00.000001Z`. */
function timestampText(micros: bigint): string {
  const below = ((micros % MICROS_PER_SECOND) + MICROS_PER_SECOND) % MICROS_PER_SECOND
  const seconds = (micros - below) / MICROS_PER_SECOND
  const date = new Date(Number(seconds) * 1000)
  if (Number.isNaN(date.getTime())) return `${micros} microseconds since 1970`
  const fraction = below === 0n ? '' : `.${String(below).padStart(6, '0').replace(/0+$/, '')}`
  return `${date.toISOString().slice(0, -5)}${fraction}Z`
}
