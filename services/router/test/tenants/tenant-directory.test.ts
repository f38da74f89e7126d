import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '@tributary/common/errors'
import {
  defaultPolicy,
  parseTenantPolicies,
  policyForAll,
  type TenantPolicies,
  type TenantPolicy,
} from '@tributary/common/tenants/tenant-policy'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { TenantDirectory } from '../../src/tenants/tenant-directory.ts'

const MINUTE_MS = 60_000

interface Bench {
  readonly clock: VirtualClock
  readonly directory: TenantDirectory
}

function bench(policies: TenantPolicies | undefined, tenantsMax = 2): Bench {
  const clock = new VirtualClock()
  const directory = new TenantDirectory({ tenantsMax, policies, clock, random: () => 0 })
  directory.start()
  return { clock, directory }
}

function open(changes: Partial<TenantPolicy> = {}): TenantPolicies {
  return policyForAll(defaultPolicy(changes))
}

function refusal(run: () => unknown): AppError {
  try {
    run()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('it was let in')
}

describe('TenantDirectory', () => {
  it('tells tenants past its bound to come back, and serves those that it knows', () => {
    const { directory } = bench(open())
    directory.enter('one')
    directory.enter('two')
    assert.equal(refusal(() => directory.enter('three')).code, 'tenants_exhausted')
    assert.equal(directory.enter('one').name, 'one')
    assert.equal(directory.size, 2)
    assert.equal(directory.refusals, 1)
  })

  it('gives the place of a tenant that was idle to one that is new', async () => {
    const { clock, directory } = bench(open())
    directory.enter('one')
    await clock.advance(12 * MINUTE_MS)
    directory.enter('two')
    directory.enter('three')
    assert.deepEqual(
      [...directory.accounts].map(({ name }) => name),
      ['two', 'three'],
    )
    assert.equal(refusal(() => directory.enter('one')).code, 'tenants_exhausted')
  })

  it('forgets a tenant after an hour without a call, and none with one in flight', async () => {
    const { clock, directory } = bench(open())
    directory.enter('busy').calls = 1
    directory.enter('idle')
    await clock.advance(59 * MINUTE_MS)
    assert.equal(directory.size, 2)
    await clock.advance(3 * MINUTE_MS)
    assert.deepEqual(
      [...directory.accounts].map(({ name }) => name),
      ['busy'],
    )
  })

  it('does not let a tenant lose its debt by being forgotten', async () => {
    const { clock, directory } = bench(open({ bytesPerSecond: 1000, burstMs: 1000 }))
    directory.takeBytes(directory.enter('one'), 10_000_000)
    await clock.advance(120 * MINUTE_MS)
    assert.equal(refusal(() => directory.enter('one')).code, 'over_rate')
  })

  it('lets nobody in before the policies are known', () => {
    const { directory } = bench(undefined)
    assert.equal(directory.isReady, false)
    const { code, answer } = refusal(() => directory.enter('one'))
    assert.equal(code, 'not_ready')
    assert.equal(answer.retryable, true)
    directory.use(open())
    assert.equal(directory.isReady, true)
    directory.enter('one')
  })

  it('denies tenants that the policies do not know, also those it knew before', () => {
    const { directory } = bench(open())
    directory.enter('shop')
    directory.enter('other')
    const document = { format: 1, unknownTenants: 'refuse', tenants: { shop: {} } }
    directory.use(parseTenantPolicies(JSON.stringify(document), defaultPolicy()))
    directory.enter('shop')
    assert.equal(refusal(() => directory.enter('other')).code, 'permission_denied')
    assert.equal(directory.size, 1)
  })

  it('says when the debt of bytes is paid', async () => {
    const { clock, directory } = bench(open({ bytesPerSecond: 1000, burstMs: 1000 }))
    const account = directory.enter('one')
    directory.takeBytes(account, 3000)
    const error = refusal(() => directory.enter('one'))
    assert.equal(error.code, 'over_rate')
    assert.deepEqual(error.details, { rate: 'bytes', retryAfterMs: 2001 })
    await clock.advance(2000)
    refusal(() => directory.enter('one'))
    await clock.advance(1)
    directory.enter('one')
  })

  it('charges items after they were stored, and makes the next request wait', () => {
    const { directory } = bench(open({ itemsPerSecond: 100, burstMs: 1000 }))
    const account = directory.enter('one')
    directory.takeItems(account, 150)
    const { details } = refusal(() => directory.enter('one'))
    assert.deepEqual(details, { rate: 'items', retryAfterMs: 510 })
  })

  it('refuses a second body that came beside the one that used the rate up', () => {
    const { directory } = bench(open({ bytesPerSecond: 1000, burstMs: 1000 }))
    const calls = [directory.enter('one'), directory.enter('one')]
    directory.takeBytes(calls[0]!, 1_000_000)
    assert.equal(refusal(() => directory.takeBytes(calls[1]!, 1)).code, 'over_rate')
  })

  it('never says to stay away for longer than 30 s', () => {
    const { directory } = bench(open({ bytesPerSecond: 1, burstMs: 1000 }))
    directory.takeBytes(directory.enter('one'), 1_000_000)
    assert.equal(refusal(() => directory.enter('one')).details['retryAfterMs'], 30_000)
  })

  it('gives each of n routers its part of the rate, also when n changes', async () => {
    const { clock, directory } = bench(open({ bytesPerSecond: 1000, burstMs: 1000 }))
    directory.shareWith(4)
    directory.takeBytes(directory.enter('one'), 250)
    assert.equal(refusal(() => directory.enter('one')).details['retryAfterMs'], 4)
    directory.takeBytes(await after(clock, 4, directory), 250)
    directory.shareWith(1)
    assert.equal(refusal(() => directory.enter('one')).details['retryAfterMs'], 250)
    directory.shareWith(0)
    await after(clock, 250, directory)
  })

  it('takes a new rate for tenants that it knows', () => {
    const { directory } = bench(open())
    const account = directory.enter('one')
    directory.takeBytes(account, 1_000_000)
    directory.enter('one')
    directory.use(open({ bytesPerSecond: 1000, burstMs: 1000 }))
    directory.takeBytes(directory.enter('one'), 5000)
    assert.equal(refusal(() => directory.enter('one')).code, 'over_rate')
    directory.use(open())
    directory.enter('one')
  })
})

async function after(clock: VirtualClock, ms: number, directory: TenantDirectory) {
  await clock.advance(ms)
  return directory.enter('one')
}
