import assert from 'node:assert/strict'
import test from 'node:test'

import { PUBLISHED_RATES_BYTES_MAX } from '../../src/metadata/rate-store.ts'
import { readPartitionStates } from '../../src/routing/partition-states.ts'
import { parseRouterRates, serializeRouterRates, sumRates } from '../../src/routing/router-rates.ts'
import { entryKey } from '../../src/routing/routing-table.ts'
import { Signal } from '../../src/signal.ts'

const STREAM = '00ff00ff00ff00ff'

test('rates of all routers add up, and one that can not be read is left out', () => {
  const one = serializeRouterRates({
    tenants: [{ tenant: 'acme', signal: 'logs', rate: 100.4 }],
    streams: [{ tenant: 'acme', signal: 'logs', stream: STREAM, rate: 60 }],
  })
  const two = serializeRouterRates({
    tenants: [
      { tenant: 'acme', signal: 'logs', rate: 50 },
      { tenant: 'acme', signal: 'spans', rate: 7 },
    ],
    streams: [{ tenant: 'acme', signal: 'logs', stream: STREAM, rate: 5 }],
  })
  const loads = sumRates([one, 'not json', '{"tenants":[{"tenant":"A"}],"streams":[]}', two])
  assert.deepEqual(loads.get(entryKey('acme', Signal.logs)), {
    tenant: 'acme',
    signal: 'logs',
    rate: 150,
    streams: new Map([[STREAM, 65]]),
  })
  assert.equal(loads.get(entryKey('acme', Signal.spans))?.rate, 7)
  assert.equal(loads.size, 2)
})

test('what a router publishes stays within its bound: the largest rates', () => {
  const tenants = Array.from({ length: 3000 }, (_, index) => ({
    tenant: `${'t'.repeat(58)}${String(index).padStart(5, '0')}`,
    signal: 'metrics' as const,
    rate: 1e14 + index,
  }))
  const streams = tenants.map((each) => ({ ...each, stream: STREAM }))
  const text = serializeRouterRates({ tenants, streams })
  assert.ok(text.length <= PUBLISHED_RATES_BYTES_MAX, String(text.length))
  const read = parseRouterRates(text)
  assert.equal(read.tenants[0]!.rate, 1e14 + 2999)
})

test('the states of partitions are read from a status with whatever else stands in it', () => {
  assert.deepEqual(readPartitionStates('{"lag":5,"saturated":[3,1],"halted":[7]}'), {
    saturated: [3, 1],
    halted: [7],
  })
  const none = { saturated: [], halted: [] }
  for (const status of ['', '{}', '[]', 'x', '{"saturated":["1"]}', '{"halted":[-1]}']) {
    assert.deepEqual(readPartitionStates(status), none, status)
  }
})
