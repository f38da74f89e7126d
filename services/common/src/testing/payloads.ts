/**
 * The standard loads of benches and load clients: seeded export requests of all signals, encoded
 * straight to protobuf. Logs take about 347 bytes per record: 8 attributes of mixed cardinality,
 * trace and span ids, under resources of 7 attributes. The same options give the same bytes; another
 * `call` gives other ids, times and values, so that no two requests hold an equal chunk.
 */
import { ProtobufWriter } from '../otlp/protobuf-writer.ts'
import type { SignalName } from '../signal.ts'
import { SeededRandom } from './seeded-random.ts'

export interface PayloadOptions {
  /** Items of the request: log records, spans or data points. */
  readonly records: number
  /** Resources that the items are spread over, in one Resource* message each. Default 1. */
  readonly resources?: number
  /** Resources that exist: calls go round among them. Default: `resources`. */
  readonly resourcesInAll?: number
  /** Bytes that the body of a log (the name of a span's attribute) is filled up to. Default none. */
  readonly bodyBytesMin?: number
  /** Instead of the 8 attributes: 4 of so many keys, drawn per item. */
  readonly sparseKeys?: number
  /** Distinct values of the attributes of high cardinality. Default: unbounded. */
  readonly cardinality?: number
  readonly seed?: number
  /** Number of the request in a run. */
  readonly call?: number
  /** Time of the first item, nanoseconds since 1970; later ones follow at 1 ms and some. */
  readonly startUnixNano?: bigint
}

const START_UNIX_NANO = 1_767_225_600_000_000_000n
const METHODS = ['GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE']
const STATUS_CODES = [200, 200, 200, 200, 201, 204, 301, 404, 500, 503]
const SEVERITIES: readonly [number, string][] = [
  [9, 'INFO'],
  [9, 'INFO'],
  [9, 'INFO'],
  [5, 'DEBUG'],
  [13, 'WARN'],
  [17, 'ERROR'],
]
const ROUTES = ['/api/v1/users/{id}', '/api/v1/orders', '/api/v1/cart/{id}/items', '/healthz']
const WORDS = ['request', 'completed', 'upstream', 'timeout', 'cache', 'miss', 'retry', 'payment']

/** The request of `options` as protobuf bytes. */
export function payload(signal: SignalName, options: PayloadOptions): Uint8Array {
  return new PayloadEncoder(signal, options).request()
}

class PayloadEncoder {
  readonly #signal: SignalName
  readonly #options: PayloadOptions
  readonly #random: SeededRandom
  readonly #startUnixNano: bigint
  #item = 0

  constructor(signal: SignalName, options: PayloadOptions) {
    this.#signal = signal
    this.#options = options
    const { seed = 1, call = 0, startUnixNano = START_UNIX_NANO } = options
    this.#random = new SeededRandom((seed * 0x9e37_79b1 + call * 0x85eb_ca6b) >>> 0)
    this.#startUnixNano = startUnixNano + BigInt(call) * 1_000_003n
  }

  request(): Uint8Array {
    const { records, resources = 1, resourcesInAll = resources, call = 0 } = this.#options
    const request = new ProtobufWriter()
    for (let i = 0; i < resources; i++) {
      const count =
        Math.floor((records * (i + 1)) / resources) - Math.floor((records * i) / resources)
      if (count === 0) continue
      const part = new ProtobufWriter()
      part.bytesField(1, this.#resource((call * resources + i) % resourcesInAll))
      part.bytesField(2, this.#scope(count))
      request.bytesField(1, part.written)
    }
    return request.take()
  }

  #resource(index: number): Uint8Array {
    const resource = new ProtobufWriter()
    addString(resource, 1, 'service.name', `service-${index % 1000}`)
    addString(resource, 1, 'service.namespace', 'shop')
    addString(resource, 1, 'service.version', `1.${index % 7}.3`)
    addString(resource, 1, 'k8s.pod.name', `service-${index % 1000}-7d4b9c6f5-${hex(index, 5)}`)
    addString(resource, 1, 'k8s.namespace.name', 'production')
    addString(resource, 1, 'host.name', `ip-10-0-${(index >> 8) & 255}-${index & 255}`)
    addString(resource, 1, 'cloud.region', 'eu-central-1')
    return resource.written
  }

  #scope(count: number): Uint8Array {
    const part = new ProtobufWriter()
    const scope = new ProtobufWriter()
    scope.bytesField(1, text('tributary.payloads'))
    scope.bytesField(2, text('1.0.0'))
    part.bytesField(1, scope.written)
    if (this.#signal === 'metrics') {
      this.#metrics(part, count)
      return part.written
    }
    for (let i = 0; i < count; i++) {
      part.bytesField(2, this.#signal === 'logs' ? this.#logRecord() : this.#span())
    }
    return part.written
  }

  #logRecord(): Uint8Array {
    const random = this.#random
    const time = this.#nextTime()
    const [severityNumber, severityText] = random.pick(SEVERITIES)
    const record = new ProtobufWriter()
    addFixed64(record, 1, time)
    record.tag(2, 0)
    record.varint(severityNumber)
    record.bytesField(3, text(severityText))
    const body = new ProtobufWriter()
    body.bytesField(1, text(this.#body()))
    record.bytesField(5, body.written)
    this.#attributes(record, 6)
    record.bytesField(9, this.#id(16))
    record.bytesField(10, this.#id(8))
    addFixed64(record, 11, time + 1_000_000n)
    return record.written
  }

  #span(): Uint8Array {
    const random = this.#random
    const start = this.#nextTime()
    const span = new ProtobufWriter()
    span.bytesField(1, this.#id(16))
    span.bytesField(2, this.#id(8))
    if (random.chance(0.8)) span.bytesField(4, this.#id(8))
    span.bytesField(5, text(`${random.pick(METHODS)} ${random.pick(ROUTES)}`))
    span.tag(6, 0)
    span.varint(random.pick([1, 2, 3]))
    addFixed64(span, 7, start)
    addFixed64(span, 8, start + BigInt(random.below(50_000_000)))
    this.#attributes(span, 9)
    if (random.chance(0.3)) {
      const event = new ProtobufWriter()
      addFixed64(event, 1, start + 1000n)
      event.bytesField(2, text('exception'))
      addString(event, 3, 'exception.type', 'java.io.IOException')
      addString(event, 3, 'exception.message', `connection ${random.below(1000)} reset`)
      span.bytesField(11, event.written)
    }
    if (random.chance(0.1)) span.bytesField(15, Uint8Array.of(0x18, 2))
    return span.written
  }

  /** Gauges, sums and histograms of 10 points each. */
  #metrics(part: ProtobufWriter, count: number): void {
    for (let first = 0, index = 0; first < count; first += 10, index++) {
      const metric = new ProtobufWriter()
      metric.bytesField(1, text(`http.server.metric_${index % 50}`))
      metric.bytesField(2, text('A metric of the standard payload'))
      metric.bytesField(3, text(index % 3 === 2 ? 's' : '{request}'))
      const data = new ProtobufWriter()
      for (let i = first; i < Math.min(count, first + 10); i++) {
        data.bytesField(1, index % 3 === 2 ? this.#histogramPoint() : this.#numberPoint())
      }
      if (index % 3 > 0) data.raw(Uint8Array.of(0x10, 2))
      if (index % 3 === 1) data.raw(Uint8Array.of(0x18, 1))
      metric.bytesField([5, 7, 9][index % 3]!, data.written)
      part.bytesField(2, metric.written)
    }
  }

  #numberPoint(): Uint8Array {
    const random = this.#random
    const point = new ProtobufWriter()
    const time = this.#nextTime()
    addFixed64(point, 2, this.#startUnixNano)
    addFixed64(point, 3, time)
    if (random.chance(0.5)) addDouble(point, 4, random.below(100_000) / 1000)
    else addFixed64(point, 6, BigInt(random.below(1_000_000)))
    this.#labels(point, 7)
    return point.written
  }

  #histogramPoint(): Uint8Array {
    const random = this.#random
    const point = new ProtobufWriter()
    const time = this.#nextTime()
    const counts = Array.from({ length: 11 }, () => random.below(100))
    addFixed64(point, 2, this.#startUnixNano)
    addFixed64(point, 3, time)
    addFixed64(point, 4, BigInt(counts.reduce((sum, value) => sum + value, 0)))
    addDouble(point, 5, random.below(1_000_000) / 1000)
    const packed = new ProtobufWriter()
    for (const value of counts) {
      packed.fixed32(value)
      packed.fixed32(0)
    }
    point.bytesField(6, packed.written)
    const bounds = new Float64Array([1, 5, 10, 25, 50, 75, 100, 250, 500, 1000])
    point.bytesField(7, new Uint8Array(bounds.buffer))
    this.#labels(point, 9)
    return point.written
  }

  #labels(item: ProtobufWriter, field: number): void {
    const random = this.#random
    if (this.#options.sparseKeys !== undefined) {
      this.#attributes(item, field)
      return
    }
    addString(item, field, 'http.request.method', random.pick(METHODS))
    addString(item, field, 'http.route', random.pick(ROUTES))
    addInt(item, field, 'http.response.status_code', random.pick(STATUS_CODES))
    addString(item, field, 'instance', `instance-${this.#draw(200)}`)
  }

  #attributes(item: ProtobufWriter, field: number): void {
    const random = this.#random
    const { sparseKeys } = this.#options
    if (sparseKeys !== undefined) {
      const first = random.below(sparseKeys)
      for (let i = 0; i < 4; i++) {
        const key = `sparse.key.${(first + i * 7) % sparseKeys}`
        addString(item, field, key, `value-${this.#draw(1000)}`)
      }
      return
    }
    addString(item, field, 'http.method', random.pick(METHODS))
    addString(item, field, 'http.route', random.pick(ROUTES))
    addInt(item, field, 'http.status_code', random.pick(STATUS_CODES))
    addInt(item, field, 'duration_us', random.below(2_000_000))
    addString(item, field, 'user.id', `u-${this.#draw(100_000)}`)
    addString(item, field, 'thread', `worker-${random.below(16)}`)
    addDouble(item, field, 'ratio', random.below(1000) / 1000)
    addBool(item, field, 'cache.hit', random.chance(0.5))
  }

  #body(): string {
    const random = this.#random
    const { bodyBytesMin = 0 } = this.#options
    const words = `${random.pick(WORDS)} ${random.pick(WORDS)} ${random.pick(WORDS)}`
    let body = `${words} id=${this.#draw(1_000_000)} took ${random.below(5000)} ms`
    while (body.length < bodyBytesMin) body += ` ${random.pick(WORDS)}=${random.uint32()}`
    return body
  }

  #draw(end: number): number {
    return this.#random.below(Math.min(end, this.#options.cardinality ?? end))
  }

  #id(bytes: number): Uint8Array {
    const id = new Uint8Array(bytes)
    for (let i = 0; i < bytes; i++) id[i] = this.#random.below(256)
    id[0]! |= 1
    return id
  }

  #nextTime(): bigint {
    this.#item += 1
    return this.#startUnixNano + BigInt(this.#item) * 1_000_211n
  }
}

function text(value: string): Uint8Array {
  return Buffer.from(value, 'utf8')
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}

function addKeyValue(
  item: ProtobufWriter,
  field: number,
  key: string,
  value: ProtobufWriter,
): void {
  const pair = new ProtobufWriter()
  pair.bytesField(1, text(key))
  pair.bytesField(2, value.written)
  item.bytesField(field, pair.written)
}

function addString(item: ProtobufWriter, field: number, key: string, value: string): void {
  const any = new ProtobufWriter()
  any.bytesField(1, text(value))
  addKeyValue(item, field, key, any)
}

function addInt(item: ProtobufWriter, field: number, key: string, value: number): void {
  const any = new ProtobufWriter()
  any.tag(3, 0)
  any.varint(value)
  addKeyValue(item, field, key, any)
}

function addBool(item: ProtobufWriter, field: number, key: string, value: boolean): void {
  const any = new ProtobufWriter()
  any.tag(2, 0)
  any.byte(value ? 1 : 0)
  addKeyValue(item, field, key, any)
}

function addFixed64(item: ProtobufWriter, field: number, value: bigint): void {
  item.tag(field, 1)
  item.fixed32(Number(value & 0xffffffffn))
  item.fixed32(Number(value >> 32n))
}

const doubleView = new DataView(new ArrayBuffer(8))

/** A double as a field of `item` or, with a key, as an attribute. */
function addDouble(
  item: ProtobufWriter,
  field: number,
  ...rest: [number] | [string, number]
): void {
  if (rest.length === 2) {
    const any = new ProtobufWriter()
    addDouble(any, 4, rest[1])
    addKeyValue(item, field, rest[0], any)
    return
  }
  doubleView.setFloat64(0, rest[0], true)
  item.tag(field, 1)
  item.fixed32(doubleView.getUint32(0, true))
  item.fixed32(doubleView.getUint32(4, true))
}
