/** What can not be stored is put aside, and sent again after a fix: no row lost, none twice. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { REPLAYS_PREFIX, parseReplayKey } from '@tributary/common/paths'
import { verifyStore } from '@tributary/common/verify/verify'

import { TOPIC } from '../src/cluster/cluster-parts.ts'
import { SmallCluster, untilSo } from '../src/cluster/small-cluster.ts'
import type { CommandOutcome } from '../src/cluster/small-cluster.ts'

/** Every table fails to encode, as with a bug of ours. */
const ENCODER_FAILS = 'flush:encode-start=throw@1+'
const PARTITIONS = 2

interface Listed {
  readonly key: string
  readonly state: string
  readonly reason: string
  readonly problem?: string
  readonly tenant?: string
  readonly rows?: number
  readonly sentTo?: string
}

let cluster: SmallCluster

before(async () => {
  cluster = await SmallCluster.start(PARTITIONS)
  await cluster.add('ingester', 'alpha', ['--flush-interval=200ms'], ENCODER_FAILS)
  await cluster.add('router', 'gate')
})

after(() => cluster.stop())

async function list(): Promise<readonly Listed[]> {
  const { status, out, err } = await cluster.run(
    'quarantine',
    'list',
    '--json',
    ...cluster.storeFlags,
  )
  assert.equal(status, 0, err)
  return out
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Listed)
}

function replay(...args: readonly string[]): Promise<CommandOutcome> {
  return cluster.run('quarantine', 'replay', ...cluster.storeFlags, ...cluster.kafkaFlags, ...args)
}

async function flush(): Promise<void> {
  const alpha = cluster.processes.get('alpha')!
  const flushed = await fetch(`${alpha.adminUrl}/flush`, { method: 'POST' })
  assert.ok(flushed.ok, await flushed.text())
}

/** Rows by body after a flush of all: each must be there once. */
async function bodies(): Promise<readonly [rows: number, distinct: number]> {
  await flush()
  const sql = 'select count(*)::int as n, count(distinct body)::int as d from logs'
  const { out, err } = await cluster.run('query', sql, ...cluster.storeFlags)
  const [row] = JSON.parse(out === '' ? '[]' : out) as { n: number; d: number }[]
  assert.ok(row, err)
  return [row.n, row.d]
}

/** As if the process had died after sending and before the note. */
async function forgetNotes(): Promise<number> {
  let count = 0
  for await (const { key } of cluster.store.list(REPLAYS_PREFIX)) {
    if (parseReplayKey(key)?.step !== 'done') continue
    await cluster.store.delete(key)
    count++
  }
  return count
}

function states(batches: readonly Listed[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { state } of batches) counts[state] = (counts[state] ?? 0) + 1
  return counts
}

describe('tributary quarantine', () => {
  it('says that there is nothing', async () => {
    const { out } = await cluster.run('quarantine', 'list', ...cluster.storeFlags)
    assert.equal(out, 'nothing is in quarantine\n')
  })

  it('lists what could not be stored, with whose it is and why', async () => {
    for (let call = 0; call < 3; call++) await cluster.sendLogs('gate', `poison-${call}`, 5)
    const listed = await untilSo(list, (batches) => {
      const held = batches.filter(({ state }) => state === 'held')
      return held.reduce((sum, { rows = 0 }) => sum + rows, 0) === 15
    })
    for (const batch of listed) {
      assert.equal(batch.tenant, 'default')
      assert.match(batch.reason, /^quarantined: /)
    }
    const { out } = await cluster.run('quarantine', 'list', ...cluster.storeFlags)
    assert.match(out, /\n {2}held, tributary\/\d offset \d+, 20.*\n {2}\d+ rows of default\/logs, /)
  })

  it('keeps what is sent before the fix held, at its new place', async () => {
    const before = await list()
    const sent = await replay(before[0]!.key)
    assert.equal(sent.status, 0, sent.err)
    const listed = await untilSo(list, (batches) => batches.length === before.length + 1)
    assert.equal(listed.find(({ key }) => key === before[0]!.key)?.state, 'sent')
    assert.deepEqual(states(listed), { held: before.length, sent: 1 })
  })

  it('sends all after the fix; twice makes no difference', async () => {
    await cluster.processes.get('alpha')!.stop()
    await cluster.add('ingester', 'alpha', ['--flush-interval=1h'])
    const held = states(await list())['held']!
    const sent = await replay()
    assert.equal(sent.status, 0, sent.err + sent.out)
    assert.match(sent.out, new RegExp(`\\n${held} sent, 0 found, 0 stored, 0 refused\\n$`))
    assert.equal((await replay()).out, '0 sent, 0 found, 0 stored, 0 refused\n')
    assert.deepEqual(states(await list()), { sent: held + 1 })
  })

  it('finds what was sent by one that died before it could note it: in the log', async () => {
    const noted = await forgetNotes()
    const young = await replay()
    assert.equal(young.status, 1)
    assert.match(young.out, /somebody else has begun to send it; if not, try again in \d+ s/)
    const again = await replay('--takeover-after=0')
    assert.equal(again.status, 0, again.err + again.out)
    assert.match(again.out, new RegExp(`\\n0 sent, ${noted} found, 0 stored, 0 refused\\n$`))
    assert.deepEqual(await bodies(), [15, 15])
  })

  it('and in the commits', async () => {
    const noted = await forgetNotes()
    // the first one went to quarantine again: that, not its rows, is what the log has of it
    const again = await replay('--takeover-after=0')
    assert.equal(again.status, 0, again.err + again.out)
    assert.match(again.out, new RegExp(`\\n0 sent, 0 found, ${noted} stored, 0 refused\\n$`))
    assert.deepEqual(await bodies(), [15, 15])
    assert.deepEqual((await verifyStore(cluster.store)).problems, [])
  })

  it('refuses what this version can not read either, and goes on with the rest', async () => {
    await cluster.kafka.produce(TOPIC, 0, [Buffer.from('no envelope at all')])
    await untilSo(list, (batches) => batches.some(({ problem }) => problem !== undefined))
    await flush()
    const listed = await list()
    const bad = listed.find(({ problem }) => problem !== undefined)!
    assert.equal(bad.state, 'held')
    const refused = await replay()
    assert.equal(refused.status, 1)
    assert.match(refused.out, /refused: it can not be read: .*\n0 sent, .*, 1 refused\n$/)
    const wrong = await cluster.run('quarantine', 'mend', ...cluster.storeFlags)
    assert.equal(wrong.status, 2)
  })
})
