/** Controllers over whole ingesters on memory parts, in virtual time. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { POLICY, SimulatedCluster } from './simulated-cluster.ts'

const ALL = [0, 1, 2, 3, 4, 5, 6, 7]

describe('Controller', () => {
  it('scales out under load and in again when it is over, and every row is stored once', async () => {
    const cluster = new SimulatedCluster(1, 1)
    cluster.startController()
    await cluster.load(12, 5)
    await cluster.load(120, 35)
    const most = Math.max(...cluster.kubernetes.written)
    assert.ok(most >= 3, `written: ${cluster.kubernetes.written.join(' ')}`)
    await cluster.load(200, 2)
    const { written } = cluster.kubernetes
    assert.equal(written.at(-1), 1, `written: ${written.join(' ')}`)
    assert.match(written.join(' '), /^(\d )*1$/)
    const reasons = cluster.kubernetes.events.map(({ reason }) => reason)
    assert.equal(reasons.filter((reason) => reason === 'ScaledIn').length, most - 1)
    assert.equal(cluster.kubernetes.events.filter(({ type }) => type === 'Warning').length, 0)
    await cluster.assertStoredOnce()
  })

  it('removes an ingester only once it owns nothing, and every partition always has an owner soon', async () => {
    const cluster = new SimulatedCluster(2, 3)
    // memory fills at once here: without a look at it one of three goes under some load too
    cluster.startController({ policy: { ...POLICY, memoryShareMax: 3 } })
    await cluster.load(15, 4)
    assert.deepEqual(cluster.owned, ALL)
    const unownedTenths = ALL.map(() => 0)
    let longest = 0
    for (let tenth = 0; tenth < 900 && cluster.kubernetes.pods.length === 3; tenth++) {
      await cluster.load(0.1, 10)
      const owned = new Set(cluster.owned)
      for (const partition of ALL) {
        unownedTenths[partition] = owned.has(partition) ? 0 : unownedTenths[partition]! + 1
      }
      longest = Math.max(longest, ...unownedTenths)
      const leaving = cluster.kubernetes.pods.filter(({ isTerminating }) => isTerminating)
      for (const { name } of leaving) assert.deepEqual(cluster.ingesters.get(name)?.owned ?? [], [])
    }
    assert.deepEqual(cluster.kubernetes.written, [2])
    assert.ok(longest <= 45, `${longest / 10} s without an owner`)
    assert.equal(cluster.calls.filter((call) => call.startsWith('resume')).length, 0)
    await cluster.assertStoredOnce()
  })

  it('calls a scale-in off when load comes back, and the ingester takes partitions again', async () => {
    const cluster = new SimulatedCluster(3, 2)
    cluster.startController({
      policy: { ...POLICY, outDelayMs: 3_600_000 },
      drainTimeoutMs: 600_000,
    })
    await cluster.load(12, 4)
    await cluster.until('drain x-1:1')
    // the store takes nothing for a while: the drain can not end, and fetching stops
    cluster.world.bucket.faults.delayMs = [20_000, 20_000]
    await cluster.load(18, 60)
    cluster.world.bucket.faults.delayMs = [1, 1]
    await cluster.load(30, 2)
    assert.ok(cluster.calls.includes('resume x-1:1'), cluster.calls.join(', '))
    assert.ok(cluster.kubernetes.events.some(({ reason }) => reason === 'ScaleInAbandoned'))
    assert.equal(cluster.kubernetes.written.length, 0)
    assert.ok(cluster.ingesters.get('x-1')!.owned.length > 0)
    await cluster.assertStoredOnce()
  })

  it('goes on where a drain takes too long: the process does the rest while it stops', async () => {
    const cluster = new SimulatedCluster(4, 2)
    cluster.startController({ drainTimeoutMs: 3000 })
    await cluster.load(20, 4)
    await cluster.until('drain x-1:1')
    // from the beginning of the drain on nothing can be committed
    cluster.world.bucket.faults.delayMs = [6000, 6000]
    await cluster.load(10, 2)
    cluster.world.bucket.faults.delayMs = [1, 1]
    await cluster.load(10, 2)
    assert.deepEqual(cluster.kubernetes.written, [1])
    assert.equal(
      cluster.kubernetes.events.find(({ reason }) => reason === 'ScaledIn')?.type,
      'Warning',
    )
    await cluster.assertStoredOnce()
  })

  it('lets ingesters of a cordoned node give their partitions away, and back when it is uncordoned', async () => {
    const cluster = new SimulatedCluster(5, 3)
    cluster.startController({ scaling: false })
    await cluster.load(20, 4)
    const pod = cluster.kubernetes.pods.find(({ name }) => name === 'x-1')!
    cluster.kubernetes.cordonedNodes.add(pod.node)
    await cluster.load(10, 4)
    assert.deepEqual(cluster.ingesters.get('x-1')!.owned, [])
    assert.deepEqual(cluster.owned, ALL)
    cluster.kubernetes.cordonedNodes.clear()
    await cluster.load(10, 4)
    assert.ok(cluster.ingesters.get('x-1')!.owned.length > 0)
    // and again, until it is evicted
    cluster.kubernetes.cordonedNodes.add(pod.node)
    await cluster.load(10, 4)
    cluster.kubernetes.evict('x-1')
    await cluster.load(20, 4)
    assert.deepEqual(cluster.owned, ALL)
    assert.ok(cluster.ingesters.get('x-1')!.owned.length > 0)
    assert.equal(cluster.kubernetes.written.length, 0)
    assert.deepEqual(
      cluster.kubernetes.events.map(({ reason }) => reason),
      ['NodeDrain', 'NodeDrain'],
    )
    await cluster.assertStoredOnce()
  })

  it('leaves an ingester drained that nobody evicts for its hold only', async () => {
    const cluster = new SimulatedCluster(6, 2)
    cluster.startController({ scaling: false })
    await cluster.load(20, 4)
    const pod = cluster.kubernetes.pods.find(({ name }) => name === 'x-1')!
    cluster.kubernetes.cordonedNodes.add(pod.node)
    await cluster.load(50, 4)
    assert.deepEqual(cluster.ingesters.get('x-1')!.owned, [])
    await cluster.load(30, 4)
    assert.ok(cluster.ingesters.get('x-1')!.owned.length > 0)
    await cluster.load(60, 4)
    assert.ok(cluster.ingesters.get('x-1')!.owned.length > 0, 'it is not tried again')
    await cluster.assertStoredOnce()
  })

  it('leaves nothing behind when it dies: what it drained comes back by itself', async () => {
    const cluster = new SimulatedCluster(7, 2)
    const { clock } = cluster.startController({ scaling: false })
    await cluster.load(20, 4)
    const pod = cluster.kubernetes.pods.find(({ name }) => name === 'x-1')!
    cluster.kubernetes.cordonedNodes.add(pod.node)
    await cluster.load(15, 4)
    assert.deepEqual(cluster.ingesters.get('x-1')!.owned, [])
    clock.crash()
    await cluster.load(45, 4)
    assert.ok(cluster.ingesters.get('x-1')!.owned.length > 0)
    await cluster.assertStoredOnce()
  })

  it('acts in one of two only, and the other one goes on where it is frozen', async () => {
    const cluster = new SimulatedCluster(8, 1)
    const first = cluster.startController()
    await cluster.load(2, 2)
    cluster.startController()
    await cluster.load(10, 5)
    first.clock.freeze()
    await cluster.load(90, 30)
    assert.ok(cluster.kubernetes.written.length > 0)
    const before = cluster.kubernetes.written.length
    const callsBefore = cluster.calls.length
    first.clock.thaw()
    await cluster.world.clock.advance(50)
    // what it had begun when it froze, and everything that came due, meets a lost lease
    assert.equal(cluster.kubernetes.written.length, before)
    assert.equal(cluster.calls.length, callsBefore)
    await cluster.assertStoredOnce()
  })

  it('decides nothing while redis does not answer', async () => {
    const cluster = new SimulatedCluster(9, 1)
    cluster.startController()
    await cluster.load(12, 5)
    cluster.leases.calls.faults = { unreachable: 1, answerLost: 0, late: 0, lateMsMax: 0 }
    await cluster.load(60, 30)
    assert.deepEqual(cluster.kubernetes.written, [])
    cluster.leases.calls.faults = { unreachable: 0, answerLost: 0, late: 0, lateMsMax: 0 }
    await cluster.load(30, 30)
    assert.ok(cluster.kubernetes.written.length > 0)
    await cluster.assertStoredOnce()
  })

  it('goes on after the API server was away, from what there is then', async () => {
    const cluster = new SimulatedCluster(10, 1)
    cluster.startController()
    await cluster.load(12, 5)
    cluster.kubernetes.isAway = true
    await cluster.load(60, 30)
    assert.deepEqual(cluster.kubernetes.written, [])
    cluster.kubernetes.isAway = false
    await cluster.load(10, 30)
    assert.ok(cluster.kubernetes.written.length > 0)
    await cluster.assertStoredOnce()
  })

  it('does not call back an ingester that somebody else has removed', async () => {
    const cluster = new SimulatedCluster(11, 3)
    cluster.startController({ policy: { ...POLICY, inCoolDownMs: 3_600_000 } })
    await cluster.load(20, 4)
    cluster.kubernetes.set(2)
    await cluster.load(20, 4)
    assert.deepEqual(cluster.owned, ALL)
    assert.equal(cluster.calls.filter((call) => call.startsWith('resume')).length, 0)
    assert.deepEqual(cluster.kubernetes.written, [2])
    await cluster.assertStoredOnce()
  })
})
