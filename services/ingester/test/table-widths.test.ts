import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { createRegistry, type Registry } from '@tributary/common/metrics'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { TableWidths } from '../src/table-widths.ts'

function widthsOf(): { widths: TableWidths; registry: Registry; clock: VirtualClock } {
  const registry = createRegistry({ hasProcessMetrics: false })
  const clock = new VirtualClock()
  return { widths: new TableWidths(registry, clock), registry, clock }
}

async function shown(registry: Registry, name: string): Promise<ReadonlyMap<string, number>> {
  const metric = await registry.getSingleMetric(`tributary_ingester_tenant_${name}`)!.get()
  return new Map(
    metric.values.map(({ labels, value }) => [
      `${String(labels['tenant'])}/${String(labels['signal'])}`,
      value,
    ]),
  )
}

describe('TableWidths', () => {
  it('shows the keys of a table as last told, and the streams of its partitions together', async () => {
    const { widths, registry } = widthsOf()
    widths.keysKnown('shop', 'logs', 7)
    widths.keysKnown('shop', 'logs', 9)
    widths.keysKnown('shop', 'spans', 2)
    widths.streamsWritten('shop', 'logs', 0, 10)
    widths.streamsWritten('shop', 'logs', 1, 5)
    widths.streamsWritten('shop', 'logs', 0, 11)
    assert.deepEqual(
      await shown(registry, 'keys'),
      new Map([
        ['shop/logs', 9],
        ['shop/spans', 2],
      ]),
    )
    assert.deepEqual(await shown(registry, 'streams'), new Map([['shop/logs', 16]]))
  })

  it('forgets streams of partitions whose rows go elsewhere now', async () => {
    const { widths, registry, clock } = widthsOf()
    widths.streamsWritten('shop', 'logs', 0, 10)
    await clock.advance(14 * 60_000)
    widths.streamsWritten('shop', 'logs', 1, 5)
    assert.deepEqual(await shown(registry, 'streams'), new Map([['shop/logs', 15]]))
    await clock.advance(2 * 60_000)
    assert.deepEqual(await shown(registry, 'streams'), new Map([['shop/logs', 5]]))
  })

  it('shows the widest hundred, whatever names clients make up', async () => {
    const { widths, registry } = widthsOf()
    for (let tenant = 0; tenant < 12_000; tenant++) {
      widths.keysKnown(`tenant-${String(tenant)}`, 'logs', tenant)
      widths.streamsWritten(`tenant-${String(tenant)}`, 'logs', tenant, tenant)
    }
    for (const name of ['keys', 'streams']) {
      const values = await shown(registry, name)
      assert.equal(values.size, 100)
      assert.equal(Math.min(...values.values()), 11_900)
    }
  })
})
