/**
 * An object store in memory for tests and the simulation: one MemoryBucket stands for the service,
 * each process has a MemoryObjectStore of its own on it. It does wrong what such services do wrong, by
 * chance under a seed and in the time of a given clock: refuse, answer late or never, store what the
 * caller has given up, list what was true a moment ago.
 */
import { createHash } from 'node:crypto'

import type { Clock } from '../clock.ts'
import type { FileSystem } from '../file-system.ts'
import type {
  GetOptions,
  ObjectEntry,
  ObjectStore,
  PutOptions,
} from '../object-store/object-store.ts'
import type { SeededRandom } from './seeded-random.ts'
import { AppError } from '../errors.ts'
import { readFully, writeFully } from '../file-system.ts'
import {
  GET_BYTES_MAX,
  checkObjectSize,
  checkSha256,
  objectExists,
  objectMissing,
  probeCreateOnly,
} from '../object-store/object-contract.ts'
import { checkObjectKey } from '../paths.ts'

/** Chances from 0 to 1. */
export interface StoreFaults {
  /** Least and most time of the way there and of the way back, milliseconds. */
  delayMs: readonly [min: number, max: number]
  /** Nothing happens. */
  refusedChance: number
  /** It happens, and the caller hears store_unavailable. */
  lostAnswerChance: number
  /** A put that the caller has given up happens up to this much later. */
  lateChance: number
  lateMsMax: number
  /** A listing leaves out objects younger than `staleMs`. */
  staleListChance: number
  staleMs: number
}

export const HEALTHY_STORE: StoreFaults = {
  delayMs: [1, 1],
  refusedChance: 0,
  lostAnswerChance: 0,
  lateChance: 0,
  lateMsMax: 0,
  staleListChance: 0,
  staleMs: 0,
}

/** A bad day: everything goes wrong now and then. */
export const TROUBLED_STORE: StoreFaults = {
  delayMs: [0, 60],
  refusedChance: 0.05,
  lostAnswerChance: 0.05,
  lateChance: 0.03,
  lateMsMax: 20_000,
  staleListChance: 0.2,
  staleMs: 2000,
}

interface StoredObject {
  readonly bytes: Uint8Array
  readonly modifiedMs: number
}

export class MemoryBucket {
  readonly clock: Clock
  readonly random: SeededRandom
  /** Change at will. */
  readonly faults: StoreFaults
  /** Answers nothing while true: calls fail after a while. */
  isStopped = false
  readonly objects = new Map<string, StoredObject>()

  constructor(clock: Clock, random: SeededRandom, faults: Partial<StoreFaults> = {}) {
    this.clock = clock
    this.random = random
    this.faults = { ...HEALTHY_STORE, ...faults }
  }

  /** @throws AppError object_exists */
  put(key: string, body: Uint8Array, onlyIfAbsent: boolean): void {
    if (onlyIfAbsent && this.objects.has(key)) throw objectExists(key)
    this.objects.set(key, { bytes: body, modifiedMs: this.clock.nowUnixMs() })
  }

  delayMs(): number {
    const [min, max] = this.faults.delayMs
    return min + this.random.below(max - min + 1)
  }
}

/** How long a call to a stopped store takes to fail. */
const STOPPED_MS = 1000

export class MemoryObjectStore implements ObjectStore {
  readonly url = 'memory://bucket'
  readonly #bucket: MemoryBucket
  readonly #clock: Clock
  readonly #fs: FileSystem | undefined

  /**
   * @param clock of the process: where it stands still nothing is sent and no answer heard, while what
   *   was sent may still happen
   * @param fs where the files of `putFile` lie
   */
  constructor(bucket: MemoryBucket, clock: Clock, fs?: FileSystem) {
    this.#bucket = bucket
    this.#clock = clock
    this.#fs = fs
  }

  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<void> {
    checkObjectKey(key)
    checkSha256(key, body, options.sha256)
    const copy = new Uint8Array(body)
    await this.#change(() => {
      this.#bucket.put(key, copy, options.onlyIfAbsent === true)
    })
  }

  async putFile(key: string, path: string, bytes: number, sha256: string): Promise<void> {
    const body = new Uint8Array(bytes)
    const handle = await this.#fs!.open(path, 'read')
    try {
      const read = await readFully(handle, body, 0)
      const actual = createHash('sha256').update(body).digest('hex')
      if (read === bytes && actual === sha256) return await this.put(key, body)
      throw new AppError('object_mismatch', 'file differs from its hash', { details: { key } })
    } finally {
      await handle.close()
    }
  }

  get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    return this.#call(() => {
      const object = this.#bucket.objects.get(key)
      if (object === undefined) throw objectMissing(key)
      const { offset, length } = options.range ?? { offset: 0, length: object.bytes.length }
      const part = object.bytes.slice(offset, offset + length)
      checkObjectSize(key, part.length, options.bytesMax ?? GET_BYTES_MAX)
      return part
    })
  }

  async getToFile(key: string, path: string): Promise<void> {
    const body = await this.get(key, { bytesMax: Infinity })
    await this.#fs!.unlink(path).catch(() => undefined)
    const handle = await this.#fs!.open(path, 'create')
    await writeFully(handle, [body], 0)
    await handle.close()
  }

  head(key: string): Promise<{ bytes: number } | undefined> {
    return this.#call(() => {
      const object = this.#bucket.objects.get(key)
      return object === undefined ? undefined : { bytes: object.bytes.length }
    })
  }

  async *list(prefix: string, startAfter = ''): AsyncGenerator<ObjectEntry> {
    const { objects, clock, random, faults } = this.#bucket
    const entries = await this.#call(() => {
      const isStale = random.chance(faults.staleListChance)
      const newestMs = clock.nowUnixMs() - (isStale ? faults.staleMs : 0)
      return [...objects]
        .filter(([key]) => key.startsWith(prefix) && key > startAfter)
        .filter(([, { modifiedMs }]) => modifiedMs <= newestMs)
        .sort(([left], [right]) => (left < right ? -1 : 1))
        .map(([key, { bytes, modifiedMs }]) => ({
          key,
          bytes: bytes.length,
          lastModifiedMs: modifiedMs,
        }))
    })
    yield* entries
  }

  delete(key: string): Promise<void> {
    return this.#change(() => {
      this.#bucket.objects.delete(key)
    })
  }

  settle(): Promise<void> {
    return this.#call(() => undefined)
  }

  probe(): Promise<void> {
    return probeCreateOnly(this)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** A write: the only calls that can happen after the caller has given up. */
  #change(act: () => void): Promise<void> {
    const { random, faults, clock } = this.#bucket
    if (!random.chance(faults.lateChance)) return this.#call(act)
    clock.after(random.below(faults.lateMsMax + 1), () => {
      try {
        act()
      } catch {
        // refused, and nobody waits for the answer any more
      }
    })
    return this.#call(() => {
      throw unavailable('timeout')
    })
  }

  async #call<Result>(act: () => Result): Promise<Result> {
    const { random, faults } = this.#bucket
    await this.#travel()
    if (this.#bucket.isStopped) {
      await this.#clock.sleep(STOPPED_MS)
      await this.#travel()
      throw unavailable('stopped')
    }
    if (random.chance(faults.refusedChance)) throw unavailable('refused')
    const outcome = resultOf(act)
    await this.#travel()
    if (random.chance(faults.lostAnswerChance)) throw unavailable('answer lost')
    if ('error' in outcome) throw outcome.error
    return outcome.result
  }

  #travel(): Promise<void> {
    return this.#clock.sleep(this.#bucket.delayMs())
  }
}

function resultOf<Result>(
  act: () => Result,
): { readonly result: Result } | { readonly error: AppError } {
  try {
    return { result: act() }
  } catch (error) {
    if (error instanceof AppError) return { error }
    throw error
  }
}

function unavailable(reason: string): AppError {
  return new AppError('store_unavailable', 'object store does not answer', { details: { reason } })
}
