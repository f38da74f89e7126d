import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { generateApiKey, hashApiKey, type ApiKey } from '@tributary/common/tenants/api-key'
import type { KeyRecord } from '@tributary/common/tenants/key-record'
import {
  KEYS_PER_QUESTION_MAX,
  type FoundKeys,
  type KeyStore,
} from '@tributary/common/tenants/key-store'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { KEY_CACHE_LIMITS, KeyCache, type KeyCacheLimits } from '../../src/tenants/key-cache.ts'

const STALE_MAX_MS = 60_000

/** A store that can be away, hang, and lose records, as Redis can. */
class UnsteadyStore implements KeyStore {
  absenceRevokes = false
  readonly records = new Map<string, KeyRecord>()
  /** Ids of each question. */
  readonly questions: (readonly string[])[] = []
  isAway = false
  readonly damaged = new Set<string>()
  hangs: Promise<void> | undefined

  async find(ids: readonly string[]): Promise<FoundKeys> {
    this.questions.push(ids)
    await this.hangs
    if (this.isAway) throw new AppError('credentials_unavailable', 'away')
    const found = ids.flatMap((id) => this.records.get(id) ?? [])
    return new Map(
      found.map((record) => [record.id, this.damaged.has(record.id) ? undefined : record]),
    )
  }

  exists(): Promise<boolean> {
    return Promise.resolve(true)
  }

  list(): Promise<readonly KeyRecord[]> {
    return Promise.resolve([...this.records.values()])
  }

  put(records: readonly KeyRecord[]): Promise<void> {
    for (const record of records) this.records.set(record.id, record)
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** Issues a key. */
  issue(tenant = 'shop', changes: Partial<KeyRecord> = {}): ApiKey {
    const key = generateApiKey()
    this.records.set(key.id, {
      id: key.id,
      tenant,
      hash: hashApiKey(key),
      note: '',
      createdAt: '2026-01-01T00:00:00.000Z',
      expiresAt: undefined,
      revokedAt: undefined,
      ...changes,
    })
    return key
  }

  change(key: ApiKey, changes: Partial<KeyRecord>): void {
    this.records.set(key.id, { ...this.records.get(key.id)!, ...changes })
  }
}

interface Bench {
  readonly store: UnsteadyStore
  readonly cache: KeyCache
  readonly after: (ms: number) => Promise<void>
}

function bench(limits: Partial<KeyCacheLimits> = {}): Bench {
  const clock = new VirtualClock()
  const store = new UnsteadyStore()
  const logger = createLogger({ name: 'key-cache-test', level: 'silent' })
  const cache = new KeyCache({ store, clock, logger, staleMaxMs: STALE_MAX_MS, limits })
  return { store, cache, after: (ms) => clock.advance(ms) }
}

/** The code of a refusal, or the tenant. */
async function outcomeOf(cache: KeyCache, text: string): Promise<string> {
  try {
    return (await cache.check(text)).tenant
  } catch (error) {
    return error instanceof AppError ? error.code : String(error)
  }
}

describe('KeyCache', () => {
  it('asks once, and knows a good key at once from then on', async () => {
    const { store, cache } = bench()
    const { text } = store.issue()
    assert.equal(await outcomeOf(cache, text), 'shop')
    const again = cache.check(text)
    assert.ok(!(again instanceof Promise))
    assert.equal(again.tenant, 'shop')
    assert.equal(store.questions.length, 1)
  })

  it('refuses an unknown key, a wrong secret, a revoked and an expired key', async () => {
    const { store, cache } = bench()
    const known = store.issue()
    const forged = generateApiKey()
    store.change(known, { hash: hashApiKey(forged) })
    const revoked = store.issue('shop', { revokedAt: '2026-01-01T00:00:00.000Z' })
    const expired = store.issue('shop', { expiresAt: '2026-01-01T00:00:00.000Z' })
    for (const { text } of [generateApiKey(), known, revoked, expired]) {
      assert.equal(await outcomeOf(cache, text), 'unauthenticated')
    }
  })

  it('asks nobody about a text that is no key', async () => {
    const { store, cache } = bench()
    for (const text of ['', 'secret', `${store.issue().text}x`, 'x'.repeat(10_000)]) {
      assert.equal(await outcomeOf(cache, text), 'unauthenticated')
    }
    assert.equal(store.questions.length, 0)
  })

  it('does not ask again at once for a key that was refused, and does later', async () => {
    const { store, cache, after } = bench()
    const key = generateApiKey()
    for (let count = 0; count < 5; count++) {
      assert.equal(await outcomeOf(cache, key.text), 'unauthenticated')
    }
    assert.equal(store.questions.length, 1)
    store.records.set(key.id, { ...store.records.get(store.issue().id)!, id: key.id })
    store.change(key, { hash: hashApiKey(key) })
    await after(KEY_CACHE_LIMITS.refusedMs)
    assert.equal(await outcomeOf(cache, key.text), 'shop')
  })

  it('asks one question for calls that come together', async () => {
    const { store, cache } = bench()
    const keys = Array.from({ length: 20 }, () => store.issue())
    const calls = [...keys, ...keys].map(({ text }) => outcomeOf(cache, text))
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['shop']))
    assert.equal(store.questions.length, 1)
    assert.equal(store.questions[0]!.length, keys.length)
  })

  it('never asks for more ids at once than a question may have', async () => {
    const { store, cache } = bench({ pendingMax: 10_000 })
    const keys = Array.from({ length: 2 * KEYS_PER_QUESTION_MAX + 1 }, () => store.issue())
    await Promise.all(keys.map(({ text }) => outcomeOf(cache, text)))
    await cache.refresh()
    assert.ok(store.questions.every((ids) => ids.length <= KEYS_PER_QUESTION_MAX))
    assert.equal(cache.size, keys.length)
  })

  it('drops a revoked key at the next refresh, also for a call under way', async () => {
    const { store, cache } = bench()
    const key = store.issue()
    const underWay = await cache.check(key.text)
    assert.equal(underWay.isRevoked, false)
    store.change(key, { revokedAt: '2026-02-01T00:00:00.000Z' })
    await cache.refresh()
    assert.equal(underWay.isRevoked, true)
    assert.equal(await outcomeOf(cache, key.text), 'unauthenticated')
  })

  it('drops a revoked key within 30 s even where no refresh ever comes through', async () => {
    const { store, cache, after } = bench()
    const key = store.issue()
    await cache.check(key.text)
    store.change(key, { revokedAt: '2026-02-01T00:00:00.000Z' })
    await after(KEY_CACHE_LIMITS.freshMs + 1)
    assert.ok(KEY_CACHE_LIMITS.freshMs + KEY_CACHE_LIMITS.refreshMs < 30_000)
    assert.equal(await outcomeOf(cache, key.text), 'unauthenticated')
  })

  it('refreshes by itself, and stops that', async () => {
    const { store, cache, after } = bench()
    const key = store.issue()
    const credential = await cache.check(key.text)
    cache.start()
    store.change(key, { revokedAt: '2026-02-01T00:00:00.000Z' })
    await after(KEY_CACHE_LIMITS.refreshMs)
    assert.equal(credential.isRevoked, true)
    await cache.stop()
    const asked = store.questions.length
    await cache.check(store.issue().text)
    await after(10 * KEY_CACHE_LIMITS.refreshMs)
    assert.equal(store.questions.length, asked + 1)
  })

  it('stops a key at its end without asking', async () => {
    const { store, cache, after } = bench()
    const key = store.issue('shop', { expiresAt: '2026-01-01T00:10:00.000Z' })
    assert.equal(await outcomeOf(cache, key.text), 'shop')
    await after(10 * 60_000)
    assert.equal(await outcomeOf(cache, key.text), 'unauthenticated')
  })

  it('follows a key that was given to another tenant', async () => {
    const { store, cache } = bench()
    const key = store.issue('shop')
    await cache.check(key.text)
    store.change(key, { tenant: 'billing' })
    await cache.refresh()
    assert.equal(await outcomeOf(cache, key.text), 'billing')
  })

  it('says that it can not say, never no, while the store is away', async () => {
    const { store, cache } = bench()
    const known = store.issue()
    store.isAway = true
    assert.equal(await outcomeOf(cache, known.text), 'credentials_unavailable')
    assert.equal(await outcomeOf(cache, generateApiKey().text), 'credentials_unavailable')
    assert.equal(cache.isStoreAway, true)
    store.isAway = false
    assert.equal(await outcomeOf(cache, known.text), 'shop')
    assert.equal(cache.isStoreAway, false)
  })

  it('believes keys in use without waiting while the store is away, up to the bound', async () => {
    const { store, cache, after } = bench()
    const key = store.issue()
    await cache.check(key.text)
    store.isAway = true
    await after(STALE_MAX_MS / 2)
    assert.equal(await outcomeOf(cache, key.text), 'shop')
    await cache.refresh()
    assert.ok(!(cache.check(key.text) instanceof Promise))
    // a failed question does not make the old answer younger
    await after(STALE_MAX_MS / 2 + 1)
    assert.equal(await outcomeOf(cache, key.text), 'credentials_unavailable')
  })

  it('believes keys in use that the store lost, says so, and stops at the bound', async () => {
    const { store, cache, after } = bench()
    const key = store.issue()
    await cache.check(key.text)
    store.records.clear()
    await cache.refresh()
    assert.equal(cache.lostRecords, 1)
    await after(KEY_CACHE_LIMITS.freshMs + 1)
    assert.equal(await outcomeOf(cache, key.text), 'shop')
    await after(STALE_MAX_MS)
    assert.equal(await outcomeOf(cache, key.text), 'unauthenticated')
    assert.equal(cache.lostRecords, 0)
  })

  it('takes a record that it can not understand neither for a yes nor for a no', async () => {
    const { store, cache, after } = bench()
    const [used, unused, other] = [store.issue(), store.issue(), store.issue()]
    await cache.check(used.text)
    store.damaged.add(used.id).add(unused.id)
    await cache.refresh()
    assert.equal(await outcomeOf(cache, used.text), 'shop')
    assert.equal(await outcomeOf(cache, unused.text), 'credentials_unavailable')
    assert.equal(await outcomeOf(cache, other.text), 'shop')
    await after(STALE_MAX_MS + 1)
    assert.equal(await outcomeOf(cache, used.text), 'credentials_unavailable')
  })

  it('takes the absence of a record for a revocation where the store says so', async () => {
    const { store, cache } = bench()
    store.absenceRevokes = true
    const key = store.issue()
    await cache.check(key.text)
    store.records.clear()
    await cache.refresh()
    assert.equal(await outcomeOf(cache, key.text), 'unauthenticated')
  })

  it('bounds what it holds, whatever is presented', async () => {
    const { store, cache } = bench({ liveMax: 10, refusedMax: 10 })
    for (let count = 0; count < 30; count++) {
      assert.equal(await outcomeOf(cache, store.issue().text), 'shop')
      assert.equal(await outcomeOf(cache, generateApiKey().text), 'unauthenticated')
    }
    assert.equal(cache.size, 10)
  })

  it('answers a flood of unknown keys retryable, and known keys at once', async () => {
    const { store, cache } = bench({ pendingMax: 10 })
    const known = store.issue()
    await cache.check(known.text)
    const released = Promise.withResolvers<undefined>()
    store.hangs = released.promise
    const flood = Array.from({ length: 30 }, () => outcomeOf(cache, generateApiKey().text))
    assert.ok(!(cache.check(known.text) instanceof Promise))
    released.resolve(undefined)
    const outcomes = await Promise.all(flood)
    assert.equal(outcomes.filter((outcome) => outcome === 'credentials_unavailable').length, 20)
    assert.equal(outcomes.filter((outcome) => outcome === 'unauthenticated').length, 10)
  })
})
