/**
 * An old bucket outlives what stands around it, three times, under load and with a ledger: the file index
 * is wiped with all of Redis; the cluster is killed, and a new one with an empty Redis and empty disks
 * goes on with the same topic; a new one goes on with a new Kafka, whose offsets begin at 0.
 */
import assert from 'node:assert/strict'

import type { VerifyReport } from '@tributary/common/verify/verify-report'
import type { IndexReport } from '@tributary/cli/verify/index-check'

import { chainEnds, uncommittedPartitions } from '../cluster/chain-ends.ts'
import { TOPIC } from '../cluster/cluster-parts.ts'
import { ownerStarts } from '../cluster/partition-events.ts'
import { SmallCluster, untilSo, type KeptParts } from '../cluster/small-cluster.ts'
import { GrpcSender } from '../ledger/otlp-sender.ts'
import { judge } from '../oracle/judgement.ts'
import { StoreCopy } from '../oracle/store-copy.ts'
import { readStoredRequests } from '../oracle/stored-requests.ts'
import { fillBucket, flushAll, isFilling } from './bucket-filler.ts'
import { untilIndexed } from './indexed-ends.ts'
import { SteadyLoad } from './steady-load.ts'

export interface WipedIndexOptions {
  readonly files: number
  readonly partitions: number
  readonly report: (line: string) => void
}

export interface WipedIndexResult {
  readonly files: number
  readonly commits: number
  readonly fillSeconds: number
  /** From FLUSHALL until the index has every commit that was there. */
  readonly rebuildSeconds: number
  readonly okWhileRebuilding: number
  /** The longest time without an acknowledgement meanwhile, and in as long a time before. */
  readonly longestGapMs: number
  readonly longestGapBeforeMs: number
  /** Answers from the first request to the end of the rebuild, by what they said. */
  readonly answers: Readonly<Record<string, number>>
  /** From the first start of the second cluster until every partition is owned; its index is complete. */
  readonly goOnSeconds: number
  readonly goOnIndexSeconds: number
  /** Files of the old topic that the third cluster's index lacks until it is repaired. */
  readonly otherTopicFiles: number
  readonly repairSeconds: number
  /** Of the load over all three clusters; every one is stored once. */
  readonly rows: number
}

const INGESTERS = ['alpha', 'beta']
const ROUTERS = ['gate', 'door']
/** The load alone commits every partition that it reaches this often. */
const FLAGS = ['--flush-interval=2s']
const INDEX_TIMEOUT_MS = 600_000
const DRAIN_TIMEOUT_MS = 120_000
const STEADY_MS = 3000

export async function runWipedIndex(options: WipedIndexOptions): Promise<WipedIndexResult> {
  const first = await startCluster(options)
  const load = new SteadyLoad(first)
  try {
    const filled = await fill(first, options)
    const wiped = await wipeRedis(first, load, options)
    // with rows in Kafka that are in no file, and requests that nobody has answered
    await first.kill()
    const { kafka, s3 } = first
    const wentOn = await goOn(options, load, { kafka, s3 })
    const other = await goOnWithOtherTopic(options, load, { s3 })
    const rows = await judgeLoad(first, load)
    return { ...filled, ...wiped, ...wentOn, ...other, rows }
  } finally {
    await load.close()
    await first.stop()
  }
}

async function startCluster(
  { partitions }: WipedIndexOptions,
  kept: KeptParts = {},
): Promise<SmallCluster> {
  const cluster = await SmallCluster.start(partitions, kept)
  try {
    for (const name of INGESTERS) await cluster.add('ingester', name, FLAGS)
    for (const name of ROUTERS) await cluster.add('router', name)
    return cluster
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

async function fill(cluster: SmallCluster, { files, report }: WipedIndexOptions) {
  const startMs = performance.now()
  const port = cluster.processes.get(ROUTERS[0]!)!.port('grpc')
  const sender = new GrpcSender(`127.0.0.1:${String(port)}`)
  try {
    const filled = await fillBucket(cluster, sender, files, report)
    const ends = await chainEnds(cluster.store)
    const commits = ends.reduce((sum, { commits: count }) => sum + count, 0)
    const fillSeconds = secondsSince(startMs)
    report(`${String(filled.files)} files in ${String(commits)} commits, ${String(fillSeconds)} s`)
    return { files: filled.files, commits, fillSeconds }
  } finally {
    sender.close()
  }
}

async function wipeRedis(cluster: SmallCluster, load: SteadyLoad, { report }: WipedIndexOptions) {
  const { store, redis } = cluster
  load.start()
  const startMs = performance.now()
  await untilSo(
    () => Promise.resolve(performance.now() - startMs),
    (passedMs) => passedMs > STEADY_MS,
  )
  const ends = await chainEnds(store)
  const wipedMs = performance.now()
  await redis.admin.flushall()
  await untilIndexed(store, redis.url, ends, INDEX_TIMEOUT_MS)
  const doneMs = performance.now()
  const answers = load.answers()
  const longestGapMs = Math.round(load.longestGapMs(wipedMs, doneMs))
  const longestGapBeforeMs = Math.round(load.longestGapMs(startMs, wipedMs))
  const okWhileRebuilding = load.ledger.okMs.filter((at) => at > wipedMs && at < doneMs).length
  const rebuildSeconds = seconds(doneMs - wipedMs)
  report(
    `Redis emptied: the index is complete after ${String(rebuildSeconds)} s; ` +
      `${String(okWhileRebuilding)} requests acknowledged meanwhile, at most ` +
      `${String(longestGapMs)} ms apart (${String(longestGapBeforeMs)} ms before), ` +
      `answers ${JSON.stringify(answers)}`,
  )
  assert.ok(okWhileRebuilding > 0 || doneMs - wipedMs < STEADY_MS, 'acknowledgements go on')
  await load.finish(DRAIN_TIMEOUT_MS)
  await drain(cluster)
  const { index } = await verify(cluster, '--check-index', '--no-contents')
  assert.deepEqual([index!.before.behind, index!.before.missing], [0, 0])
  load.start()
  return { rebuildSeconds, okWhileRebuilding, longestGapMs, longestGapBeforeMs, answers }
}

/** Another Redis, other routers and ingesters on empty disks; the topic and the bucket stay. */
async function goOn(options: WipedIndexOptions, load: SteadyLoad, kept: Required<KeptParts>) {
  const startMs = performance.now()
  const cluster = await startCluster(options, kept)
  try {
    const ends = await chainEnds(cluster.store)
    load.moveTo(cluster)
    const owned = (): Promise<number> => Promise.resolve(ownerStarts(logsOf(cluster)).size)
    await untilSo(owned, (count) => count === options.partitions, DRAIN_TIMEOUT_MS)
    const goOnSeconds = secondsSince(startMs)
    await untilIndexed(cluster.store, cluster.redis.url, ends, INDEX_TIMEOUT_MS)
    const goOnIndexSeconds = secondsSince(startMs)
    options.report(
      `a new cluster: every partition is owned after ${String(goOnSeconds)} s, its index is ` +
        `complete after ${String(goOnIndexSeconds)} s`,
    )
    await load.finish(DRAIN_TIMEOUT_MS)
    await drain(cluster)
    const { index, chains } = await verify(cluster, '--check-index', '--no-contents')
    assert.deepEqual([index!.before.behind, index!.before.missing], [0, 0])
    assert.equal(new Set(chains.map(({ logId }) => logId)).size, 1, 'the chains of the topic go on')
    return { goOnSeconds, goOnIndexSeconds }
  } finally {
    await cluster.stop()
  }
}

/** Another Kafka too: chains of its own begin at 0 beside the old ones, which stay readable. */
async function goOnWithOtherTopic(options: WipedIndexOptions, load: SteadyLoad, kept: KeptParts) {
  const cluster = await startCluster(options, kept)
  try {
    const before = await chainEnds(cluster.store)
    load.moveTo(cluster)
    load.start()
    const sent = load.ledger.okMs.length
    const count = (): Promise<number> => Promise.resolve(load.ledger.okMs.length)
    await untilSo(count, (ok) => ok > sent + 2 * options.partitions, DRAIN_TIMEOUT_MS)
    await load.finish(DRAIN_TIMEOUT_MS)
    await drain(cluster, new Set(before.map(({ id }) => id.logId)))
    const after = await chainEnds(cluster.store)
    const logs = new Set(after.map(({ id }) => id.logId))
    assert.equal(logs.size, 2, 'the new topic has chains of its own')
    const isKept = before.every(({ id, end }) =>
      after.some(
        (chain) =>
          chain.id.logId === id.logId && chain.id.partition === id.partition && chain.end === end,
      ),
    )
    assert.ok(isKept, 'nobody adds to the chains of the old topic')
    // once with what every file holds: that takes minutes
    const { index } = await verify(cluster, '--check-index')
    const otherTopicFiles = index!.before.behind
    const repaired = await verify(cluster, '--repair-index', '--no-contents')
    const repairSeconds = seconds(repaired.index!.rebuilt!.durationMs)
    assert.equal(repaired.index!.after!.behind, 0)
    options.report(
      `another Kafka: chains of its own; --repair-index adds ${String(otherTopicFiles)} files of ` +
        `the old topic to the index in ${String(repairSeconds)} s`,
    )
    return { otherTopicFiles, repairSeconds }
  } finally {
    await cluster.stop()
  }
}

/** All that was acknowledged is in files. */
async function drain(cluster: SmallCluster, otherLogs?: ReadonlySet<string>): Promise<void> {
  const behind = async (): Promise<string[]> => {
    await flushAll(cluster)
    return uncommittedPartitions(cluster.store, cluster.kafka, TOPIC, otherLogs)
  }
  await untilSo(behind, (partitions) => partitions.length === 0, DRAIN_TIMEOUT_MS)
}

type Verified = VerifyReport & { readonly index?: IndexReport }

async function verify(cluster: SmallCluster, ...what: string[]): Promise<Verified> {
  const flags = [...what, ...cluster.storeFlags, ...cluster.redisFlags, '--json']
  const { status, out, err } = await cluster.run('verify', ...flags)
  assert.equal(status, 0, `verify ${what.join(' ')}: ${err}${out.slice(-4000)}`)
  return JSON.parse(out) as Verified
}

/** DuckDB finds every acknowledged row of the load, once. */
async function judgeLoad({ store }: SmallCluster, load: SteadyLoad): Promise<number> {
  const copy = await StoreCopy.create(store)
  try {
    const files = await copy.refresh(({ tenant }) => !isFilling(tenant))
    const { rows, violations } = judge(load.ledger, await readStoredRequests(files))
    assert.deepEqual(violations, [])
    assert.deepEqual(load.ledger.breaches, [])
    assert.equal(load.ledger.totals().acknowledged, rows)
    return rows
  } finally {
    await copy.remove()
  }
}

function logsOf(cluster: SmallCluster): string[] {
  return INGESTERS.map((name) => cluster.processes.get(name)!.log)
}

function seconds(durationMs: number): number {
  return Math.round(durationMs / 100) / 10
}

function secondsSince(startMs: number): number {
  return seconds(performance.now() - startMs)
}
