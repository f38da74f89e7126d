/** Load beside that of a watched cluster: much more of it, or of another kind, for as long as a scene needs. */
import type { SignalName } from '@tributary/common/signal'

import { ChaosLoad } from '../chaos/chaos-load.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { Ledger } from '../ledger/ledger.ts'
import { runLoad } from '../load/load-run.ts'
import { grpcTransport } from '../load/load-transport.ts'
import { PayloadPool } from '../load/payload-pool.ts'

export interface SceneLoad {
  readonly signal?: SignalName
  /** Of a request. */
  readonly records: number
  readonly resources?: number
  /** Different ones; also what can be under way at most. */
  readonly requests: number
  readonly tenants?: number
  /** Requests per second; undefined keeps `inFlight` under way. */
  readonly rate?: number
  readonly inFlight: number
  readonly seconds: number
}

const CONNECTIONS = 4
/** What was sent last is answered by then. */
const ANSWER_SECONDS = 10
const SEED = 7
/** Far from those of the load that is always there. */
const FIRST_CLIENT = 1000
const CLIENTS = 3
const ITEMS_MAX = 20

/** Sends to the first entrance, whatever it answers. */
export async function sendLoad({ entrances }: Cluster, load: SceneLoad): Promise<void> {
  const { signal = 'logs', records, resources = 1, requests, tenants, inFlight, seconds } = load
  const startUnixNano = BigInt(Date.now()) * 1_000_000n
  const pool = new PayloadPool({ signal, records, resources, requests, startUnixNano })
  const transport = grpcTransport(entrances[0]!.grpc, signal, CONNECTIONS, tenants)
  // some faults leave calls without an end
  const cut = setTimeout(
    () => {
      transport.close()
    },
    (seconds + ANSWER_SECONDS) * 1000,
  )
  await runLoad({ pool, transport, seconds, rate: load.rate, inFlight })
  clearTimeout(cut)
  transport.close()
}

/** Requests as collectors send them, large and not many: what routers and ingesters are made for. */
export function sendBatches(cluster: Cluster, seconds: number): Promise<void> {
  return sendLoad(cluster, {
    ...{ records: 1000, resources: 10, requests: 100 },
    ...{ rate: 5, inFlight: 90, seconds },
  })
}

/** Clients each of whose span requests has an item that can never be stored. @returns how to end them */
export function startRejectedItems(cluster: Cluster, ratePerSecond: number): () => Promise<void> {
  const load = new ChaosLoad(cluster, new Ledger(), {
    ...{ seed: SEED, clients: CLIENTS, firstClient: FIRST_CLIENT, ratePerSecond },
    ...{ itemsMax: ITEMS_MAX, rejectedShare: 1 },
  })
  load.start()
  return async () => {
    await load.stop()
    load.close()
  }
}
