/**
 * A real Prometheus scrapes a real cluster under load: it takes all rules, each panel of each dashboard has
 * data, and an alert fires by its fault and clears. `npm run alerts` makes the others fire.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { alertRules } from '../src/monitoring/alert-rules.ts'
import { WatchedCluster } from '../src/monitoring/watched-cluster.ts'

const WINDOW_SECONDS = 12

void describe('a cluster that Prometheus watches', () => {
  let site: WatchedCluster | undefined

  before(async () => {
    site = await WatchedCluster.start({
      ...{ routers: 1, ingesters: 1, partitions: 3 },
      rules: { holdSeconds: 1, windowSeconds: WINDOW_SECONDS },
      controllers: 'nobody answers',
    })
  })

  after(async () => {
    await site?.stop()
  })

  void it('gives data to each panel of each dashboard', async () => {
    const { missing } = await site!.panelsWithoutData(`${WINDOW_SECONDS}s`, 40_000)
    assert.deepEqual(missing, [])
  })

  void it('evaluates each rule without an error', async () => {
    const names = alertRules().map(({ alert }) => alert)
    assert.deepEqual((await site!.prometheus.healthyRules()).toSorted(), names.toSorted())
  })

  void it('fires where controllers do not reach Kubernetes', async () => {
    const alerts = ['TributaryControllerWithoutLeader', 'TributaryControllerFailures']
    assert.deepEqual(await site!.untilAlerts(alerts, true, 40_000), [])
  })

  void it('fires by a fault, with words that people can read, and clears', async () => {
    const alert = 'TributaryLeasesForgotten'
    assert.deepEqual(await site!.untilAlerts([alert], false, 20_000), [])
    await site!.cluster.parts.redis!.master.admin.flushall()
    assert.deepEqual(await site!.untilAlerts([alert], true, 20_000), [])
    for (const { annotations } of await site!.firingAlerts()) {
      for (const text of Object.values(annotations))
        assert.doesNotMatch(text, /error expanding|<no value>/)
    }
    assert.deepEqual(await site!.untilAlerts([alert], false, 40_000), [])
  })
})
