/**
 * SIGTERM while what is stopped can not finish its work: the object store is silent or refuses, Redis is
 * silent too. An ingester goes without its last rows, which Kafka has, says so and ends with 0 within its
 * grace period; whoever owns its partitions next commits them, each once.
 */
import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { S3_SLOW_DOWN } from '@tributary/common/testing/s3-fault-proxy'

import { ChaosLoad } from '../src/chaos/chaos-load.ts'
import { prove } from '../src/chaos/proof.ts'
import { Cluster } from '../src/cluster/cluster.ts'
import { Ledger } from '../src/ledger/ledger.ts'
import { StoreCopy } from '../src/oracle/store-copy.ts'

const SEED = 1
/** What takes longer is ended with 143. */
const SHORT_GRACE = { flags: ['--stop-timeout=10s'] }
const READY_MS = 120_000
const DRAIN_MS = 120_000
const SENDING_MS = 1500

let cluster: Cluster
const ledger = new Ledger()
let load: ChaosLoad

before(async () => {
  cluster = await Cluster.start({
    ...{ seed: SEED, isStandalone: false, routers: 1, ingesters: 1, partitions: 6 },
  })
  load = new ChaosLoad(cluster, ledger, { seed: SEED, clients: 4, ratePerSecond: 8, itemsMax: 40 })
})

after(async () => {
  load.close()
  await cluster.heal()
  await cluster.stop()
})

/** What is done to the parts of the cluster, before the ingester is told to stop. */
const IMPAIRMENTS: Readonly<Record<string, () => void>> = {
  'the store does not answer': () =>
    cluster.parts.storeFaults.inject({ fault: { kind: 'hang' }, times: Infinity }),
  'the store refuses everything': () =>
    cluster.parts.storeFaults.inject({ fault: S3_SLOW_DOWN, times: Infinity }),
  'store and Redis are silent': () => {
    const { board } = cluster
    for (const { proxy } of [
      ...board.between('ingester', 'store'),
      ...board.between('ingester', 'redis'),
    ]) {
      proxy.impair('both', { isHeld: true })
    }
  },
}

void it('an ingester told to stop ends with 0 in time, whatever does not answer, and loses nothing', async (t) => {
  const [ingester] = cluster.ofRole('ingester')
  const store = await cluster.parts.openStore()
  const copy = await StoreCopy.create(store)
  try {
    load.start()
    await sleep(SENDING_MS)
    await load.stop()
    ingester!.plan(SHORT_GRACE)
    await ingester!.kill()
    await cluster.untilReady(READY_MS)
    for (const [what, impair] of Object.entries(IMPAIRMENTS)) {
      // all partitions are owned, or nothing would be given away
      await cluster.drain(store, DRAIN_MS)
      load.start()
      await sleep(SENDING_MS)
      impair()
      await sleep(SENDING_MS)
      ingester!.plan(SHORT_GRACE)
      const startMs = performance.now()
      const status = await ingester!.terminate()
      const tookMs = performance.now() - startMs
      t.diagnostic(`${what}: ended with ${String(status)} after ${String(Math.round(tookMs))} ms`)
      assert.equal(status, 0, `${what}:\n${cluster.logsOf('ingester')[0]!.slice(-6000)}`)
      await load.stop()
      await cluster.heal()
      await cluster.untilReady(READY_MS)
    }
    await load.drain(DRAIN_MS)
    await cluster.drain(store, DRAIN_MS)
    const { judgement, problems } = await prove({ store, copy, ledger, seed: SEED })
    assert.deepEqual(problems, [])
    assert.deepEqual(judgement.violations, [])
    assert.ok(judgement.rows > 0)
  } finally {
    await load.stop()
    await copy.remove()
    await store.close()
  }
})
