/**
 * The canonical form of export requests: what "equal" means. Two sets of requests
 * are equal when their forms are: the same multiset of (resource, scope, item) after the data rules.
 *
 * It works on models (otlp-model.ts) with the rules written out again; it uses neither the decoder
 * nor the writer, so it can tell when both are wrong in the same way.
 */
import { LIMITS } from '../limits.ts'
import type { SignalName } from '../signal.ts'
import { exportRequest } from './otlp-messages.ts'
import type { Model, ModelValue } from './otlp-model.ts'
import { decodeModel, doubleOfBits } from './otlp-model.ts'

export interface CanonicalOptions {
  /** Items whose event time (else observed time, on logs) is later are rejected. Default: none. */
  readonly timeMaxUnixNano?: bigint
  readonly stringValueBytesMax?: number
  /** JSON has one NaN only: all NaNs are the same. Default false. */
  readonly hasPlainNan?: boolean
}

export interface CanonicalRequest {
  /** One text per accepted item, sorted. */
  readonly items: string[]
  readonly rejectedItems: number
}

/** The canonical form of requests given as models. */
export function canonicalizeModels(
  signal: SignalName,
  requests: readonly Model[],
  options: CanonicalOptions = {},
): CanonicalRequest {
  const canonicalizer = new Canonicalizer(signal, options)
  for (const request of requests) canonicalizer.addRequest(request)
  return { items: canonicalizer.items.sort(), rejectedItems: canonicalizer.rejectedItems }
}

/** The canonical form of requests given as protobuf bytes. */
export function canonicalizeProtobuf(
  signal: SignalName,
  requests: readonly Uint8Array[],
  options: CanonicalOptions = {},
): CanonicalRequest {
  const { type } = exportRequest(signal)
  const models = requests.map((bytes) => decodeModel(type, bytes))
  return canonicalizeModels(signal, models, options)
}

/** Items of one list that the other lacks, as lines with - and +; empty when both are equal. */
export function compareCanonical(
  expected: readonly string[],
  actual: readonly string[],
): readonly string[] {
  const counts = new Map<string, number>()
  for (const item of expected) counts.set(item, (counts.get(item) ?? 0) + 1)
  for (const item of actual) counts.set(item, (counts.get(item) ?? 0) - 1)
  const lines: string[] = []
  for (const [item, count] of counts) {
    for (let index = 0; index < count; index++) lines.push(`- ${item}`)
    for (let index = 0; index > count; index--) lines.push(`+ ${item}`)
  }
  // both sides of one difference stand beside each other
  return lines.sort((left, right) => (left.slice(2) < right.slice(2) ? -1 : 1))
}

type Fields = Record<string, unknown>

/** Members and how their values are written; a member at its default is left out. */
type Rules = Readonly<Record<string, (value: ModelValue) => unknown>>

class Canonicalizer {
  readonly items: string[] = []
  rejectedItems = 0
  readonly #signal: SignalName
  readonly #timeMaxUnixNano: bigint
  readonly #stringBytesMax: number
  readonly #hasPlainNan: boolean

  constructor(signal: SignalName, options: CanonicalOptions) {
    this.#signal = signal
    this.#timeMaxUnixNano = options.timeMaxUnixNano ?? 2n ** 64n
    this.#stringBytesMax = options.stringValueBytesMax ?? LIMITS.stringValueBytesMax
    this.#hasPlainNan = options.hasPlainNan ?? false
  }

  addRequest(request: Model): void {
    const [groups, scopes, items] = GROUP_MEMBERS[this.#signal]
    for (const group of models(request[groups])) {
      const resource = this.#fields(group, { resource: this.#resource, schemaUrl: this.#text })
      for (const scopeGroup of models(group[scopes])) {
        const scope = this.#fields(scopeGroup, { scope: this.#scope, schemaUrl: this.#text })
        const prefix = `${JSON.stringify(resource)} ${JSON.stringify(scope)}`
        for (const item of models(scopeGroup[items])) this.#addItem(prefix, item)
      }
    }
  }

  #addItem(prefix: string, item: Model): void {
    if (this.#signal === 'metrics') {
      this.#addMetric(prefix, item)
      return
    }
    const isLog = this.#signal === 'logs'
    const time = isLog
      ? (item['timeUnixNano'] as bigint | undefined) || item['observedTimeUnixNano']
      : item['startTimeUnixNano']
    const hasGoodIds =
      isLog ||
      (isId(item['traceId'], 16) && isId(item['spanId'], 8) && !isBadParent(item['parentSpanId']))
    if (!hasGoodIds || this.#isTooNew(time)) this.rejectedItems++
    else this.#push(prefix, isLog ? this.#log(item) : this.#span(item))
  }

  #isTooNew(time: ModelValue | undefined): boolean {
    return ((time as bigint | undefined) ?? 0n) > this.#timeMaxUnixNano
  }

  #push(prefix: string, item: Fields): void {
    this.items.push(`${prefix} ${JSON.stringify(item)}`)
  }

  /** Members in the order of the rules; defaults of proto3 and what a rule calls undefined are absent. */
  #fields(model: Model, rules: Rules): Fields {
    const fields: Fields = {}
    for (const [member, rule] of Object.entries(rules)) {
      const value = model[member]
      if (value === undefined) continue
      const written = rule(value)
      if (!isDefault(written)) fields[member] = written
    }
    return fields
  }

  readonly #text = (value: ModelValue): string => textOf(value)
  readonly #integer = (value: ModelValue): string => `${value as bigint | number}`
  readonly #bool = (value: ModelValue): unknown => (value === true ? true : undefined)
  readonly #optionalDouble = (value: ModelValue): string => this.#doubleText(value as bigint)
  readonly #double = (value: ModelValue): unknown =>
    value === 0n ? undefined : this.#doubleText(value as bigint)

  readonly #resource = (value: ModelValue): Fields =>
    this.#fields(value as Model, {
      attributes: this.#attributes,
      droppedAttributesCount: this.#integer,
      entityRefs: this.#list({
        schemaUrl: this.#text,
        type: this.#text,
        idKeys: (keys) => (keys as ModelValue[]).map(textOf),
        descriptionKeys: (keys) => (keys as ModelValue[]).map(textOf),
      }),
    })

  readonly #scope = (value: ModelValue): Fields =>
    this.#fields(value as Model, {
      name: this.#text,
      version: this.#text,
      attributes: this.#attributes,
      droppedAttributesCount: this.#integer,
    })

  #list(rules: Rules): (value: ModelValue) => unknown {
    return (value) => models(value).map((element) => this.#fields(element, rules))
  }

  #log(item: Model): Fields {
    return this.#fields(item, {
      timeUnixNano: this.#integer,
      observedTimeUnixNano: this.#integer,
      severityNumber: this.#integer,
      severityText: this.#text,
      body: this.#anyValue,
      attributes: this.#attributes,
      droppedAttributesCount: this.#integer,
      flags: this.#integer,
      traceId: (id) => (isId(id, 16) ? hex(id) : undefined),
      spanId: (id) => (isId(id, 8) ? hex(id) : undefined),
      eventName: this.#text,
    })
  }

  #span(item: Model): Fields {
    return this.#fields(item, {
      traceId: hex,
      spanId: hex,
      traceState: this.#text,
      parentSpanId: (id) => (isId(id, 8) ? hex(id) : undefined),
      flags: this.#integer,
      name: this.#text,
      kind: this.#integer,
      startTimeUnixNano: this.#integer,
      endTimeUnixNano: this.#integer,
      attributes: this.#attributes,
      droppedAttributesCount: this.#integer,
      events: this.#list({
        timeUnixNano: this.#integer,
        name: this.#text,
        attributes: this.#attributes,
        droppedAttributesCount: this.#integer,
      }),
      droppedEventsCount: this.#integer,
      links: this.#list({
        traceId: hex,
        spanId: hex,
        traceState: this.#text,
        attributes: this.#attributes,
        droppedAttributesCount: this.#integer,
        flags: this.#integer,
      }),
      droppedLinksCount: this.#integer,
      status: (status) =>
        this.#fields(status as Model, { message: this.#text, code: this.#integer }),
    })
  }

  #addMetric(prefix: string, item: Model): void {
    const type = METRIC_TYPES.find((member) => item[member] !== undefined)
    if (type === undefined) return
    const data = item[type] as Model
    const metric = this.#fields(item, {
      name: this.#text,
      description: this.#text,
      unit: this.#text,
      metadata: this.#attributes,
    })
    const ofType = this.#fields(data, {
      aggregationTemporality: this.#integer,
      isMonotonic: this.#bool,
    })
    for (const point of models(data['dataPoints'])) {
      if (this.#isTooNew(point['timeUnixNano'])) this.rejectedItems++
      else this.#push(prefix, { type, ...metric, ...ofType, point: this.#point(type, point) })
    }
  }

  #point(type: (typeof METRIC_TYPES)[number], point: Model): Fields {
    const isSummary = type === 'summary'
    const optional = isSummary ? this.#double : this.#optionalDouble
    const buckets = (value: ModelValue): unknown => [
      this.#fields(value as Model, { offset: this.#integer, bucketCounts: this.#integers }),
    ]
    return this.#fields(point, {
      attributes: this.#attributes,
      startTimeUnixNano: this.#integer,
      timeUnixNano: this.#integer,
      flags: this.#integer,
      asInt: this.#present,
      asDouble: this.#optionalDouble,
      count: this.#integer,
      sum: optional,
      min: optional,
      max: optional,
      explicitBounds: (bounds) => (bounds as bigint[]).map((bits) => this.#doubleText(bits)),
      bucketCounts: this.#integers,
      scale: this.#integer,
      zeroCount: this.#integer,
      zeroThreshold: this.#double,
      positive: buckets,
      negative: buckets,
      quantileValues: this.#list({ quantile: this.#double, value: this.#double }),
      exemplars: this.#list({
        filteredAttributes: this.#attributes,
        timeUnixNano: this.#integer,
        asInt: this.#present,
        asDouble: this.#optionalDouble,
        traceId: hex,
        spanId: hex,
      }),
    })
  }

  readonly #integers = (values: ModelValue): string[] => (values as bigint[]).map(String)
  /** An integer that differs from an absent one even when it is 0. */
  readonly #present = (value: ModelValue): string => `int ${value as bigint}`

  readonly #attributes = (value: ModelValue): unknown => {
    const entries = new Map<string, unknown>()
    for (const { key = '', value: any = {} } of models(value)) {
      // after the replacement of bad bytes; the last of duplicates counts
      entries.set(textOf(key), this.#anyValue(any))
    }
    if (entries.size === 0) return undefined
    return [...entries].sort(([left], [right]) => (left < right ? -1 : 1))
  }

  readonly #anyValue = (value: ModelValue): unknown => {
    const [member, content] = Object.entries(value as Model)[0] ?? ['none', false]
    switch (member) {
      case 'none':
        return { none: true }
      case 'stringValue':
        return { string: truncate(textOf(content), this.#stringBytesMax) }
      case 'boolValue':
        return { bool: content }
      case 'intValue':
        return { int: `${content as bigint}` }
      case 'doubleValue':
        return { double: this.#doubleText(content as bigint) }
      case 'bytesValue':
        return { bytes: hexText(content as Uint8Array) }
      case 'arrayValue':
        return { array: models((content as Model)['values']).map(this.#anyValue) }
      case 'kvlistValue':
        return { map: this.#attributes((content as Model)['values'] ?? []) ?? [] }
      default:
        throw new Error(`unknown member ${member} of AnyValue`)
    }
  }

  #doubleText(bits: bigint): string {
    const value = doubleOfBits(bits)
    if (this.#hasPlainNan && Number.isNaN(value)) return 'NaN'
    return `${Object.is(value, -0) ? '-0' : value} ${bits.toString(16).padStart(16, '0')}`
  }
}

const GROUP_MEMBERS = {
  logs: ['resourceLogs', 'scopeLogs', 'logRecords'],
  spans: ['resourceSpans', 'scopeSpans', 'spans'],
  metrics: ['resourceMetrics', 'scopeMetrics', 'metrics'],
} as const

const METRIC_TYPES = ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'] as const

function models(value: ModelValue | undefined): readonly Model[] {
  return (value ?? []) as readonly Model[]
}

/** What proto3 can't tell from absent: '', 0, empty lists and, by the data rules, empty messages. */
function isDefault(written: unknown): boolean {
  if (written === undefined || written === '' || written === '0') return true
  if (Array.isArray(written)) return written.length === 0
  return typeof written === 'object' && Object.keys(written as object).length === 0
}

function isId(value: ModelValue | undefined, byteCount: number): boolean {
  return (
    value instanceof Uint8Array && value.length === byteCount && value.some((byte) => byte !== 0)
  )
}

/** A parent that is sent, has a wrong length and is not just zeros. */
function isBadParent(value: ModelValue | undefined): boolean {
  return value instanceof Uint8Array && value.length > 0 && value.length !== 8
}

function hexText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

const hex = (value: ModelValue): string => hexText(value as Uint8Array)

const replacing = new TextDecoder('utf-8', { ignoreBOM: true })

/** Text as it is stored: replacement characters for what is not UTF-8. */
function textOf(value: ModelValue): string {
  return typeof value === 'string' ? value.toWellFormed() : replacing.decode(value as Uint8Array)
}

/** At most `bytesMax` bytes, cut between characters. */
function truncate(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= bytesMax) return text
  let end = bytesMax
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}
