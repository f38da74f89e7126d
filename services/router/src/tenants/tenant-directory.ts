/**
 * The tenants that write here: an account each, for as long as it is used. At most `tenantsMax`; past
 * it a tenant that was idle for a while gives way, and where none was, a new one is told to retry.
 * The policies come from whoever watches their source; an account follows them at once.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import type { TenantPolicies } from '@tributary/common/tenants/tenant-policy'

import { TenantAccount } from './tenant-account.ts'

export interface TenantDirectoryOptions {
  readonly tenantsMax: number
  /** Undefined: not known yet, nobody is let in. */
  readonly policies: TenantPolicies | undefined
  readonly clock: Clock
  /** Uniform in [0, 1); spreads retries. */
  readonly random?: () => number
}

const LOOK_INTERVAL_MS = 60_000
/** An account is closed after an hour without a call; after ten minutes where its place is wanted. */
const IDLE_LOOKS_MAX = 60
const IDLE_LOOKS_MIN = 10

export class TenantDirectory {
  readonly #tenantsMax: number
  readonly #clock: Clock
  readonly #random: () => number
  readonly #accounts = new Map<string, TenantAccount>()
  #policies: TenantPolicies | undefined
  #share = 1
  #refusals = 0
  #timer: Timer | undefined

  constructor(options: TenantDirectoryOptions) {
    this.#tenantsMax = options.tenantsMax
    this.#clock = options.clock
    this.#random = options.random ?? Math.random
    this.#policies = options.policies
  }

  /** False before it is known what tenants may do: then nobody is let in. */
  get isReady(): boolean {
    return this.#policies !== undefined
  }

  get size(): number {
    return this.#accounts.size
  }

  /** Calls of tenants for whom there was no place. */
  get refusals(): number {
    return this.#refusals
  }

  get accounts(): Iterable<TenantAccount> {
    return this.#accounts.values()
  }

  start(): void {
    this.#timer = this.#clock.every(LOOK_INTERVAL_MS, () => {
      this.#look()
    })
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** New policies, for all accounts from now on; a tenant that may not write any more loses its own. */
  use(policies: TenantPolicies): void {
    this.#policies = policies
    this.#configure()
  }

  /** Rates are for all routers together: each gives its part of them. */
  shareWith(liveRouters: number): void {
    const share = 1 / Math.max(1, liveRouters)
    if (share === this.#share) return
    this.#share = share
    this.#configure()
  }

  /**
   * The account of a tenant that wants to send.
   * @throws AppError tenants_exhausted; permission_denied for one that is not allowed; not_ready before
   *   the policies are known; over_rate
   */
  enter(tenant: string): TenantAccount {
    const account = this.#accounts.get(tenant) ?? this.#open(tenant)
    account.isUsed = true
    if (account.hasRate) account.check(this.#clock.monotonicMs(), this.#random)
    return account
  }

  /** Charges a body, or refuses it. @throws AppError over_rate */
  takeBytes(account: TenantAccount, bytes: number): void {
    if (!account.hasRate) return
    const nowMs = this.#clock.monotonicMs()
    account.check(nowMs, this.#random)
    account.takeBytes(bytes, nowMs)
  }

  takeItems(account: TenantAccount, items: number): void {
    if (account.hasRate) account.takeItems(items, this.#clock.monotonicMs())
  }

  #open(tenant: string): TenantAccount {
    if (this.#policies === undefined) {
      throw new AppError('not_ready', 'settings of tenants are not read yet')
    }
    const policy = this.#policies.of(tenant)
    if (policy === undefined) {
      throw new AppError('permission_denied', 'tenant is not known here', { details: { tenant } })
    }
    if (this.#accounts.size >= this.#tenantsMax) this.#makeRoom(tenant)
    const account = new TenantAccount(tenant, policy, this.#share, this.#clock.monotonicMs())
    this.#accounts.set(tenant, account)
    return account
  }

  #makeRoom(tenant: string): void {
    const nowMs = this.#clock.monotonicMs()
    let idlest: TenantAccount | undefined
    for (const account of this.#accounts.values()) {
      if (account.isUsed || account.idleLooks < IDLE_LOOKS_MIN || !account.isFresh(nowMs)) continue
      if (idlest === undefined || account.idleLooks > idlest.idleLooks) idlest = account
    }
    if (idlest === undefined) {
      this.#refusals++
      throw new AppError('tenants_exhausted', 'too many tenants', {
        details: { tenant, tenantsMax: this.#tenantsMax },
      })
    }
    this.#accounts.delete(idlest.name)
  }

  #configure(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const account of this.#accounts.values()) {
      const policy = this.#policies?.of(account.name)
      // calls in flight keep the account; the next one asks for a new one, and is denied
      if (policy === undefined) this.#accounts.delete(account.name)
      else account.configure(policy, this.#share, nowMs)
    }
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const account of this.#accounts.values()) {
      account.idleLooks = account.isUsed || account.calls > 0 ? 0 : account.idleLooks + 1
      account.isUsed = false
      if (account.idleLooks >= IDLE_LOOKS_MAX && account.isFresh(nowMs)) {
        this.#accounts.delete(account.name)
      }
    }
  }
}
