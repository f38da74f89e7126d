/**
 * Which presented keys are good: what the key store said lately, so that a call is checked without
 * asking it. Invariants: a yes is never older than `freshMs` while the store answers, and never
 * older than `staleMaxMs` at all; a no is only given when the store, or the key's own checksum, said
 * so; what nobody can say is `credentials_unavailable`, which clients retry.
 *
 *   live      presented text -> record     asked again every `refreshMs`, all of them in few questions
 *   refused   presented text -> until when  a client with a wrong key does not reach the store each time
 *   pending   id -> question               calls with one unknown key share a question
 *
 * The maps hold presented texts, so that the usual check is one look-up and no hash. They are bounded
 * and give up their oldest entry; the store is asked again for it.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import type { Logger } from '@tributary/common/logger'
import { isHashOf, parseApiKey, type ApiKey } from '@tributary/common/tenants/api-key'
import { standingOf, type KeyRecord } from '@tributary/common/tenants/key-record'
import {
  KEYS_PER_QUESTION_MAX,
  type FoundKeys,
  type KeyStore,
} from '@tributary/common/tenants/key-store'
import { setImmediate as nextTurn } from 'node:timers/promises'

export interface KeyCacheOptions {
  readonly store: KeyStore
  readonly clock: Clock
  readonly logger: Logger
  /** How long a yes stands while the store can not be reached. */
  readonly staleMaxMs: number
  /** Overrides of KEY_CACHE_LIMITS. */
  readonly limits?: Partial<KeyCacheLimits>
}

export interface KeyCacheLimits {
  readonly refreshMs: number
  /** A yes of this age is not believed while the store answers: four refreshes and a slow answer. */
  readonly freshMs: number
  readonly refusedMs: number
  readonly liveMax: number
  readonly refusedMax: number
  /** Unknown keys that may be asked for at once; a flood of them must not reach the store. */
  readonly pendingMax: number
}

/** Revoked keys stop within 30 s: a refresh each 5 s, and 20 s until an old yes is dropped. */
export const KEY_CACHE_LIMITS: KeyCacheLimits = {
  refreshMs: 5000,
  freshMs: 20_000,
  refusedMs: 5000,
  liveMax: 10_000,
  refusedMax: 10_000,
  pendingMax: 1000,
}

/** A key that was good when it was presented; looked at again before a slow body is stored. */
export interface Credential {
  /** A tenant's name, or ANY_TENANT. */
  readonly tenant: string
  readonly isRevoked: boolean
}

interface LiveKey {
  tenant: string
  isRevoked: boolean
  record: KeyRecord
  readonly key: ApiKey
  expiresUnixMs: number
  checkedAtMs: number
  /** The store has no record of it any more, and did not revoke it. */
  isLost: boolean
}

export class KeyCache {
  readonly #options: KeyCacheOptions
  readonly #limits: KeyCacheLimits
  readonly #live = new Map<string, LiveKey>()
  readonly #refused = new Map<string, number>()
  readonly #pending = new Map<string, Promise<Found>>()
  #asking: { readonly ids: Set<string>; readonly answer: Promise<Answer> } | undefined
  #timer: Timer | undefined
  #refreshing: Promise<void> | undefined
  #isStoreAway = false

  constructor(options: KeyCacheOptions) {
    this.#options = options
    this.#limits = { ...KEY_CACHE_LIMITS, ...options.limits }
  }

  /** The last question to the store had no answer. */
  get isStoreAway(): boolean {
    return this.#isStoreAway
  }

  /** Keys in use that a store which keeps revoked ones does not have any more: it lost them. */
  get lostRecords(): number {
    let count = 0
    for (const { isLost } of this.#live.values()) if (isLost) count++
    return count
  }

  get size(): number {
    return this.#live.size
  }

  start(): void {
    this.#timer = this.#options.clock.every(this.#limits.refreshMs, () => {
      this.#refreshing ??= this.refresh().finally(() => {
        this.#refreshing = undefined
      })
    })
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#refreshing
  }

  /**
   * Says whose key a text is: at once where it is known, else after asking the store.
   * @throws AppError unauthenticated when it is certain; credentials_unavailable when nobody can say
   */
  check(text: string): Credential | Promise<Credential> {
    const { clock, staleMaxMs } = this.#options
    const nowMs = clock.monotonicMs()
    const known = this.#live.get(text)
    if (known !== undefined) {
      if (known.expiresUnixMs <= clock.nowUnixMs()) throw this.#refuse(text, 'expired')
      const believedMs = this.#isStoreAway || known.isLost ? staleMaxMs : this.#limits.freshMs
      if (nowMs - known.checkedAtMs <= believedMs) return known
      return this.#ask(known.key, known)
    }
    const refusedUntilMs = this.#refused.get(text)
    if (refusedUntilMs !== undefined && nowMs < refusedUntilMs) throw unauthenticated('unknown')
    const key = parseApiKey(text)
    if (key === undefined) throw unauthenticated('malformed')
    return this.#ask(key, undefined)
  }

  /** Asks the store about every key in use; never throws. */
  async refresh(): Promise<void> {
    for (const [text, untilMs] of this.#refused) {
      if (untilMs <= this.#options.clock.monotonicMs()) this.#refused.delete(text)
    }
    const keys = [...this.#live.values()]
    for (let start = 0; start < keys.length; start += KEYS_PER_QUESTION_MAX) {
      const some = keys.slice(start, start + KEYS_PER_QUESTION_MAX)
      const askedAtMs = this.#options.clock.monotonicMs()
      const answer = await this.#question(some.map(({ key }) => key.id))
      if (answer === undefined) return
      for (const live of some) {
        const found = foundIn(answer, live.key.id)
        if (found !== undefined) this.#judge(live, found.record, askedAtMs)
      }
    }
  }

  async #ask(key: ApiKey, known: LiveKey | undefined): Promise<Credential> {
    const askedAtMs = this.#options.clock.monotonicMs()
    const answer = await this.#recordOf(key.id)
    if (answer === undefined) {
      const ageMs = askedAtMs - (known?.checkedAtMs ?? -Infinity)
      if (known !== undefined && ageMs <= this.#options.staleMaxMs) return known
      throw unavailable('key store can not be asked')
    }
    if (known !== undefined) {
      this.#judge(known, answer.record, askedAtMs)
      if (known.isRevoked) throw unauthenticated('revoked')
      return known
    }
    const { record } = answer
    if (record === undefined || !isHashOf(record.hash, key)) throw this.#refuse(key.text, 'unknown')
    const standing = standingOf(record, this.#options.clock.nowUnixMs())
    if (standing !== 'live') throw this.#refuse(key.text, standing)
    const found = this.#live.get(key.text) ?? this.#remember(key, record)
    found.checkedAtMs = Math.max(found.checkedAtMs, askedAtMs)
    return found
  }

  /** What the store says of an id, asked together with others of this turn; undefined: nothing. */
  #recordOf(id: string): Promise<Found> {
    const asked = this.#pending.get(id)
    if (asked !== undefined) return asked
    if (this.#pending.size >= this.#limits.pendingMax) throw unavailable('too many unknown keys')
    const question = this.#together(id).then((answer) => {
      this.#pending.delete(id)
      return answer === undefined ? undefined : foundIn(answer, id)
    })
    this.#pending.set(id, question)
    return question
  }

  #together(id: string): Promise<Answer> {
    if (this.#asking === undefined || this.#asking.ids.size >= KEYS_PER_QUESTION_MAX) {
      const ids = new Set<string>()
      this.#asking = { ids, answer: this.#askNextTurn(ids) }
    }
    this.#asking.ids.add(id)
    return this.#asking.answer
  }

  async #askNextTurn(ids: Set<string>): Promise<Answer> {
    await nextTurn()
    if (this.#asking?.ids === ids) this.#asking = undefined
    return this.#question([...ids])
  }

  /** What the store says; undefined where it does not, which is logged when it begins and ends. */
  async #question(ids: readonly string[]): Promise<Answer> {
    const { store, logger } = this.#options
    try {
      const answer = await store.find(ids)
      if (this.#isStoreAway) logger.info('key store answers again')
      this.#isStoreAway = false
      return answer
    } catch (error) {
      if (!this.#isStoreAway) {
        logger.error(
          { err: error },
          'key store does not answer: keys in use are believed for a while',
        )
      }
      this.#isStoreAway = true
      return undefined
    }
  }

  #judge(live: LiveKey, record: KeyRecord | undefined, askedAtMs: number): void {
    live.isLost = record === undefined && !this.#options.store.absenceRevokes
    if (live.isLost && askedAtMs - live.checkedAtMs <= this.#options.staleMaxMs) return
    const isLive =
      record?.hash === live.record.hash &&
      standingOf(record, this.#options.clock.nowUnixMs()) === 'live'
    if (!isLive) {
      live.isRevoked = true
      this.#live.delete(live.key.text)
      return
    }
    live.record = record
    live.tenant = record.tenant
    live.expiresUnixMs = expiryOf(record)
    live.checkedAtMs = Math.max(live.checkedAtMs, askedAtMs)
  }

  #remember(key: ApiKey, record: KeyRecord): LiveKey {
    const live: LiveKey = {
      tenant: record.tenant,
      isRevoked: false,
      record,
      key,
      expiresUnixMs: expiryOf(record),
      checkedAtMs: -Infinity,
      isLost: false,
    }
    makeRoom(this.#live, this.#limits.liveMax)
    this.#live.set(key.text, live)
    return live
  }

  #refuse(text: string, reason: string): AppError {
    this.#live.delete(text)
    makeRoom(this.#refused, this.#limits.refusedMax)
    this.#refused.set(text, this.#options.clock.monotonicMs() + this.#limits.refusedMs)
    return unauthenticated(reason)
  }
}

/** Undefined: no answer. */
type Answer = FoundKeys | undefined
type Found = { readonly record: KeyRecord | undefined } | undefined

/** A record that is there and not understood is no answer: it is neither a yes nor a no. */
function foundIn(answer: FoundKeys, id: string): Found {
  const record = answer.get(id)
  return record === undefined && answer.has(id) ? undefined : { record }
}

function expiryOf({ expiresAt }: KeyRecord): number {
  return expiresAt === undefined ? Infinity : Date.parse(expiresAt)
}

/** Gives up the oldest entry of a full map. */
function makeRoom(map: Map<string, unknown>, sizeMax: number): void {
  if (map.size < sizeMax) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}

/** Says nothing that helps to guess: an unknown key and a wrong secret are the same to a client. */
function unauthenticated(reason: string): AppError {
  const message =
    reason === 'malformed'
      ? 'text is no API key: its form or checksum is wrong'
      : `API key is ${reason}`
  return new AppError('unauthenticated', message)
}

function unavailable(message: string): AppError {
  return new AppError('credentials_unavailable', message)
}
