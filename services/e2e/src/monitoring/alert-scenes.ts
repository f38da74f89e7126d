/**
 * The faults of a cluster that alerts are for: each scene does one, and says which alerts fire by it. What a
 * scene leaves behind it ends itself, so that the alerts clear.
 */
import { spawnSync } from 'node:child_process'
import { connect, type ClientHttp2Session } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import type { S3Fault } from '@tributary/common/testing/s3-fault-proxy'
import { S3_SLOW_DOWN } from '@tributary/common/testing/s3-fault-proxy'

import type { Cluster } from '../cluster/cluster.ts'
import type { ClusterProcess, ProcessRole, StartPlan } from '../cluster/cluster-process.ts'
import { TOPIC } from '../cluster/cluster-parts.ts'
import type { WatchedControllers } from './watched-controllers.ts'

/** What stands beside the cluster. */
export interface SceneSite {
  readonly controllers: WatchedControllers | undefined
}

export interface AlertScene {
  readonly fault: string
  /** Without `Tributary`. */
  readonly alerts: readonly string[]
  readonly begin: (cluster: Cluster, site: SceneSite) => Promise<void>
  readonly end: (cluster: Cluster, site: SceneSite) => Promise<void>
  /** Beside the waiting until alerts are silent: a better load. */
  readonly whileClearing?: (cluster: Cluster) => Promise<void>
}

const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const NOTHING = (): Promise<void> => Promise.resolve()
/** A process that is away for longer than alerts wait. */
const AWAY_MS = 20_000
/** Machines of tests have other work too. */
const READY_TIMEOUT_MS = 150_000
/** Past the lease of a member. */
const FROZEN_MS = 12_000
const SLOW_COMMITS = 'commit:before-put=sleep(2000)@1+'
/** It owns partitions again, and has rows. */
const STEADY_MS = 8000
const STALLS = 5
const STALL_MS = 6500
const RESTARTS = 4
const RESTART_PAUSE_MS = 1500
const BAD_REQUESTS = 60
const BAD_REQUEST_PAUSE_MS = 200
const STORE_DELAY_MS = 3000
const SLOW_BROKER_MS = 1500
const FILES_MAX = 300
const FILES_SHARE = 0.88
/** Past the end of any chain of such a run. */
const FAR_OFFSETS = 1_000_000n

export const ALERT_SCENES: readonly AlertScene[] = [
  {
    fault: 'clients send broken bodies',
    alerts: ['ClientsDropData'],
    begin: sendBrokenBodies,
    end: NOTHING,
  },
  {
    fault: 'FLUSHALL',
    alerts: ['LeasesForgotten'],
    begin: async ({ parts }) => {
      await parts.redis!.master.admin.flushall()
    },
    end: NOTHING,
  },
  {
    fault: 'Redis killed',
    alerts: ['RouterWithoutRedis', 'IngesterWithoutRedis', 'IndexBehind'],
    begin: ({ parts }) => parts.redis!.master.kill(),
    end: ({ parts }) => parts.redis!.master.restart(),
  },
  {
    fault: 'all brokers killed',
    alerts: ['RouterNotReady', 'AcknowledgementErrors', 'ProduceErrors', 'BrokerCircuitOpen'],
    begin: async ({ parts }) => {
      for (const id of parts.kafka!.nodeIds) await parts.kafka!.kill(id)
    },
    end: async ({ parts }) => {
      for (const id of parts.kafka!.nodeIds) parts.kafka!.startNode(id)
      await parts.kafka!.untilReady()
    },
  },
  {
    fault: 'brokers answer late',
    alerts: ['AcknowledgementsSlow'],
    begin: ({ board }) => {
      for (const { proxy } of board.between('router', 'broker')) {
        proxy.impair('both', { delayMs: SLOW_BROKER_MS })
      }
      return Promise.resolve()
    },
    end: ({ board }) => board.heal(),
  },
  {
    fault: 'the store refuses all',
    alerts: ['StoreErrors', 'UnflushedOld', 'Lagging', 'LagThreatensRetention', 'FreshnessStale'],
    ...storeFault(S3_SLOW_DOWN),
  },
  {
    fault: 'the store is slow',
    alerts: ['StoreSlow'],
    ...storeFault({ kind: 'delay', delayMs: STORE_DELAY_MS }),
  },
  {
    fault: 'disks of ingesters full',
    alerts: ['FetchHeld', 'IngesterNotReady'],
    begin: (cluster) => {
      for (const { disk } of cluster.ofRole('ingester')) disk?.fill()
      return Promise.resolve()
    },
    end: async (cluster) => {
      for (const { disk } of cluster.ofRole('ingester')) await disk?.free()
    },
  },
  {
    fault: 'all ingesters away',
    alerts: ['TargetDown', 'PartitionsUnowned'],
    begin: (cluster) => takeAway(cluster.ofRole('ingester')),
    end: (cluster) => cluster.untilReady(READY_TIMEOUT_MS),
  },
  {
    fault: 'all routers away',
    alerts: ['TargetDown', 'NoRouters'],
    begin: (cluster) => takeAway(cluster.ofRole('router')),
    end: (cluster) => cluster.untilReady(READY_TIMEOUT_MS),
  },
  {
    fault: 'a router starts again and again',
    alerts: ['Restarting'],
    begin: async (cluster) => {
      const [router] = cluster.ofRole('router')
      for (let n = 0; n < RESTARTS; n++) {
        await router!.kill()
        await router!.untilReady()
        await sleep(RESTART_PAUSE_MS)
      }
    },
    end: NOTHING,
  },
  {
    fault: 'the event loop of a router held',
    alerts: ['EventLoopHeld'],
    begin: async (cluster) => {
      const [router] = cluster.ofRole('router')
      for (let n = 0; n < STALLS; n++) {
        router!.current?.signal('SIGUSR2')
        await sleep(STALL_MS)
      }
    },
    end: NOTHING,
  },
  {
    fault: 'an ingester frozen past its leases, again and again',
    alerts: ['CommitsFenced'],
    begin: async (cluster) => {
      for (const ingester of cluster.ofRole('ingester')) {
        // nearly always about to commit: past the look at its lease
        ingester.plan({ failpoints: SLOW_COMMITS, isEndExpected: true })
        await ingester.kill()
        await ingester.untilReady()
        await sleep(STEADY_MS)
        ingester.current?.freeze()
        await sleep(FROZEN_MS)
        ingester.current?.thaw()
        await cluster.untilReady(READY_TIMEOUT_MS)
      }
    },
    end: (cluster) => startAgain(cluster, 'ingester', {}),
  },
  {
    fault: 'a record in the topic that is none of ours',
    alerts: ['RecordsUnreadable', 'Holes'],
    begin: async ({ parts }) => {
      await parts.kafka!.produce(TOPIC, 0, [Buffer.from('not an envelope')])
    },
    end: NOTHING,
  },
  {
    fault: 'a bug in the encoder of files',
    alerts: ['RowsQuarantined'],
    begin: (cluster) =>
      startAgain(cluster, 'ingester', {
        failpoints: 'flush:encode-start=throw@1+',
        // with the default of 100 all partitions halt in their first flush, before they have committed
        flags: ['--quarantine-per-hour-max=1000000'],
      }),
    end: (cluster) => startAgain(cluster, 'ingester', {}),
  },
  {
    fault: 'a file index that belongs to other chains, and a takeover',
    alerts: ['IndexDrift'],
    begin: falsifyIndex,
    end: (cluster) => cluster.untilReady(READY_TIMEOUT_MS),
  },
  {
    fault: 'connections up to the bound of file descriptors',
    alerts: ['FilesNearLimit'],
    ...openFiles(),
  },
  {
    fault: 'a bug in the path of requests',
    alerts: ['InternalErrors'],
    begin: (cluster) => startAgain(cluster, 'router', { failpoints: 'ingest:decoded=throw@20+' }),
    end: (cluster) => startAgain(cluster, 'router', {}),
  },
  {
    fault: 'records deleted before they were fetched',
    alerts: ['LogGap', 'PartitionHalted'],
    begin: deleteUnfetched,
    // as the runbook says: go on without them once
    end: (cluster) => startAgain(cluster, 'ingester', { flags: ['--gap-policy=skip'] }),
  },
  {
    fault: 'API keys in Redis, and one of them lost by it',
    alerts: ['KeysLost'],
    begin: loseKey,
    end: (cluster) => startAgain(cluster, 'router', {}),
  },
  {
    fault: 'API keys in Redis, and Redis killed',
    alerts: ['KeyStoreAway'],
    begin: async (cluster) => {
      await useKey(cluster)
      await cluster.parts.redis!.master.kill()
    },
    end: async (cluster) => {
      await cluster.parts.redis!.master.restart()
      await startAgain(cluster, 'router', {})
    },
  },
  {
    fault: 'a commit deleted from the bucket',
    alerts: ['PartitionFailures'],
    ...deletedCommit(),
  },
]

export function storeFault(fault: S3Fault): Pick<AlertScene, 'begin' | 'end'> {
  return {
    begin: ({ parts }) => {
      parts.storeFaults.inject({ fault, times: Infinity })
      return Promise.resolve()
    },
    end: ({ parts }) => {
      parts.storeFaults.heal()
      return Promise.resolve()
    },
  }
}

async function takeAway(processes: readonly ClusterProcess[]): Promise<void> {
  for (const each of processes) each.plan({ pauseMs: AWAY_MS })
  await Promise.all(processes.map((each) => each.kill()))
}

/** Every process of the role, one after another, and like this. */
export async function startAgain(
  cluster: Cluster,
  role: ProcessRole,
  plan: StartPlan,
): Promise<void> {
  for (const each of cluster.ofRole(role)) {
    each.plan({ ...plan, isEndExpected: true })
    const { starts } = each
    await each.kill()
    await each.untilReady()
    if (each.starts !== starts + 1) throw new Error(`${each.name} does not start as planned`)
  }
}

async function sendBrokenBodies({ entrances }: Cluster): Promise<void> {
  for (let n = 0; n < BAD_REQUESTS; n++) {
    const answer = await fetch(`${entrances[0]!.http}/v1/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf' },
      body: Buffer.from('this is no protobuf'),
    })
    await answer.arrayBuffer()
    await sleep(BAD_REQUEST_PAUSE_MS)
  }
}

const KEY_PLACE = '--api-keys=redis'
const KEYS = '{tributary}:keys'

/** Routers ask for keys, and each has seen the one that there is. */
async function useKey(cluster: Cluster): Promise<void> {
  await startAgain(cluster, 'router', { flags: [KEY_PLACE] })
  const redis = cluster.parts.redis!.master.url
  const command = [COMMAND, 'keys', 'create', '--tenant=acme', KEY_PLACE, `--redis-url=${redis}`]
  const made = spawnSync(process.execPath, command, { encoding: 'utf8' })
  const key = made.stdout.trim()
  for (const { http } of cluster.entrances) {
    const answer = await fetch(`${http}/v1/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf', authorization: `Bearer ${key}` },
      body: Buffer.alloc(0),
    })
    await answer.arrayBuffer()
    if (!answer.ok) throw new Error(`the key is not taken: ${String(answer.status)} ${made.stderr}`)
  }
}

async function loseKey(cluster: Cluster): Promise<void> {
  await useKey(cluster)
  const { admin } = cluster.parts.redis!.master
  const fields = await admin.hkeys(KEYS)
  await admin.hdel(KEYS, ...fields.filter((field) => !field.startsWith('#')))
}

/** Ingesters are away while records come in and go. */
async function deleteUnfetched(cluster: Cluster): Promise<void> {
  const kafka = cluster.parts.kafka!
  const ingesters = cluster.ofRole('ingester')
  await takeAway(ingesters)
  for (const { disk } of ingesters) await disk?.empty()
  await sleep(AWAY_MS / 2)
  const offsets = await kafka.withAdmin((admin) => admin.fetchTopicOffsets(TOPIC))
  for (const { partition, high } of offsets) {
    await kafka.deleteRecords(TOPIC, partition, BigInt(high))
  }
  await Promise.all(ingesters.map((each) => each.untilReady()))
}

/** As with a Redis that was set back to the backup of another cluster. */
async function falsifyIndex(cluster: Cluster): Promise<void> {
  const { admin } = cluster.parts.redis!.master
  const generation = await admin.hget('{tributary}:index', 'generation')
  const key = `{tributary}:${generation ?? ''}:ends`
  for (const [partition, value] of Object.entries(await admin.hgetall(key))) {
    const end = BigInt(value.split(' ')[0]!) + FAR_OFFSETS
    await admin.hset(key, partition, `${String(end)} ${String(end - 1n)}`)
  }
  const [first] = cluster.ofRole('ingester')
  first!.plan({ pauseMs: AWAY_MS })
  await first!.kill()
}

/** A router that may have few files, and clients that stay. */
function openFiles(): Pick<AlertScene, 'begin' | 'end'> {
  const sessions: ClientHttp2Session[] = []
  return {
    begin: async (cluster) => {
      const [router] = cluster.ofRole('router')
      const wrapper = ['prlimit', `--nofile=${String(FILES_MAX)}:${String(FILES_MAX)}`]
      router!.plan({ wrapper, isEndExpected: true })
      await router!.kill()
      await router!.untilReady()
      const { current } = router!
      const metrics = await (await fetch(`${current!.adminUrl}/metrics`)).text()
      const open = Number(/^process_open_fds (\d+)$/m.exec(metrics)?.[1])
      for (let n = open; n < FILES_SHARE * FILES_MAX; n++) {
        const session = connect(`http://127.0.0.1:${String(current!.port('grpc'))}`)
        // the router is killed under them at the end
        session.on('error', () => undefined)
        sessions.push(session)
      }
    },
    end: async (cluster) => {
      for (const session of sessions) session.destroy()
      await startAgain(cluster, 'router', {})
    },
  }
}

function deletedCommit(): Pick<AlertScene, 'begin' | 'end'> {
  const deleted = new Map<string, Uint8Array>()
  return {
    begin: async (cluster) => {
      const store = await cluster.parts.openStore()
      const keys: string[] = []
      for await (const { key } of store.list('commits/')) keys.push(key)
      // not the newest: then the chain would only be shorter
      const key = keys.filter((each) => /\/0\/\d+\.json$/.test(each)).at(-2)!
      deleted.set(key, await store.get(key))
      await store.delete(key)
      await store.close()
      await startAgain(cluster, 'ingester', {})
    },
    end: async (cluster) => {
      const store = await cluster.parts.openStore()
      for (const [key, bytes] of deleted) await store.put(key, bytes, { onlyIfAbsent: true })
      await store.close()
      await startAgain(cluster, 'ingester', {})
    },
  }
}
