/** What clients and settings do to a cluster so that alerts of cost and saturation fire. */
import { setTimeout as sleep } from 'node:timers/promises'

import { S3_SLOW_DOWN } from '@tributary/common/testing/s3-fault-proxy'

import type { ProcessRole } from '../cluster/cluster-process.ts'
import { startAgain, storeFault, type AlertScene } from './alert-scenes.ts'
import { sendBatches, sendLoad, startRejectedItems, type SceneLoad } from './scene-load.ts'

const NOTHING = (): Promise<void> => Promise.resolve()
/** Longer than a window and the wait of a rule. */
const LOAD_SECONDS = 40
const CLEARING_SECONDS = 40
const REJECTED_PER_SECOND = 3
const FILLING_SECONDS = 20
/** Until ingesters own all partitions again: none is opened while the store refuses. */
const STEADY_MS = 8000

export const LOAD_SCENES: readonly AlertScene[] = [
  {
    fault: 'clients send items that can never be stored',
    alerts: ['ItemsRejected'],
    ...rejectedItems(),
  },
  {
    fault: 'clients send each record in a request of its own',
    alerts: ['RouterSpendsMoreCpu'],
    begin: (cluster) =>
      sendLoad(cluster, {
        ...{ records: 1, requests: 20_000 },
        ...{ inFlight: 64, seconds: LOAD_SECONDS },
      }),
    end: NOTHING,
    whileClearing: (cluster) => sendBatches(cluster, CLEARING_SECONDS),
  },
  {
    fault: 'zstd level 19 and a flush each 100 ms',
    alerts: ['IngesterSpendsMoreCpu'],
    ...flushedLike(['--zstd-level=19', '--flush-interval=100ms'], {
      ...{ records: 100, requests: 600, tenants: 12 },
      ...{ rate: 15, inFlight: 500, seconds: LOAD_SECONDS },
    }),
  },
  {
    fault: 'zstd level 19, and a file for each of 300 tenants',
    alerts: ['FlushQueueBacksUp'],
    ...flushedLike(['--zstd-level=19'], {
      ...{ records: 10, requests: 3000, tenants: 300 },
      ...{ rate: 150, inFlight: 1000, seconds: LOAD_SECONDS },
    }),
  },
  {
    fault: 'the store refuses all, and little memory of ingesters',
    alerts: ['MemtableFull'],
    ...fullOf('ingester', ['--memtable-bytes-max=8MiB']),
  },
]

/** More comes in than has room while nothing can be stored. */
export function fullOf(
  role: ProcessRole,
  flags: readonly string[],
): Pick<AlertScene, 'begin' | 'end'> {
  const { begin, end } = storeFault(S3_SLOW_DOWN)
  return {
    begin: async (cluster, site) => {
      await startAgain(cluster, role, { flags })
      if (role === 'ingester') await sleep(STEADY_MS)
      await begin(cluster, site)
      await sendLoad(cluster, {
        ...{ records: 100, requests: 200, tenants: 12 },
        ...{ rate: 100, inFlight: 190, seconds: FILLING_SECONDS },
      })
    },
    end: async (cluster, site) => {
      await end(cluster, site)
      await startAgain(cluster, role, {})
    },
  }
}

function flushedLike(
  flags: readonly string[],
  load: SceneLoad,
): Pick<AlertScene, 'begin' | 'end' | 'whileClearing'> {
  return {
    begin: async (cluster) => {
      await startAgain(cluster, 'ingester', { flags })
      await sendLoad(cluster, load)
    },
    end: (cluster) => startAgain(cluster, 'ingester', {}),
    whileClearing: (cluster) => sendBatches(cluster, CLEARING_SECONDS),
  }
}

function rejectedItems(): Pick<AlertScene, 'begin' | 'end'> {
  let stop = NOTHING
  return {
    begin: (cluster) => {
      stop = startRejectedItems(cluster, REJECTED_PER_SECOND)
      return Promise.resolve()
    },
    end: () => stop(),
  }
}
