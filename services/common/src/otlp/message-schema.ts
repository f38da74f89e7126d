/**
 * The OTLP messages as tables for the normalizer: what each field number holds. Only messages that
 * are kept as bytes, and items that may need rewriting, stand here; field numbers are those of
 * proto/opentelemetry (string_value_strindex and key_strindex of profiles are unknown on purpose:
 * the other signals must not use them).
 */

/** What a field holds: decides its wire type and its default. */
export const Kind = {
  unknown: 0,
  string: 1,
  bytes: 2,
  message: 3,
  uint32: 4,
  /** int32 and enums: negative values take ten bytes. */
  int32: 5,
  sint32: 6,
  int64: 7,
  bool: 8,
  fixed32: 9,
  fixed64: 10,
  packedFixed64: 11,
  packedUint64: 12,
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

export interface FieldSchema {
  readonly kind: Kind
  /** Strings and messages only: may occur many times. */
  readonly isRepeated: boolean
  /** Member of the message's only oneof. */
  readonly isChoice: boolean
  /** Written also when it has its default value: oneof members, `optional`, presence that counts. */
  readonly keepsDefault: boolean
  /** A list of KeyValue: the last of equal keys wins. */
  readonly isKeyed: boolean
  /** Such a list with the limit of attributes per item. */
  readonly hasCountLimit: boolean
  readonly child: MessageSchema | undefined
}

export interface MessageSchema {
  readonly name: string
  /** By field number. */
  readonly fields: readonly (FieldSchema | undefined)[]
  /** An AnyValue: one more level of depth. */
  readonly isAnyValue: boolean
  /** A KeyValue: its field 1 has the limit of keys. */
  readonly isKeyValue: boolean
}

type FieldOptions = Partial<Omit<FieldSchema, 'kind'>>

function field(kind: Kind, options: FieldOptions = {}): FieldSchema {
  return {
    kind,
    isRepeated: false,
    isChoice: false,
    keepsDefault: false,
    isKeyed: false,
    hasCountLimit: false,
    child: undefined,
    ...options,
  }
}

function message(name: string, fields: Readonly<Record<number, FieldSchema>>): MessageSchema {
  const byNumber: (FieldSchema | undefined)[] = Array.from({ length: 17 }, () => undefined)
  for (const [number, schema] of Object.entries(fields)) byNumber[Number(number)] = schema
  return {
    name,
    fields: byNumber,
    isAnyValue: name === 'AnyValue',
    isKeyValue: name === 'KeyValue',
  }
}

const string = field(Kind.string)
const bytes = field(Kind.bytes)
const uint32 = field(Kind.uint32)
const int32 = field(Kind.int32)
const fixed32 = field(Kind.fixed32)
const fixed64 = field(Kind.fixed64)
const optional64 = field(Kind.fixed64, { keepsDefault: true })
const choice = { isChoice: true, keepsDefault: true } as const

function one(child: MessageSchema, options: FieldOptions = {}): FieldSchema {
  return field(Kind.message, { child, ...options })
}

function many(child: MessageSchema): FieldSchema {
  return field(Kind.message, { child, isRepeated: true })
}

const anyValueFields: Record<number, FieldSchema> = {}
export const ANY_VALUE: MessageSchema = message('AnyValue', {})
export const KEY_VALUE: MessageSchema = message('KeyValue', { 1: string, 2: one(ANY_VALUE) })
const ARRAY_VALUE = message('ArrayValue', { 1: many(ANY_VALUE) })
const KEY_VALUE_LIST = message('KeyValueList', {
  1: field(Kind.message, { child: KEY_VALUE, isRepeated: true, isKeyed: true }),
})
Object.assign(anyValueFields, {
  1: field(Kind.string, choice),
  2: field(Kind.bool, choice),
  3: field(Kind.int64, choice),
  4: field(Kind.fixed64, choice),
  5: one(ARRAY_VALUE, choice),
  6: one(KEY_VALUE_LIST, choice),
  7: field(Kind.bytes, choice),
})
// AnyValue holds lists of itself, so its fields are filled in last.
Object.assign(ANY_VALUE.fields, anyValueFields)

const attributes = field(Kind.message, {
  child: KEY_VALUE,
  isRepeated: true,
  isKeyed: true,
  hasCountLimit: true,
})

const ENTITY_REF = message('EntityRef', {
  1: string,
  2: string,
  3: field(Kind.string, { isRepeated: true }),
  4: field(Kind.string, { isRepeated: true }),
})
const RESOURCE = message('Resource', { 1: attributes, 2: uint32, 3: many(ENTITY_REF) })
const SCOPE = message('InstrumentationScope', { 1: string, 2: string, 3: attributes, 4: uint32 })

/** ResourceLogs, ResourceSpans or ResourceMetrics without its scopes. */
export const RESOURCE_PART = message('resource', { 1: one(RESOURCE), 3: string })
/** ScopeLogs, ScopeSpans or ScopeMetrics without its items. */
export const SCOPE_PART = message('scope', { 1: one(SCOPE), 3: string })

export const LOG_RECORD = message('LogRecord', {
  1: fixed64,
  2: int32,
  3: string,
  5: one(ANY_VALUE, { keepsDefault: true }),
  6: attributes,
  7: uint32,
  8: fixed32,
  9: bytes,
  10: bytes,
  11: fixed64,
  12: string,
})

export const EVENT = message('Event', { 1: fixed64, 2: string, 3: attributes, 4: uint32 })
export const LINK = message('Link', {
  1: bytes,
  2: bytes,
  3: string,
  4: attributes,
  5: uint32,
  6: fixed32,
})
const STATUS = message('Status', { 2: string, 3: int32 })
export const SPAN = message('Span', {
  1: bytes,
  2: bytes,
  3: string,
  4: bytes,
  5: string,
  6: int32,
  7: fixed64,
  8: fixed64,
  9: attributes,
  10: uint32,
  11: many(EVENT),
  12: uint32,
  13: many(LINK),
  14: uint32,
  15: one(STATUS),
  16: fixed32,
})

/** A Metric without its data. */
export const METRIC_HEADER = message('Metric', { 1: string, 2: string, 3: string, 12: attributes })
export const EXEMPLAR = message('Exemplar', {
  2: fixed64,
  3: field(Kind.fixed64, choice),
  4: bytes,
  5: bytes,
  6: field(Kind.fixed64, choice),
  7: attributes,
})
export const NUMBER_DATA_POINT = message('NumberDataPoint', {
  2: fixed64,
  3: fixed64,
  4: field(Kind.fixed64, choice),
  5: many(EXEMPLAR),
  6: field(Kind.fixed64, choice),
  7: attributes,
  8: uint32,
})
const BUCKETS = message('Buckets', { 1: field(Kind.sint32), 2: field(Kind.packedUint64) })
export const HISTOGRAM_DATA_POINT = message('HistogramDataPoint', {
  2: fixed64,
  3: fixed64,
  4: fixed64,
  5: optional64,
  6: field(Kind.packedFixed64),
  7: field(Kind.packedFixed64),
  8: many(EXEMPLAR),
  9: attributes,
  10: uint32,
  11: optional64,
  12: optional64,
})
export const EXPONENTIAL_HISTOGRAM_DATA_POINT = message('ExponentialHistogramDataPoint', {
  1: attributes,
  2: fixed64,
  3: fixed64,
  4: fixed64,
  5: optional64,
  6: field(Kind.sint32),
  7: fixed64,
  8: one(BUCKETS, { keepsDefault: true }),
  9: one(BUCKETS, { keepsDefault: true }),
  10: uint32,
  11: many(EXEMPLAR),
  12: optional64,
  13: optional64,
  14: fixed64,
})
export const VALUE_AT_QUANTILE = message('ValueAtQuantile', { 1: fixed64, 2: fixed64 })
export const SUMMARY_DATA_POINT = message('SummaryDataPoint', {
  2: fixed64,
  3: fixed64,
  4: fixed64,
  5: fixed64,
  6: many(VALUE_AT_QUANTILE),
  7: attributes,
  8: uint32,
})
