/**
 * The messages of OTLP as the JSON transcoder needs them: member names as bytes, field numbers as
 * wire tags, and how each value is written. Members of profiles only (string tables) are unknown.
 *
 * State: each message remembers which member followed which, and each field how long its length was
 * and an array of numbers; they only guess, so what they hold never changes the output.
 */
import { Signal } from '../signal.ts'
import { NumbersBefore } from './json-transcoder-numbers.ts'

/** How a member's value stands in JSON and goes to protobuf. */
export const FieldKind = {
  string: 1,
  /** Base64. */
  bytes: 2,
  /** Trace and span ids: hexadecimal, unlike other bytes. */
  hex: 3,
  bool: 4,
  int64: 5,
  uint32: 6,
  sint32: 7,
  enum: 8,
  fixed64: 9,
  sfixed64: 10,
  fixed32: 11,
  double: 12,
  uint64: 13,
  message: 14,
} as const
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind]

const WIRE_TYPES: Readonly<Record<FieldKind, number>> = {
  [FieldKind.string]: 2,
  [FieldKind.bytes]: 2,
  [FieldKind.hex]: 2,
  [FieldKind.bool]: 0,
  [FieldKind.int64]: 0,
  [FieldKind.uint32]: 0,
  [FieldKind.sint32]: 0,
  [FieldKind.enum]: 0,
  [FieldKind.fixed64]: 1,
  [FieldKind.sfixed64]: 1,
  [FieldKind.fixed32]: 5,
  [FieldKind.double]: 1,
  [FieldKind.uint64]: 0,
  [FieldKind.message]: 2,
}

export class TranscoderField {
  readonly name: string
  readonly key: Uint8Array
  /** How a member begins where nothing is escaped or spaced: its quoted name and the colon. */
  readonly tokenBytes: number
  /** The token as little-endian words; the last one ends with it, so it may overlap another. */
  readonly words: Int32Array
  readonly kind: FieldKind
  readonly isRepeated: boolean
  /** Numbers that stand together in one length-delimited field. */
  readonly isPacked: boolean
  readonly isOneof: boolean
  /** Whether a default (0, empty) differs from an absent member; others are left out. */
  readonly keepsDefault: boolean
  /** Wire tag as a varint of two bytes at most. */
  readonly tag: number
  readonly message: TranscoderMessage | undefined
  readonly enumNames: readonly string[]
  /** Place in its message, which is also the bit of the member in a mask. */
  readonly index: number
  /** Bytes that the length of the last value took. */
  lengthBytes = 1
  /** Of a packed field. */
  readonly numbersBefore: NumbersBefore | undefined

  constructor(name: string, index: number, definition: FieldDefinition) {
    this.name = name
    this.index = index
    this.key = Buffer.from(name)
    const token = Buffer.from(`"${name}":`)
    this.tokenBytes = token.length
    this.words = Int32Array.from({ length: Math.ceil(token.length / 4) }, (_, word) =>
      token.readInt32LE(Math.min(4 * word, token.length - 4)),
    )
    this.kind = definition.kind
    this.isRepeated = definition.isRepeated ?? false
    this.isOneof = definition.isOneof ?? false
    this.keepsDefault = definition.keepsDefault ?? (this.isOneof || this.isRepeated)
    this.message = definition.message
    this.enumNames = definition.enumNames ?? []
    const wireType = WIRE_TYPES[definition.kind]
    this.isPacked = this.isRepeated && wireType !== 2
    this.tag = (definition.id << 3) | (this.isPacked ? 2 : wireType)
    this.numbersBefore = this.isPacked ? new NumbersBefore() : undefined
  }
}

/** Whether a member that begins as `field` does stands at `at`. */
export function isTokenAt(view: DataView, at: number, field: TranscoderField): boolean {
  const { tokenBytes, words } = field
  if (at + tokenBytes > view.byteLength) return false
  const last = words.length - 1
  for (let word = 0; word < last; word++) {
    if (view.getInt32(at + 4 * word, true) !== words[word]) return false
  }
  return view.getInt32(at + tokenBytes - 4, true) === words[last]
}

interface FieldDefinition {
  readonly id: number
  readonly kind: FieldKind
  readonly isRepeated?: boolean
  readonly isOneof?: boolean
  readonly keepsDefault?: boolean
  readonly message?: TranscoderMessage
  readonly enumNames?: readonly string[]
}

export class TranscoderMessage {
  readonly name: string
  fields: readonly TranscoderField[] = []
  /** Fields by the length of their name. */
  byLength: readonly (readonly TranscoderField[])[] = []
  /** Members of the oneof as bits of their index; no message of OTLP has two oneofs. */
  oneofMask = 0
  /** Where the message is nothing but a oneof: the first field that begins with a letter. */
  byLetter: readonly (TranscoderField | undefined)[] | undefined
  /** Index of the field that followed last time; place 0 is the start, place i + 1 field i. */
  successors = new Uint8Array(1)
  /** Requests, resources and scopes and lists of points: they may hold a whole request. */
  readonly isContainer: boolean

  constructor(name: string, isContainer = false) {
    this.name = name
    this.isContainer = isContainer
  }

  define(definitions: Readonly<Record<string, FieldDefinition>>): void {
    this.fields = Object.entries(definitions).map(
      ([name, definition], index) => new TranscoderField(name, index, definition),
    )
    const byLength: TranscoderField[][] = []
    for (const field of this.fields) (byLength[field.key.length] ??= []).push(field)
    this.byLength = Array.from(byLength, (fields) => fields ?? [])
    for (const field of this.fields) if (field.isOneof) this.oneofMask |= 1 << field.index
    if (this.fields.every(({ isOneof }) => isOneof)) {
      this.byLetter = Array.from({ length: 128 }, (_, letter) =>
        this.fields.find(({ key }) => key[0] === letter),
      )
    }
    // at first, members are expected in the order of the definition
    this.successors = Uint8Array.from({ length: this.fields.length + 1 }, (_, place) =>
      Math.min(place, this.fields.length - 1),
    )
  }
}

const scalar = (id: number, kind: FieldKind): FieldDefinition => ({ id, kind })
const string = (id: number): FieldDefinition => scalar(id, FieldKind.string)
const hex = (id: number): FieldDefinition => scalar(id, FieldKind.hex)
const uint32 = (id: number): FieldDefinition => scalar(id, FieldKind.uint32)
const fixed32 = (id: number): FieldDefinition => scalar(id, FieldKind.fixed32)
const fixed64 = (id: number): FieldDefinition => scalar(id, FieldKind.fixed64)
const double = (id: number): FieldDefinition => scalar(id, FieldKind.double)
const one = (id: number, message: TranscoderMessage): FieldDefinition => ({
  id,
  kind: FieldKind.message,
  message,
  keepsDefault: true,
})
const many = (id: number, message: TranscoderMessage): FieldDefinition => ({
  ...one(id, message),
  isRepeated: true,
})
const list = (definition: FieldDefinition): FieldDefinition => ({ ...definition, isRepeated: true })
const member = (definition: FieldDefinition): FieldDefinition => ({ ...definition, isOneof: true })
const optional = (definition: FieldDefinition): FieldDefinition => ({
  ...definition,
  keepsDefault: true,
})
const enumOf = (id: number, enumNames: readonly string[]): FieldDefinition => ({
  id,
  kind: FieldKind.enum,
  enumNames,
})

const SEVERITIES = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'].flatMap((level) =>
  ['', '2', '3', '4'].map((suffix) => `SEVERITY_NUMBER_${level}${suffix}`),
)
const SEVERITY_NAMES = ['SEVERITY_NUMBER_UNSPECIFIED', ...SEVERITIES]
const KIND_NAMES = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'].map(
  (kind) => `SPAN_KIND_${kind}`,
)
const STATUS_NAMES = ['STATUS_CODE_UNSET', 'STATUS_CODE_OK', 'STATUS_CODE_ERROR']
const TEMPORALITY_NAMES = ['UNSPECIFIED', 'DELTA', 'CUMULATIVE'].map(
  (temporality) => `AGGREGATION_TEMPORALITY_${temporality}`,
)

const anyValue = new TranscoderMessage('AnyValue')
const keyValue = new TranscoderMessage('KeyValue')
export { anyValue as ANY_VALUE, keyValue as KEY_VALUE }
const arrayValue = new TranscoderMessage('ArrayValue')
const kvlistValue = new TranscoderMessage('KeyValueList')
// a KeyValue without a value and one with an empty value are the same
keyValue.define({ key: string(1), value: { ...one(2, anyValue), keepsDefault: false } })
arrayValue.define({ values: many(1, anyValue) })
kvlistValue.define({ values: many(1, keyValue) })
anyValue.define({
  stringValue: member(string(1)),
  boolValue: member(scalar(2, FieldKind.bool)),
  intValue: member(scalar(3, FieldKind.int64)),
  doubleValue: member(double(4)),
  arrayValue: member(one(5, arrayValue)),
  kvlistValue: member(one(6, kvlistValue)),
  bytesValue: member(scalar(7, FieldKind.bytes)),
})

const entityRef = new TranscoderMessage('EntityRef')
entityRef.define({
  schemaUrl: string(1),
  type: string(2),
  idKeys: list(string(3)),
  descriptionKeys: list(string(4)),
})
const resource = new TranscoderMessage('Resource')
resource.define({
  attributes: many(1, keyValue),
  droppedAttributesCount: uint32(2),
  entityRefs: many(3, entityRef),
})
const scope = new TranscoderMessage('InstrumentationScope')
scope.define({
  name: string(1),
  version: string(2),
  attributes: many(3, keyValue),
  droppedAttributesCount: uint32(4),
})

const logRecord = new TranscoderMessage('LogRecord')
logRecord.define({
  timeUnixNano: fixed64(1),
  observedTimeUnixNano: fixed64(11),
  severityNumber: enumOf(2, SEVERITY_NAMES),
  severityText: string(3),
  body: one(5, anyValue),
  attributes: many(6, keyValue),
  droppedAttributesCount: uint32(7),
  flags: fixed32(8),
  traceId: hex(9),
  spanId: hex(10),
  eventName: string(12),
})

const event = new TranscoderMessage('Event')
event.define({
  timeUnixNano: fixed64(1),
  name: string(2),
  attributes: many(3, keyValue),
  droppedAttributesCount: uint32(4),
})
const link = new TranscoderMessage('Link')
link.define({
  traceId: hex(1),
  spanId: hex(2),
  traceState: string(3),
  attributes: many(4, keyValue),
  droppedAttributesCount: uint32(5),
  flags: fixed32(6),
})
const status = new TranscoderMessage('Status')
status.define({ message: string(2), code: enumOf(3, STATUS_NAMES) })
const span = new TranscoderMessage('Span')
span.define({
  traceId: hex(1),
  spanId: hex(2),
  traceState: string(3),
  parentSpanId: hex(4),
  flags: fixed32(16),
  name: string(5),
  kind: enumOf(6, KIND_NAMES),
  startTimeUnixNano: fixed64(7),
  endTimeUnixNano: fixed64(8),
  attributes: many(9, keyValue),
  droppedAttributesCount: uint32(10),
  events: many(11, event),
  droppedEventsCount: uint32(12),
  links: many(13, link),
  droppedLinksCount: uint32(14),
  status: one(15, status),
})

const exemplar = new TranscoderMessage('Exemplar')
exemplar.define({
  filteredAttributes: many(7, keyValue),
  timeUnixNano: fixed64(2),
  asDouble: member(double(3)),
  asInt: member(scalar(6, FieldKind.sfixed64)),
  spanId: hex(4),
  traceId: hex(5),
})
const numberPoint = new TranscoderMessage('NumberDataPoint')
numberPoint.define({
  attributes: many(7, keyValue),
  startTimeUnixNano: fixed64(2),
  timeUnixNano: fixed64(3),
  asDouble: member(double(4)),
  asInt: member(scalar(6, FieldKind.sfixed64)),
  exemplars: many(5, exemplar),
  flags: uint32(8),
})
const histogramPoint = new TranscoderMessage('HistogramDataPoint')
histogramPoint.define({
  attributes: many(9, keyValue),
  startTimeUnixNano: fixed64(2),
  timeUnixNano: fixed64(3),
  count: fixed64(4),
  sum: optional(double(5)),
  bucketCounts: list(fixed64(6)),
  explicitBounds: list(double(7)),
  exemplars: many(8, exemplar),
  flags: uint32(10),
  min: optional(double(11)),
  max: optional(double(12)),
})
const buckets = new TranscoderMessage('Buckets')
buckets.define({
  offset: scalar(1, FieldKind.sint32),
  bucketCounts: list(scalar(2, FieldKind.uint64)),
})
const exponentialPoint = new TranscoderMessage('ExponentialHistogramDataPoint')
exponentialPoint.define({
  attributes: many(1, keyValue),
  startTimeUnixNano: fixed64(2),
  timeUnixNano: fixed64(3),
  count: fixed64(4),
  sum: optional(double(5)),
  scale: scalar(6, FieldKind.sint32),
  zeroCount: fixed64(7),
  positive: one(8, buckets),
  negative: one(9, buckets),
  flags: uint32(10),
  exemplars: many(11, exemplar),
  min: optional(double(12)),
  max: optional(double(13)),
  zeroThreshold: double(14),
})
const quantile = new TranscoderMessage('ValueAtQuantile')
quantile.define({ quantile: double(1), value: double(2) })
const summaryPoint = new TranscoderMessage('SummaryDataPoint')
summaryPoint.define({
  attributes: many(7, keyValue),
  startTimeUnixNano: fixed64(2),
  timeUnixNano: fixed64(3),
  count: fixed64(4),
  sum: double(5),
  quantileValues: many(6, quantile),
  flags: uint32(8),
})

function container(
  name: string,
  definitions: Readonly<Record<string, FieldDefinition>>,
): TranscoderMessage {
  const message = new TranscoderMessage(name, true)
  message.define(definitions)
  return message
}

const temporality = { aggregationTemporality: enumOf(2, TEMPORALITY_NAMES) }
const metric = container('Metric', {
  name: string(1),
  description: string(2),
  unit: string(3),
  gauge: member(one(5, container('Gauge', { dataPoints: many(1, numberPoint) }))),
  sum: member(
    one(
      7,
      container('Sum', {
        dataPoints: many(1, numberPoint),
        ...temporality,
        isMonotonic: scalar(3, FieldKind.bool),
      }),
    ),
  ),
  histogram: member(
    one(9, container('Histogram', { dataPoints: many(1, histogramPoint), ...temporality })),
  ),
  exponentialHistogram: member(
    one(
      10,
      container('ExponentialHistogram', { dataPoints: many(1, exponentialPoint), ...temporality }),
    ),
  ),
  summary: member(one(11, container('Summary', { dataPoints: many(1, summaryPoint) }))),
  metadata: many(12, keyValue),
})

function request(
  names: readonly [string, string, string],
  item: TranscoderMessage,
): TranscoderMessage {
  const scopes = container(names[1], {
    scope: one(1, scope),
    [names[2]]: many(2, item),
    schemaUrl: string(3),
  })
  const resources = container(names[0], {
    resource: one(1, resource),
    [names[1]]: many(2, scopes),
    schemaUrl: string(3),
  })
  return container('request', { [names[0]]: many(1, resources) })
}

/** The export request of a signal. */
export const REQUEST_MESSAGES: Readonly<Record<Signal, TranscoderMessage>> = {
  [Signal.logs]: request(['resourceLogs', 'scopeLogs', 'logRecords'], logRecord),
  [Signal.spans]: request(['resourceSpans', 'scopeSpans', 'spans'], span),
  [Signal.metrics]: request(['resourceMetrics', 'scopeMetrics', 'metrics'], metric),
}
