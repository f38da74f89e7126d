import assert from 'node:assert/strict'
import { test } from 'node:test'
import { emptyRoutingTable } from '@tributary/common/routing/routing-table'
import { Signal } from '@tributary/common/signal'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import { Partitioner } from '../../src/partitioner.ts'
import { RateMeter } from '../../src/routing/rate-meter.ts'

function open() {
  const clock = new VirtualClock()
  const partitioner = new Partitioner(emptyRoutingTable(12))
  const meter = new RateMeter(partitioner, clock)
  const measureAfter = async (ms: number) => {
    await clock.advance(ms)
    return meter.measure()
  }
  return { partitioner, meter, measureAfter }
}

void test('tenants that went quiet are forgotten, those that send are kept', async () => {
  const { partitioner, meter, measureAfter } = open()
  for (let index = 0; index < 1000; index++) {
    partitioner.route(`tenant-${index}`, Signal.logs).bytes += 5000
  }
  assert.match(await measureAfter(5000), /"tenant-7"/)
  assert.equal(meter.busiest(2000).length, 1000)
  for (let beat = 0; beat < 120; beat++) {
    partitioner.route('tenant-7', Signal.logs).bytes += 5000
    await measureAfter(5000)
  }
  assert.deepEqual(
    [...partitioner.routes].map(({ tenant }) => tenant),
    ['tenant-7'],
  )
  assert.deepEqual(
    meter.busiest(2000).map(({ tenant }) => tenant),
    ['tenant-7'],
  )
})

void test('a tenant is kept for minutes after its last byte, and comes back as a new one', async () => {
  const { partitioner, measureAfter } = open()
  const first = partitioner.route('acme', Signal.logs)
  first.bytes += 5000
  await measureAfter(5000)
  for (let beat = 0; beat < 24; beat++) await measureAfter(5000)
  assert.equal(partitioner.route('acme', Signal.logs), first)
  for (let beat = 0; beat < 120; beat++) await measureAfter(5000)
  const second = partitioner.route('acme', Signal.logs)
  assert.notEqual(second, first)
  second.bytes += 5000
  assert.match(await measureAfter(5000), /acme/)
})
