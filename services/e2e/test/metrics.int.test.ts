/** What the roles register as metrics is what docs/metrics.md says, and bounded. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, describe, it } from 'node:test'

import { ROLES, takeInventory, type Metric } from '../src/monitoring/metric-inventory.ts'
import { metricsPage } from '../src/monitoring/metrics-page.ts'

/** Label names whose values come from closed sets, or from sets that the code bounds. */
const BOUNDED_LABELS: ReadonlySet<string> = new Set([
  ...['signal', 'transport', 'answer', 'accepted', 'kind', 'reason', 'rule', 'code', 'stage'],
  ...['event', 'answered', 'state', 'operation', 'outcome', 'role'],
  ...['broker', 'partition', 'tenant'],
  ...['cause', 'direction', 'why', 'source'],
])

describe('metrics', () => {
  let metrics: Metric[] = []

  before(async () => {
    metrics = await takeInventory()
  })

  it('are those of docs/metrics.md: npm run docs:metrics writes it', () => {
    const page = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8')
    assert.equal(metricsPage(metrics), page)
  })

  it('have names, units and labels as Prometheus wants them', () => {
    const problems = metrics
      .filter(({ name }) => name.startsWith('tributary_'))
      .flatMap(({ name, type, help, labelNames }) => [
        ...(type === 'counter' && !name.endsWith('_total')
          ? [`${name}: a counter ends in _total`]
          : []),
        ...(type !== 'counter' && name.endsWith('_total') ? [`${name}: only counters do`] : []),
        ...(type === 'histogram' && !name.endsWith('_seconds') ? [`${name}: has no unit`] : []),
        ...(/_(ms|milliseconds|kb|mib)\b/.test(name) ? [`${name}: seconds and bytes only`] : []),
        ...(help.length < 10 ? [`${name}: says nothing`] : []),
        ...labelNames
          .filter((label) => !BOUNDED_LABELS.has(label))
          .map((label) => `${name}: is ${label} bounded?`),
      ])
    assert.deepEqual(problems, [])
  })

  it('cover every role', () => {
    for (const role of ROLES) {
      const own = metrics.filter(({ name, roles }) => {
        return name.startsWith('tributary_') && roles.includes(role)
      })
      assert.ok(own.length > 12, role)
    }
  })
})
