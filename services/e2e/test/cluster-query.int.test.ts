/** Queries over a cluster: through the index or the commits, and rows that are in no file yet. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { ClusterAccess } from '@tributary/cli/cluster/cluster-view'
import { readFiles } from '@tributary/cli/query/catalogue-source'
import { fetchUnflushed } from '@tributary/cli/query/unflushed-rows'
import { redisSettings } from '@tributary/common/config/redis-settings'
import { parseSettings } from '@tributary/common/config/setting-table'

import { SmallCluster, untilSo } from '../src/cluster/small-cluster.ts'

const PARTITIONS = 3
const NO_FLUSH = ['--flush-interval=1h']
const WAIT_MS = 5000
const ROUNDS = 40
const COUNT = 'select count(*)::int as n, count(distinct body)::int as d from logs'

let cluster: SmallCluster
/** As the last test that sends rows leaves it. */
let sentInAll = 0

before(async () => {
  cluster = await SmallCluster.start(PARTITIONS)
  await cluster.add('ingester', 'alpha', NO_FLUSH)
  await cluster.add('ingester', 'beta', NO_FLUSH)
  await cluster.add('router', 'gate')
})

after(() => cluster.stop())

interface Answer {
  readonly n: number
  readonly d: number
  readonly err: string
  readonly status: number
}

async function count(...flags: readonly string[]): Promise<Answer> {
  const where = [...cluster.storeFlags, `--cache-dir=${cluster.folder}/cache`]
  const { status, out, err } = await cluster.run('query', COUNT, ...where, ...flags)
  const [row] = status === 0 ? (JSON.parse(out) as { n: number; d: number }[]) : []
  return { n: row?.n ?? -1, d: row?.d ?? -1, err, status }
}

const live = (...flags: readonly string[]): Promise<Answer> =>
  count('--unflushed', ...cluster.redisFlags, ...flags)

async function flush(name: string): Promise<void> {
  const { adminUrl } = cluster.processes.get(name)!
  const answer = await fetch(`${adminUrl}/flush`, { method: 'POST' })
  assert.ok(answer.ok, await answer.text())
}

describe('tributary query on a cluster', () => {
  it('sees rows that are in no file, with --unflushed alone', async () => {
    for (let call = 0; call < 6; call++) await cluster.sendLogs('gate', `first-${call}`, 10)
    const seen = await live()
    assert.deepEqual([seen.n, seen.d], [60, 60])
    assert.match(seen.err, /\nunflushed: 60 rows of 3 partitions\n/)
    const without = await count()
    assert.deepEqual([without.n, without.status], [0, 0])
    assert.match(without.err, /no files yet/)
  })

  it('reads each row once where a flush comes between asking owners and reading commits', async () => {
    const { config } = parseSettings(redisSettings, { args: cluster.redisFlags })
    const access = await ClusterAccess.open(config, false)
    const unflushed = await fetchUnflushed(access, {}, WAIT_MS)
    try {
      assert.equal(unflushed.rows, 60)
      await Promise.all([flush('alpha'), flush('beta')])
      await cluster.sendLogs('gate', 'later', 7)
      assert.equal((await live()).n, 67)
      await Promise.all([flush('alpha'), flush('beta')])
      for (const redis of [undefined, config]) {
        const { store } = cluster
        const { files } = await readFiles({ store, redis, selection: {}, cuts: unflushed.cuts })
        assert.deepEqual(files, [])
        const { files: all } = await readFiles({ store, redis, selection: {}, cuts: [] })
        assert.equal(
          all.reduce((sum, { rows }) => sum + rows, 0),
          67,
        )
      }
    } finally {
      await unflushed.remove()
      access.close()
    }
    const now = await live()
    assert.deepEqual([now.n, now.d], [67, 67])
  })

  it('reads each row once while rows come and are flushed all the time', async () => {
    const stopping = new AbortController()
    let sent = 67
    const sending = (async () => {
      for (let call = 0; !stopping.signal.aborted; call++) {
        await cluster.sendLogs('gate', `steady-${call}`, 5)
        sent += 5
        await flush(call % 2 === 0 ? 'alpha' : 'beta')
        await sleep(20)
      }
    })()
    let least = 67
    for (let query = 0; query < 8; query++) {
      const { n, d, err, status } = await live()
      assert.equal(status, 0, err)
      assert.equal(n, d)
      assert.ok(n >= least, `${n} rows after ${least}`)
      least = n
    }
    stopping.abort()
    await sending
    const all = await live()
    assert.deepEqual([all.n, all.d], [sent, sent])
    assert.ok(sent > 100, 'rows came meanwhile')
  })

  it('sees every row that was acknowledged before it, without asking twice', async () => {
    const { config } = parseSettings(redisSettings, { args: cluster.redisFlags })
    const access = await ClusterAccess.open(config, false)
    await Promise.all([flush('alpha'), flush('beta')])
    try {
      for (let round = 1; round <= ROUNDS; round++) {
        // several streams, so that all partitions have something that is a moment old
        const marks = [0, 1, 2, 3].map((at) => `written-${round}-${at}`)
        await Promise.all(marks.map((mark) => cluster.sendLogs('gate', mark, 3)))
        const unflushed = await fetchUnflushed(access, {}, WAIT_MS)
        await unflushed.remove()
        assert.equal(unflushed.rows, round * 12)
        assert.deepEqual([unflushed.missing.size, unflushed.behind.size], [0, 0])
      }
    } finally {
      access.close()
    }
  })

  it('reads files through the index, and says so', async () => {
    await Promise.all([flush('alpha'), flush('beta')])
    const all = await untilSo(
      () => count(...cluster.redisFlags),
      ({ err }) => / 0 through the commits/.test(err),
    )
    const byChain = await count()
    assert.equal(all.n, byChain.n)
    assert.match(all.err, /^catalogue: \d+ files through the index, 0 through the commits\n$/)
    assert.equal(byChain.err, '')
  })

  it('takes only files of the hours and the tenant wanted', async () => {
    const hour = new Date().toISOString().slice(0, 13)
    const now = await count(...cluster.redisFlags, `--from-hour=${hour}`)
    assert.ok(now.n > 0)
    const past = await count(...cluster.redisFlags, '--to-hour=2020-01-01T00')
    assert.match(past.err, /catalogue: 0 files/)
    const other = await live('--tenant=nobody')
    assert.match(other.err, /unflushed: 0 rows of 3 partitions/)
  })

  it('refuses to open the index of another store, and leaves it as it is', async () => {
    const url = `--object-store=s3://${cluster.s3.bucket}/other`
    const body = Buffer.from(
      JSON.stringify({ formatVersion: 1, id: '01234567-89ab-cdef-0123-456789abcdef' }),
    )
    const key = 'store.json'
    const stranger = await cluster.openStore('other')
    await stranger.put(key, body)
    await stranger.close()
    const endpoint = `--object-store-endpoint=${cluster.s3.endpoint}`
    const refused = await cluster.run('query', COUNT, url, endpoint, ...cluster.redisFlags)
    assert.equal(refused.status, 1)
    assert.match(refused.err, /index in redis is that of another store/)
    assert.match((await count(...cluster.redisFlags)).err, / 0 through the commits/)
  })

  it('goes on through the commits where Redis is gone, and says so', async () => {
    const before = await count()
    await cluster.redis.kill()
    const without = await count(...cluster.redisFlags, '--redis-timeout=200ms')
    assert.equal(without.status, 0)
    assert.equal(without.n, before.n)
    assert.match(without.err, /^catalogue: \d+ files through the commits; redis is out of reach/)
    const live = await count('--unflushed', ...cluster.redisFlags, '--redis-timeout=200ms')
    assert.equal(live.status, 1)
    await cluster.redis.restart()
  })

  it('says which partitions are behind, and by how much, where the wait is too short', async () => {
    await untilSo(live, ({ status }) => status === 0)
    const before = await live()
    await Promise.all(['alpha', 'beta'].map((name) => cluster.processes.get(name)!.stop()))
    // takes the first write to its log and hangs there: what it fetched never comes into memory
    await cluster.add('ingester', 'slow', NO_FLUSH, 'ingester:before-insert=hang@1+')
    await untilSo(live, ({ status }) => status === 0)
    await cluster.sendLogs('gate', 'behind', 9)
    const answer = await live('--unflushed-wait=500ms')
    assert.deepEqual([answer.status, answer.n], [0, before.n])
    assert.match(
      answer.err,
      /^behind: rows may be missing of partition \d: 1 records of the log are not fetched$/m,
    )
    const careless = await live('--unflushed-wait=0')
    assert.deepEqual([careless.status, careless.n], [0, before.n])
    assert.doesNotMatch(careless.err, /behind/)
    await cluster.processes.get('slow')!.kill()
    await cluster.add('ingester', 'alpha', NO_FLUSH)
    await cluster.add('ingester', 'beta', NO_FLUSH)
    await untilSo(live, ({ status, n }) => status === 0 && n === before.n + 9)
    sentInAll = before.n + 9
  })

  it('says which rows are missing where an owner is gone, or gives a part where that is enough', async () => {
    await untilSo(live, ({ status }) => status === 0)
    // both at once: nobody takes over
    await Promise.all([
      cluster.processes.get('alpha')!.kill(),
      cluster.processes.get('beta')!.kill(),
    ])
    const refused = await live()
    assert.equal(refused.status, 1)
    assert.match(refused.err, /unflushed rows of some partitions can not be had/)
    const partial = await live('--partial')
    assert.equal(partial.status, 0, partial.err)
    assert.match(partial.err, /^partial: unflushed rows are missing of partition \d/)
    assert.equal((await cluster.run('query', COUNT, '--unflushed')).status, 2)
  })

  it('waits for owners of partitions of which nobody knows that anyone has owned them', async () => {
    await cluster.redis.restartEmpty()
    await cluster.sendLogs('gate', 'orphaned', 5)
    const empty = await live('--unflushed-wait=0', '--redis-timeout=2s')
    assert.equal(empty.status, 1)
    assert.match(empty.err, /0: nobody owns it/)
    // ready before it may take anything: somebody else might have it
    await cluster.add('ingester', 'gamma', NO_FLUSH)
    const all = await live('--unflushed-wait=1m')
    const sent = sentInAll + 5
    assert.deepEqual([all.status, all.n, all.d], [0, sent, sent], all.err)
    assert.match(all.err, /\nunflushed: \d+ rows of 3 partitions\n/)
  })
})
