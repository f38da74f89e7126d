/**
 * An object store that counts what is asked of the one behind it: what a provider bills by the request,
 * and how long the store takes. A file that is uploaded in parts counts as one. Startup checks pass
 * uncounted.
 */
import type { Clock } from '../clock.ts'
import { DurationHistogram, type DurationTally } from '../duration-histogram.ts'
import { toAppError } from '../errors.ts'
import { Counter, type Registry } from '../metrics.ts'
import type { GetOptions, ObjectEntry, ObjectStore, PutOptions } from './object-store.ts'

const OPERATIONS = ['put', 'put_file', 'get', 'head', 'list', 'delete'] as const
type Operation = (typeof OPERATIONS)[number]

export interface MeteringParts {
  readonly registry: Registry
  readonly clock: Pick<Clock, 'monotonicMs'>
}

export class MeteredObjectStore implements ObjectStore {
  readonly #store: ObjectStore
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #requests: Counter<'operation' | 'outcome'>
  readonly #putBytes: Counter
  readonly #seconds: Readonly<Record<Operation, DurationTally>>

  constructor(store: ObjectStore, { registry, clock }: MeteringParts) {
    this.#store = store
    this.#clock = clock
    const registers = [registry]
    this.#requests = new Counter({
      name: 'tributary_store_requests_total',
      help: 'Calls to the object store, by outcome: ok or the error code; object_exists and object_missing are answers, not faults',
      labelNames: ['operation', 'outcome'],
      registers,
    })
    this.#putBytes = new Counter({
      name: 'tributary_store_put_bytes_total',
      help: 'Bytes of objects that the store took',
      registers,
    })
    const seconds = new DurationHistogram(registry, {
      name: 'tributary_store_seconds',
      help: 'How long calls to the object store took, with their retries; lists: until the first entry',
      labelNames: ['operation'],
    })
    this.#seconds = Object.fromEntries(
      OPERATIONS.map((operation) => [operation, seconds.tally({ operation })]),
    ) as Record<Operation, DurationTally>
  }

  get url(): string {
    return this.#store.url
  }

  async put(key: string, body: Uint8Array, options?: PutOptions): Promise<void> {
    await this.#metered('put', () => this.#store.put(key, body, options))
    this.#putBytes.inc(body.length)
  }

  async putFile(key: string, path: string, bytes: number, sha256: string): Promise<void> {
    await this.#metered('put_file', () => this.#store.putFile(key, path, bytes, sha256))
    this.#putBytes.inc(bytes)
  }

  get(key: string, options?: GetOptions): Promise<Uint8Array> {
    return this.#metered('get', () => this.#store.get(key, options))
  }

  getToFile(key: string, path: string): Promise<void> {
    return this.#metered('get', () => this.#store.getToFile(key, path))
  }

  head(key: string): Promise<{ bytes: number } | undefined> {
    return this.#metered('head', () => this.#store.head(key))
  }

  async *list(prefix: string, startAfter?: string): AsyncIterable<ObjectEntry> {
    const entries = this.#store.list(prefix, startAfter)[Symbol.asyncIterator]()
    const first = await this.#metered('list', () => entries.next())
    if (first.done === true) return
    yield first.value
    yield* { [Symbol.asyncIterator]: () => entries }
  }

  delete(key: string): Promise<void> {
    return this.#metered('delete', () => this.#store.delete(key))
  }

  settle(prefix: string): Promise<void> {
    return this.#store.settle(prefix)
  }

  probe(): Promise<void> {
    return this.#store.probe()
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  async #metered<Result>(operation: Operation, call: () => Promise<Result>): Promise<Result> {
    const startMs = this.#clock.monotonicMs()
    let outcome = 'ok'
    try {
      return await call()
    } catch (error) {
      outcome = toAppError(error).code
      throw error
    } finally {
      this.#seconds[operation].observe((this.#clock.monotonicMs() - startMs) / 1000)
      this.#requests.inc({ operation, outcome })
    }
  }
}
