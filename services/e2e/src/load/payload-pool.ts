/**
 * Requests built before the clock runs. Building them costs more CPU than sending them, so a pool is
 * sent round and round; before each new round ids and times are moved on in place, because a server
 * that removes retries would rightly drop the second copy of an equal chunk, and because rows that
 * repeat would compress as no real ones do.
 *
 * Where more resources exist than the pool holds, each round brings its next ones.
 *
 * Invariant: a body that is under way is not touched; it comes back by `give`.
 */
import type { SignalName } from '@tributary/common/signal'
import { jsonPayload } from '@tributary/common/testing/json-payload'
import { payload, type PayloadOptions } from '@tributary/common/testing/payloads'
import { POD_DIGITS, podMarks, protobufMarks, type Marks } from './payload-marks.ts'

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
  /** Of the pods that move on as well; empty where the pool holds all resources. */
  readonly pods: readonly number[]
  rounds: number
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
  /** Resources of one round, and those that exist. */
  readonly #resources: number
  readonly #resourcesInAll: number
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
    const { resources = 1, resourcesInAll = resources } = options
    this.#resources = resources * options.requests
    this.#resourcesInAll = resourcesInAll
    const movesPods = this.#resources < resourcesInAll
    if (movesPods && this.#isJson) throw new Error('JSON pools hold all of their resources')
    if (movesPods && resourcesInAll % this.#resources !== 0) {
      throw new Error('rounds of a pool must come out even with all resources')
    }
    for (let call = 0; call < options.requests; call++) {
      const binary = payload(options.signal, { ...options, call })
      const body = Buffer.from(this.#isJson ? jsonPayload(options.signal, binary) : binary)
      const marks = this.#isJson ? findJsonMarks(body) : protobufMarks(options.signal, body)
      this.#free.push({ body, marks, pods: movesPods ? podMarks(body) : [], rounds: 0 })
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

  #moveOn({ body, marks, pods, rounds }: PooledRequest): void {
    if (marks.times.length === 0) throw new Error('pool without times ran out of requests')
    if (this.#isJson) moveJsonOn(body, marks, rounds, this.#roundNanos)
    else moveBinaryOn(body, marks, this.#roundNanos)
    for (const at of pods) {
      const pod = Number.parseInt(body.toString('latin1', at, at + POD_DIGITS), 16)
      const next = (pod + this.#resources) % this.#resourcesInAll
      body.write(next.toString(16).padStart(POD_DIGITS, '0'), at, 'latin1')
    }
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
