/**
 * The JavaScript route from OTLP to columns, as anyone would write it: protobufjs decodes a request
 * to objects, and every item becomes a value per column, nested parts as JSON text. What our decode
 * and flush are compared with; it keeps fewer promises (no limits, no UTF-8 check, no sorting).
 */
import type { SignalName } from '../src/signal.ts'
import { exportRequest } from '../src/testing/otlp-messages.ts'
import type { RivalColumn, RivalType } from './rival-writers.ts'

type Value = string | number | bigint | boolean | null

interface AnyValue {
  readonly stringValue?: string
  readonly intValue?: unknown
  readonly doubleValue?: number
  readonly boolValue?: boolean
}

interface KeyValue {
  readonly key: string
  readonly value?: AnyValue
}

type Message = Readonly<Record<string, unknown>>

/** Text columns that hold a value of its own per row: no dictionary for them. */
const PLAIN_TEXT = new Set(['body', 'trace_id', 'span_id', 'parent_span_id'])

interface GrowingColumn extends RivalColumn {
  readonly rows: Value[]
}

export class RivalRows {
  readonly #columns = new Map<string, GrowingColumn>()
  rowCount = 0

  /** Adds all items of a request. */
  addRequest(signal: SignalName, body: Uint8Array): void {
    this.addMessage(signal, exportRequest(signal).type.decode(body))
  }

  /** All items of a request that was decoded, by protobufjs or by JSON.parse. */
  addMessage(signal: SignalName, request: Message): void {
    const [groups, scopes, items] = PARTS[signal]
    for (const group of listOf(request, groups)) {
      const resource = (group['resource'] ?? {}) as Message
      for (const scopeGroup of listOf(group, scopes)) {
        const scope = (scopeGroup['scope'] ?? {}) as Message
        for (const item of listOf(scopeGroup, items)) this.#addItem(signal, resource, scope, item)
      }
    }
  }

  /** All columns, filled up with nulls. */
  finish(): RivalColumn[] {
    for (const column of this.#columns.values()) this.#fillUp(column)
    return [...this.#columns.values()]
  }

  #addItem(signal: SignalName, resource: Message, scope: Message, item: Message): void {
    switch (signal) {
      case 'logs':
        this.#logRecord(item)
        this.#endRow(resource, scope, item)
        break
      case 'spans':
        this.#span(item)
        this.#endRow(resource, scope, item)
        break
      case 'metrics':
        for (const [kind, field] of POINT_KINDS) {
          const data = item[field] as Message | undefined | null
          if (data === undefined || data === null) continue
          for (const point of listOf(data, 'dataPoints')) {
            this.#point(item, kind, point)
            this.#endRow(resource, scope, point)
          }
        }
        break
    }
  }

  #logRecord(record: Message): void {
    this.#set('timestamp', 'int64', bigintOf(record['timeUnixNano']))
    this.#set('observed_timestamp', 'int64', bigintOf(record['observedTimeUnixNano']))
    this.#set('severity_number', 'int32', record['severityNumber'] as number)
    this.#set('severity_text', 'dictionary', record['severityText'] as string)
    this.#set('body', 'text', (record['body'] as AnyValue | undefined)?.stringValue ?? null)
    this.#set('trace_id', 'text', hexOf(record['traceId']))
    this.#set('span_id', 'text', hexOf(record['spanId']))
  }

  #span(span: Message): void {
    const start = bigintOf(span['startTimeUnixNano'])
    this.#set('timestamp', 'int64', start)
    this.#set('duration_nanos', 'int64', bigintOf(span['endTimeUnixNano']) - start)
    this.#set('trace_id', 'text', hexOf(span['traceId']))
    this.#set('span_id', 'text', hexOf(span['spanId']))
    this.#set('parent_span_id', 'text', hexOf(span['parentSpanId']))
    this.#set('name', 'dictionary', span['name'] as string)
    this.#set('kind', 'int32', span['kind'] as number)
    this.#set('status', 'dictionary', JSON.stringify(span['status'] ?? null))
    const events = listOf(span, 'events')
    if (events.length > 0) this.#set('events', 'text', JSON.stringify(events))
  }

  #point(metric: Message, kind: string, point: Message): void {
    this.#set('metric_name', 'dictionary', metric['name'] as string)
    this.#set('unit', 'dictionary', metric['unit'] as string)
    this.#set('kind', 'dictionary', kind)
    this.#set('timestamp', 'int64', bigintOf(point['timeUnixNano']))
    this.#set('start_timestamp', 'int64', bigintOf(point['startTimeUnixNano']))
    if (kind === 'histogram') {
      this.#set('count', 'int64', bigintOf(point['count']))
      this.#set('sum', 'double', point['sum'] as number)
      const counts = point['bucketCounts'] as readonly unknown[]
      this.#set('bucket_counts', 'text', `[${counts.map(String).join()}]`)
      this.#set('explicit_bounds', 'dictionary', JSON.stringify(point['explicitBounds']))
    } else {
      const value = point['asDouble'] ?? Number(bigintOf(point['asInt']))
      this.#set('value', 'double', value as number)
    }
  }

  #endRow(resource: Message, scope: Message, item: Message): void {
    this.#set('scope_name', 'dictionary', (scope['name'] as string | undefined) ?? null)
    this.#attributes('resource.', resource)
    this.#attributes('attributes.', item)
    this.rowCount++
  }

  #attributes(prefix: string, owner: Message): void {
    for (const { key, value } of listOf(owner, 'attributes') as unknown as KeyValue[]) {
      const name = prefix + key
      if (value === undefined) continue
      if (Object.hasOwn(value, 'intValue')) this.#set(name, 'int64', bigintOf(value.intValue))
      else if (Object.hasOwn(value, 'doubleValue')) this.#set(name, 'double', value.doubleValue!)
      else if (Object.hasOwn(value, 'boolValue')) this.#set(name, 'boolean', value.boolValue!)
      else this.#set(name, 'dictionary', value.stringValue ?? null)
    }
  }

  #set(name: string, type: RivalType, value: Value): void {
    let column = this.#columns.get(name)
    if (column === undefined) {
      column = { name, type: PLAIN_TEXT.has(name) ? 'text' : type, rows: [] }
      this.#columns.set(name, column)
    }
    this.#fillUp(column)
    column.rows.push(value)
  }

  #fillUp({ rows }: GrowingColumn): void {
    while (rows.length < this.rowCount) rows.push(null)
  }
}

const PARTS: Readonly<Record<SignalName, readonly [string, string, string]>> = {
  logs: ['resourceLogs', 'scopeLogs', 'logRecords'],
  spans: ['resourceSpans', 'scopeSpans', 'spans'],
  metrics: ['resourceMetrics', 'scopeMetrics', 'metrics'],
}

const POINT_KINDS = [
  ['gauge', 'gauge'],
  ['sum', 'sum'],
  ['histogram', 'histogram'],
] as const

function listOf(message: Message, field: string): readonly Message[] {
  return (message[field] as readonly Message[] | undefined | null) ?? []
}

/** protobufjs gives Long objects where that package is installed, else numbers. */
function bigintOf(value: unknown): bigint {
  if (typeof value === 'object' && value !== null && 'low' in value && 'high' in value) {
    const { low, high } = value as { low: number; high: number }
    return (BigInt(high) << 32n) | BigInt(low >>> 0)
  }
  return typeof value === 'string' ? BigInt(value) : BigInt(Math.round(Number(value ?? 0)))
}

function hexOf(bytes: unknown): string | null {
  if (typeof bytes === 'string') return bytes
  if (!(bytes instanceof Uint8Array) || bytes.length === 0) return null
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}
