/**
 * Requests built before the clock runs. Building them costs more CPU than sending them, so a pool is
 * sent round and round; before each new round ids and times are moved on in place, because a server
 * that removes retries would rightly drop the second copy of an equal chunk, and because rows that
 * repeat would compress as no real ones do.
 *
 * Invariant: a body that is under way is not touched; it comes back by `give`.
 */
import type { SignalName } from '@tributary/common/signal'
import { jsonPayload } from '@tributary/common/testing/json-payload'
import { payload, type PayloadOptions } from '@tributary/common/testing/payloads'

export interface PoolOptions extends PayloadOptions {
  readonly signal: SignalName
  /** Requests in the pool. */
  readonly requests: number
  readonly encoding?: 'protobuf' | 'json'
}

/** A request of the pool: taken, sent, given back. */
export interface PooledRequest {
  readonly body: Buffer
  /** Positions of what changes in every round. */
  readonly marks: Marks
  rounds: number
}

interface Marks {
  /** Every four bytes of trace and span ids; in JSON their first eight hex digits. */
  readonly ids: readonly number[]
  /** Little-endian 64-bit nanoseconds; in JSON their 19 digits. */
  readonly times: readonly number[]
}

/** A payload's call is so much later than the one before it (testing/payloads). */
const CALL_NANOS = 1_000_003
/** Odd, so that all 2^32 multiples differ; its bits are as mixed as those of a random id. */
const ID_STEP = 0x9e37_79b1
/** Nanoseconds since 1970 between 2001 and 2286. */
const TIME_DIGITS = 19

export class PayloadPool {
  readonly #free: PooledRequest[] = []
  readonly #roundNanos: number
  readonly #isJson: boolean
  readonly records: number
  readonly requests: number
  readonly signal: SignalName
  /** Bytes of all requests of the pool. */
  bytes = 0
  #head = 0

  constructor(options: PoolOptions) {
    this.records = options.records
    this.requests = options.requests
    this.signal = options.signal
    this.#isJson = options.encoding === 'json'
    this.#roundNanos = options.requests * CALL_NANOS
    for (let call = 0; call < options.requests; call++) {
      const binary = payload(options.signal, { ...options, call })
      const body = Buffer.from(this.#isJson ? jsonPayload(options.signal, binary) : binary)
      const marks = this.#isJson ? findJsonMarks(body) : MARK_FINDERS[options.signal](body)
      this.#free.push({ body, marks, rounds: 0 })
      this.bytes += body.length
    }
  }

  /** The next request, which differs from all before it; undefined while all are under way. */
  take(): PooledRequest | undefined {
    if (this.#head === this.#free.length) return undefined
    const request = this.#free[this.#head++]!
    // the part before the head is garbage: drop it once per round
    if (this.#head >= this.requests) {
      this.#free.splice(0, this.#head)
      this.#head = 0
    }
    if (request.rounds++ > 0) this.#moveOn(request)
    return request
  }

  /** After its answer: the request may be sent again, changed. */
  give(request: PooledRequest): void {
    this.#free.push(request)
  }

  #moveOn({ body, marks, rounds }: PooledRequest): void {
    if (marks.times.length === 0) throw new Error('pool without times ran out of requests')
    if (this.#isJson) moveJsonOn(body, marks, rounds, this.#roundNanos)
    else moveBinaryOn(body, marks, this.#roundNanos)
  }
}

function moveBinaryOn(body: Buffer, { ids, times }: Marks, nanos: number): void {
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  for (let i = 0; i < ids.length; i++) {
    const at = ids[i]!
    view.setUint32(at, (view.getUint32(at, true) + ID_STEP) | 0, true)
  }
  for (let i = 0; i < times.length; i++) {
    const at = times[i]!
    const low = view.getUint32(at, true) + nanos
    view.setUint32(at, low | 0, true)
    if (low > 0xffff_ffff) view.setUint32(at + 4, view.getUint32(at + 4, true) + 1, true)
  }
}

function moveJsonOn(body: Buffer, { ids, times }: Marks, rounds: number, nanos: number): void {
  const step = Math.imul(rounds, ID_STEP)
  for (const at of ids) {
    const digits = Number.parseInt(body.toString('latin1', at, at + 8), 16)
    body.write(((digits + step) >>> 0).toString(16).padStart(8, '0'), at, 'latin1')
  }
  for (const at of times) {
    const time = BigInt(body.toString('latin1', at, at + TIME_DIGITS)) + BigInt(nanos)
    body.write(String(time), at, 'latin1')
  }
}

/**
 * Log: time (1) is the first field of a record, 09 <8> 10; trace id (9) comes before span id (10),
 * 4a 10 <16> 52 08; observed time (11) after that, 59 <8>.
 */
function findLogMarks(body: Buffer): Marks {
  const ids: number[] = []
  const times: number[] = []
  for (let at = 0; at + 10 < body.length; at++) {
    if (body[at] === 0x09 && body[at + 9] === 0x10 && isTime(body, at + 1)) {
      times.push(at + 1)
      at += 8
    } else if (body[at] === 0x4a && isIdPair(body, at, 0x52)) {
      pushIdPair(ids, at)
      at += 27
      if (body[at + 1] === 0x59) times.push(at + 2)
    }
  }
  return { ids, times }
}

/** Span: 0a 10 <trace id> 12 08 <span id>; its times 39 <8> 41 <8>. */
function findSpanMarks(body: Buffer): Marks {
  const ids: number[] = []
  const times: number[] = []
  for (let at = 0; at + 18 < body.length; at++) {
    if (body[at] === 0x0a && isIdPair(body, at, 0x12)) {
      pushIdPair(ids, at)
      at += 27
    } else if (body[at] === 0x39 && body[at + 9] === 0x41 && isTime(body, at + 1)) {
      times.push(at + 1, at + 10)
      at += 17
    }
  }
  return { ids, times }
}

/** Point: start time (2), then time (3), 11 <8> 19 <8>; the start stays. */
function findPointMarks(body: Buffer): Marks {
  const times: number[] = []
  for (let at = 0; at + 18 < body.length; at++) {
    if (body[at] !== 0x11 || body[at + 9] !== 0x19 || !isTime(body, at + 10)) continue
    times.push(at + 10)
    at += 17
  }
  return { ids: [], times }
}

const MARK_FINDERS: Readonly<Record<SignalName, (body: Buffer) => Marks>> = {
  logs: findLogMarks,
  spans: findSpanMarks,
  metrics: findPointMarks,
}

function findJsonMarks(body: Buffer): Marks {
  const find = (label: string): number[] => {
    const found: number[] = []
    for (let at = body.indexOf(label); at >= 0; at = body.indexOf(label, at + 1)) {
      found.push(at + label.length)
    }
    return found
  }
  return {
    ids: [...find('"traceId":"'), ...find('"spanId":"')],
    times: [...find('imeUnixNano":"')],
  }
}

/** 4a 10 <16> 52 08 <8>, tags aside: six times four bytes. */
function pushIdPair(ids: number[], at: number): void {
  for (const offset of [2, 6, 10, 14, 20, 24]) ids.push(at + offset)
}

function isIdPair(body: Buffer, at: number, next: number): boolean {
  return body[at + 1] === 16 && body[at + 18] === next && body[at + 19] === 8
}

/** The high bytes of nanoseconds between 2001 and 2065. */
function isTime(body: Buffer, at: number): boolean {
  const high = body[at + 7]!
  return high >= 0x0e && high <= 0x29
}
