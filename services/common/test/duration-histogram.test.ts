import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { DurationHistogram } from '../src/duration-histogram.ts'
import {
  createRegistry,
  DURATION_BUCKETS_SECONDS,
  Histogram,
  OTHER_TENANTS,
  TENANT_LABELS_MAX,
  TenantCounter,
} from '../src/metrics.ts'

describe('DurationHistogram', () => {
  it('shows what a histogram of prom-client shows', async () => {
    const ours = createRegistry({ hasProcessMetrics: false })
    const theirs = createRegistry({ hasProcessMetrics: false })
    const settings = { name: 'some_seconds', help: 'Some durations', labelNames: ['kind'] }
    const histogram = new DurationHistogram(ours, settings)
    const tally = histogram.tally({ kind: 'fast' })
    const rival = new Histogram({
      ...settings,
      buckets: DURATION_BUCKETS_SECONDS,
      registers: [theirs],
    })
    for (const seconds of [0, 0.0004, 0.0005, 0.00051, 0.3, 60, 61, 1e6]) {
      tally.observe(seconds)
      rival.observe({ kind: 'fast' }, seconds)
    }
    const lines = async (registry: typeof ours): Promise<string[]> =>
      (await registry.metrics()).split('\n').sort()
    // labels stand in another order there
    const normal = (line: string): string =>
      line.replace(/\{le="(.*)",kind="fast"\}/, '{kind="fast",le="$1"}')
    assert.deepEqual(
      (await lines(ours)).map(normal).sort(),
      (await lines(theirs)).map(normal).sort(),
    )
  })

  it('shows tallies from the start, at 0', async () => {
    const registry = createRegistry({ hasProcessMetrics: false })
    new DurationHistogram(registry, { name: 'some_seconds', help: 'Some durations' }).tally()
    assert.match(await registry.metrics(), /^some_seconds_count 0$/m)
    assert.match(await registry.metrics(), /^# TYPE some_seconds histogram$/m)
  })
})

describe('TenantCounter', () => {
  it('gives the first tenants a series each, and all others one', async () => {
    const registry = createRegistry({ hasProcessMetrics: false })
    const counter = new TenantCounter(registry, { name: 'some_total', help: 'Some counts' })
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < TENANT_LABELS_MAX + 50; n++) counter.add(`tenant-${n}`, 2)
    }
    const { values } = await registry.getSingleMetric('some_total')!.get()
    const counts = new Map(values.map(({ labels, value }) => [labels['tenant'], value]))
    assert.equal(counts.size, TENANT_LABELS_MAX + 1)
    assert.equal(counts.get('tenant-0'), 4)
    assert.equal(counts.get(`tenant-${TENANT_LABELS_MAX - 1}`), 4)
    assert.equal(counts.get(OTHER_TENANTS), 200)
  })
})
