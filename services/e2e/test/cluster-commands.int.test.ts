/** The commands that look at a cluster and act on it, against real parts. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import type { ClusterReport } from '@tributary/cli/cluster/cluster-view'

import { SmallCluster, untilSo } from '../src/cluster/small-cluster.ts'

const PARTITIONS = 4
/** Rows stay in memory until somebody asks for a flush. */
const NO_FLUSH = ['--flush-interval=1h']

let cluster: SmallCluster

before(async () => {
  cluster = await SmallCluster.start(PARTITIONS)
})

after(() => cluster.stop())

async function partitions(): Promise<ClusterReport> {
  const { status, out, err } = await cluster.run('partitions', '--json', ...cluster.redisFlags)
  assert.equal(status, 0, err)
  return JSON.parse(out) as ClusterReport
}

function ownersOf(report: ClusterReport): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { owner } of report.partitions) counts[owner] = (counts[owner] ?? 0) + 1
  return counts
}

describe('tributary partitions and drain', () => {
  it('says that nothing was ever owned, and that Redis is away', async () => {
    const empty = await cluster.run('partitions', ...cluster.redisFlags)
    assert.equal(empty.out, '0 routers, 0 ingesters\nno partition was ever owned\n')
    const away = await cluster.run(
      'partitions',
      '--redis-url=redis://127.0.0.1:1',
      '--redis-timeout=100ms',
    )
    assert.equal(away.status, 1)
    assert.match(away.err, /metadata store does not answer.*ECONNREFUSED/)
  })

  it('shows owners, and rows that are in no file yet', async () => {
    await cluster.add('ingester', 'alpha', NO_FLUSH)
    await cluster.add('router', 'gate')
    await untilSo(partitions, (report) => ownersOf(report)['alpha'] === PARTITIONS)
    await cluster.sendLogs('gate', 'shown', 10)
    // the ingester asks how far the log goes every now and then
    const report = await untilSo(partitions, ({ partitions: lines }) =>
      lines.some(({ unflushedRows, lagOffsets }) => unflushedRows === 10 && lagOffsets >= 1),
    )
    assert.deepEqual(report.members.map(({ name, role }) => [name, role]).sort(), [
      ['alpha', 'ingester'],
      ['gate', 'router'],
    ])
    const held = report.partitions.find(({ unflushedRows }) => unflushedRows === 10)!
    assert.equal(held.state, 'owned')
    assert.ok(held.oldestUnflushedSeconds > 0)
    const { out } = await cluster.run('partitions', ...cluster.redisFlags)
    assert.match(out, /^1 routers, 1 ingesters\npartition {2}owner {2}state/)
    assert.match(out, /\n +\d {2}alpha {2}owned +\d+ +[1-9]\d* +\d+\.\d +10 +\d+\.\d/)
  })

  it('shows what the last beat said where an owner does not answer', async () => {
    const alpha = cluster.processes.get('alpha')!
    const frozenAtMs = performance.now()
    alpha.freeze()
    try {
      const report = await partitions()
      // it is no member any more after its time to live
      if (performance.now() - frozenAtMs < 2000) assert.deepEqual(report.silent, ['alpha'])
    } finally {
      alpha.thaw()
    }
    await untilSo(partitions, (report) => ownersOf(report)['alpha'] === PARTITIONS)
  })

  it('refuses to drain the last ingester, and one that is not there', async () => {
    const last = await cluster.run('drain', 'alpha', ...cluster.redisFlags)
    assert.equal(last.status, 1)
    assert.match(last.err, /no other ingester takes the partitions/)
    const unknown = await cluster.run('drain', 'nobody', ...cluster.redisFlags)
    assert.equal(unknown.status, 1)
    assert.match(unknown.err, /no such ingester .*alpha/)
  })

  it('makes an ingester give all away: rows committed, others own them, none comes back', async () => {
    await cluster.add('ingester', 'beta', NO_FLUSH)
    await untilSo(partitions, (report) => ownersOf(report)['beta'] === PARTITIONS / 2)
    for (let call = 0; call < 8; call++) await cluster.sendLogs('gate', `drained-${call}`, 5)
    const drained = await cluster.run('drain', 'alpha', ...cluster.redisFlags)
    assert.equal(drained.status, 0, drained.err)
    assert.equal(drained.out, `drained alpha: ${PARTITIONS / 2} partitions, others own them\n`)
    assert.match(drained.err, /^alpha gives 2 partitions away\n(\d left, .*\n)*0 left, 0 wait/)
    const report = await partitions()
    assert.deepEqual(ownersOf(report), { beta: PARTITIONS })
    assert.equal(report.members.find(({ name }) => name === 'alpha')?.isDraining, true)
  })

  it('takes a drained ingester back into service without a restart', async () => {
    const resumed = await cluster.run('drain', 'alpha', '--resume', ...cluster.redisFlags)
    assert.equal(resumed.status, 0, resumed.err)
    assert.equal(resumed.out, 'resumed alpha: it takes its share again\n')
    await untilSo(partitions, (report) => ownersOf(report)['alpha'] === PARTITIONS / 2)
    const again = await cluster.run('drain', 'alpha', '--resume', ...cluster.redisFlags)
    assert.deepEqual([again.status, again.out], [0, 'alpha was not drained\n'])
    const both = await cluster.run('drain', 'alpha', '--resume', '--last', ...cluster.redisFlags)
    assert.equal(both.status, 2)
  })

  it('gives all away again, and has nothing left to hand over when it stops', async () => {
    const drained = await cluster.run('drain', 'alpha', ...cluster.redisFlags)
    assert.equal(drained.status, 0, drained.err)
    // stopping it finds nothing to hand over
    assert.equal(await cluster.processes.get('alpha')!.stop(), 0)
    assert.deepEqual(ownersOf(await partitions()), { beta: PARTITIONS })
  })

  it('drains the last one where that is wanted', async () => {
    const drained = await cluster.run('drain', 'beta', '--last', ...cluster.redisFlags)
    assert.equal(drained.status, 0, drained.err)
    assert.match(drained.out, /^drained beta: 4 partitions, nobody owns them\n$/)
    const report = await partitions()
    assert.deepEqual(new Set(report.partitions.map(({ state }) => state)), new Set(['unowned']))
    const query = await cluster.run(
      'query',
      'select count(*) as n from logs',
      ...cluster.storeFlags,
    )
    assert.deepEqual(JSON.parse(query.out), [{ n: 50 }])
  })
})
