/** What `tributary keys` does to a key store. */
import type { Clock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import { generateApiKey, hashApiKey } from '@tributary/common/tenants/api-key'
import { standingOf, type KeyRecord } from '@tributary/common/tenants/key-record'
import type { KeyStore } from '@tributary/common/tenants/key-store'

/** A key on its way to its owner; nobody sees it again. */
export interface IssuedKey {
  readonly id: string
  readonly tenant: string
  readonly key: string
  readonly expiresAt: string | undefined
}

/** A record without its hash, which is nobody's business. */
export type ListedKey = Omit<KeyRecord, 'hash'> & { readonly standing: string }

export class KeyRing {
  readonly #store: KeyStore
  readonly #clock: Clock

  constructor(store: KeyStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** Whether any key was ever made there. */
  exist(): Promise<boolean> {
    return this.#store.exists()
  }

  /** `expiresInMs` 0: never. */
  async create(tenant: string, note: string, expiresInMs: number): Promise<IssuedKey> {
    const { record, issued } = this.#issue(tenant, note, expiresInMs)
    await this.#store.put([record])
    return issued
  }

  async list(): Promise<readonly ListedKey[]> {
    const nowMs = this.#clock.nowUnixMs()
    return (await this.#store.list()).map((record) => {
      const { hash: _, ...shown } = record
      return { ...shown, standing: standingOf(record, nowMs) }
    })
  }

  async revoke(id: string): Promise<void> {
    const record = await this.#find(id)
    if (record.revokedAt !== undefined) return
    await this.#store.put([{ ...record, revokedAt: this.#timeIn(0) }])
  }

  /** A new key of the same tenant; the old one works for `graceMs` more, never longer than before. */
  async rotate(id: string, graceMs: number): Promise<IssuedKey> {
    const old = await this.#find(id)
    if (standingOf(old, this.#clock.nowUnixMs()) !== 'live') {
      throw new AppError('invalid_config', 'key is revoked or expired: create another', {
        details: { id },
      })
    }
    const lifeMs =
      old.expiresAt === undefined ? 0 : Date.parse(old.expiresAt) - Date.parse(old.createdAt)
    const { record, issued } = this.#issue(old.tenant, old.note, lifeMs)
    const end = this.#timeIn(graceMs)
    const expiresAt = old.expiresAt !== undefined && old.expiresAt < end ? old.expiresAt : end
    await this.#store.put([record, { ...old, expiresAt }])
    return issued
  }

  #issue(
    tenant: string,
    note: string,
    lifeMs: number,
  ): { readonly record: KeyRecord; readonly issued: IssuedKey } {
    const key = generateApiKey()
    const expiresAt = lifeMs === 0 ? undefined : this.#timeIn(lifeMs)
    const record = {
      id: key.id,
      tenant,
      hash: hashApiKey(key),
      note,
      createdAt: this.#timeIn(0),
      expiresAt,
      revokedAt: undefined,
    }
    return { record, issued: { id: key.id, tenant, key: key.text, expiresAt } }
  }

  async #find(id: string): Promise<KeyRecord> {
    const record = (await this.#store.find([id])).get(id)
    if (record !== undefined) return record
    throw new AppError('invalid_config', 'there is no key of this id', { details: { id } })
  }

  #timeIn(ms: number): string {
    return new Date(this.#clock.nowUnixMs() + ms).toISOString()
  }
}
