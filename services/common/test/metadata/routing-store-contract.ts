/** What every RoutingStore and RateStore must do: run against memory and against a real Redis. */
import assert from 'node:assert/strict'
import { it } from 'node:test'

import type { RateStore } from '@tributary/common/metadata/rate-store'
import type { RoutingStore } from '@tributary/common/metadata/routing-store'
import { AppError } from '@tributary/common/errors'
import {
  PUBLISHED_RATES_BYTES_MAX,
  RATE_PUBLISHERS_MAX,
} from '@tributary/common/metadata/rate-store'
import { ROUTING_TABLE_BYTES_MAX } from '@tributary/common/metadata/routing-store'

export interface RoutingContractStore {
  readonly store: RoutingStore & RateStore
  /** Lets at least this much time of the store pass. */
  readonly pass: (durationMs: number) => Promise<void>
}

const LONG_MS = 60_000
const SHORT_MS = 30

export function describeRoutingContract(make: () => Promise<RoutingContractStore>): void {
  it('keeps the table of the greatest version', async () => {
    const { store } = await make()
    assert.equal(await store.readTable(0), undefined)
    assert.deepEqual(await store.readTable(7), { version: 0, text: '' })
    assert.equal(await store.writeTable({ version: 3, text: '{"é":3}' }), true)
    for (const version of [1, 3]) {
      assert.equal(await store.writeTable({ version, text: 'late' }), false)
    }
    assert.equal(await store.readTable(3), undefined)
    assert.deepEqual(await store.readTable(0), { version: 3, text: '{"é":3}' })
    assert.equal(await store.writeTable({ version: Number.MAX_SAFE_INTEGER, text: '4' }), true)
    assert.deepEqual(await store.readTable(3), { version: Number.MAX_SAFE_INTEGER, text: '4' })
  })

  it('takes a table of the greatest size, and none above', async () => {
    const { store } = await make()
    const text = 'x'.repeat(ROUTING_TABLE_BYTES_MAX)
    assert.equal(await store.writeTable({ version: 1, text }), true)
    assert.equal((await store.readTable(0))?.text, text)
    await assert.rejects(async () => store.writeTable({ version: 2, text: `${text}x` }))
  })

  it('lets one router make the table, until it leaves or its time is over', async () => {
    const { store, pass } = await make()
    assert.equal(await store.takeMaking('a', LONG_MS), true)
    assert.equal(await store.takeMaking('b', LONG_MS), false)
    assert.equal(await store.takeMaking('a', LONG_MS), true)
    await store.leaveMaking('b')
    assert.equal(await store.takeMaking('b', LONG_MS), false)
    await store.leaveMaking('a')
    assert.equal(await store.takeMaking('b', SHORT_MS), true)
    await pass(SHORT_MS)
    assert.equal(await store.takeMaking('a', LONG_MS), true)
  })

  it('shows what routers published, until it is old', async () => {
    const { store, pass } = await make()
    await store.publishRates('a', 'first', LONG_MS)
    await store.publishRates('a', '{"é": 1} \n', LONG_MS)
    await store.publishRates('b', '', SHORT_MS)
    assert.equal((await store.readRates()).get('a'), '{"é": 1} \n')
    await pass(SHORT_MS)
    assert.deepEqual([...(await store.readRates())], [['a', '{"é": 1} \n']])
    await assert.rejects(async () => {
      await store.publishRates('a', 'x'.repeat(PUBLISHED_RATES_BYTES_MAX + 1), LONG_MS)
    })
  })

  it('refuses a router too many, and takes it once another is forgotten', async () => {
    const { store, pass } = await make()
    for (let count = 1; count < RATE_PUBLISHERS_MAX; count++) {
      await store.publishRates(`router-${count}`, '1', LONG_MS)
    }
    await store.publishRates('short', '1', SHORT_MS)
    await pass(SHORT_MS)
    await store.publishRates('new', '1', LONG_MS)
    await assert.rejects(
      store.publishRates('one more', '1', LONG_MS),
      (error: unknown) => error instanceof AppError && error.details['reason'] === 'full',
    )
    await store.publishRates('new', '2', LONG_MS)
  })
}
