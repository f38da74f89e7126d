/**
 * Kills a real process again and again, at random times and at named points of the code, under load,
 * and proves after every few cycles that what was acknowledged is in the committed files, once.
 */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore } from '@tributary/common/object-store/object-store'
import { verifyStore } from '@tributary/common/verify/verify'
import { freePort } from '@tributary/common/testing/free-port'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { removeCheckedData } from '../readers/checked-store.ts'
import { Ledger } from '../ledger/ledger.ts'
import { LedgerClient } from '../ledger/ledger-client.ts'
import { GrpcSender, HttpSender } from '../ledger/otlp-sender.ts'
import { RequestMaker } from '../ledger/request-maker.ts'
import { judge } from '../oracle/judgement.ts'
import { StoreCopy } from '../oracle/store-copy.ts'
import { readStoredRequests } from '../oracle/stored-requests.ts'
import { StandaloneProcess } from '../standalone-process.ts'
import { CRASH_POINTS } from './crash-points.ts'
import type { CrashPoint } from './crash-points.ts'

/** Those of a process with a file store. */
const POINTS = CRASH_POINTS.filter(({ store }) => store !== 's3').filter(
  ({ isOfCluster }) => isOfCluster !== true,
)

export interface CrashRunOptions {
  readonly seed: number
  readonly cycles: number
  /** Cycles between two proofs. */
  readonly proofEvery: number
  /** Which crash point is the first; default that of the list. */
  readonly firstPoint?: number
  readonly report: (line: string) => void
}

export interface CrashRunResult {
  readonly kills: number
  /** Times that a process ended at each point. */
  readonly killsAt: ReadonlyMap<string, number>
  readonly acknowledged: number
  readonly retried: number
}

/** Small bounds, so that every step of the data path happens many times a second. */
const FLAGS = [
  '--flush-interval=300ms',
  '--flush-bytes=256KiB',
  '--wal-segment-bytes-max=1MiB',
  '--wal-bytes-max=64MiB',
]
const LANES = 3
const ITEMS_MAX = 80
const TENANTS = ['default', 'acme']
const TIMEOUT_MS = 10_000
const DRAIN_TIMEOUT_MS = 60_000
const RUN_MS_MAX = 900
const MISSES_PER_KILL = 4

/** What outlives the processes of a run: the folder, the clients, and where they look for the server. */
interface Scene {
  readonly dataDir: string
  readonly flags: readonly string[]
  readonly ledger: Ledger
  readonly clients: readonly LedgerClient[]
  readonly random: SeededRandom
}

/** @throws Error naming the seed and the cycle where an acknowledged row is lost or stored twice */
export async function runCrashes(options: CrashRunOptions): Promise<CrashRunResult> {
  const scene = await prepare(options.seed)
  const killsAt = new Map<string, number>()
  const missesAt = new Map<string, number>()
  let kills = 0
  for (let cycle = 1; cycle <= options.cycles; cycle++) {
    // every other kill at a random time
    const point =
      cycle % 2 === 0 ? undefined : nextPoint(killsAt, missesAt, options.firstPoint ?? 0)
    const misses = missesAt.get(point?.name ?? '') ?? 0
    const where = await runCycle(scene, point, { isRare: misses > 0 })
    kills++
    if (point !== undefined && where !== point.name) missesAt.set(point.name, misses + 1)
    killsAt.set(where, (killsAt.get(where) ?? 0) + 1)
    if (cycle % options.proofEvery === 0 || cycle === options.cycles) {
      const rows = await prove(scene)
      options.report(
        `seed ${String(options.seed)} cycle ${String(cycle)}: ${String(rows)} rows, 0 lost, 0 duplicated`,
      )
    }
  }
  for (const client of scene.clients) client.close()
  await removeCheckedData(scene.dataDir)
  const { acknowledged, retries } = scene.ledger.totals()
  return { kills, killsAt, acknowledged, retried: retries }
}

/**
 * The point that was met least often, from `first` on where several were. Some are not passed in each
 * life of a process: a few misses count as a kill, so that none is waited for in vain.
 */
function nextPoint(
  killsAt: ReadonlyMap<string, number>,
  missesAt: ReadonlyMap<string, number>,
  first: number,
): CrashPoint {
  let least = POINTS[first % POINTS.length]!
  let leastTurns = Infinity
  for (let i = 0; i < POINTS.length; i++) {
    const point = POINTS[(first + i) % POINTS.length]!
    const { name } = point
    const turns = (killsAt.get(name) ?? 0) + (missesAt.get(name) ?? 0) / MISSES_PER_KILL
    if (turns < leastTurns) [least, leastTurns] = [point, turns]
  }
  return least
}

async function prepare(seed: number): Promise<Scene> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-crash-'))
  const [grpcPort, httpPort] = [await freePort(), await freePort()]
  const ports = [`--otlp-grpc-port=${String(grpcPort)}`, `--otlp-http-port=${String(httpPort)}`]
  const ledger = new Ledger()
  const senders = [
    new GrpcSender(`127.0.0.1:${String(grpcPort)}`),
    new HttpSender(`http://127.0.0.1:${String(httpPort)}`),
  ]
  const clients = senders.map((sender, client) => {
    const maker = new RequestMaker({
      ...{ client, seed, tenants: TENANTS, itemsMax: ITEMS_MAX, rejectedShare: 0.1 },
    })
    return new LedgerClient({
      ...{ ledger, maker, senders: [sender], lanes: LANES, timeoutMs: TIMEOUT_MS, seed },
    })
  })
  return { dataDir, flags: [...FLAGS, ...ports], ledger, clients, random: new SeededRandom(seed) }
}

/** One life of the process; a rare point kills when it is first passed. Returns how it ended. */
async function runCycle(
  scene: Scene,
  crashPoint: CrashPoint | undefined,
  { isRare }: { readonly isRare: boolean },
): Promise<string> {
  const { dataDir, flags, clients, random } = scene
  const hit = isRare ? 1 : 1 + random.below(4)
  const point = crashPoint?.name
  const failpoints = point && `${point}=exit@${String(crashPoint.isAtStart === true ? 1 : hit)}`
  let standalone: StandaloneProcess
  try {
    standalone = await StandaloneProcess.start({
      ...{ dataDir, flags },
      ...(failpoints === undefined ? {} : { failpoints }),
    })
  } catch (error) {
    // the probe of the store and the recovery pass some points before the process is ready
    if (point !== undefined && String(error).includes('ended with 137')) return point
    throw error
  }
  const stop = new AbortController()
  const sending = Promise.all(clients.map((client) => client.run(stop.signal)))
  const timer = setTimeout(
    () => {
      void standalone.kill()
    },
    point === undefined ? 20 + random.below(RUN_MS_MAX) : RUN_MS_MAX * 2,
  )
  const started = performance.now()
  await standalone.exited
  clearTimeout(timer)
  stop.abort()
  await sending
  const isTimed = point === undefined || performance.now() - started >= RUN_MS_MAX * 2
  return isTimed ? 'random time' : point
}

/** Everything open is sent again, everything is flushed, and then the store alone is asked. */
async function prove({ dataDir, flags, ledger, clients }: Scene): Promise<number> {
  const standalone = await StandaloneProcess.start({ dataDir, flags })
  await Promise.all(clients.map((client) => client.drain(DRAIN_TIMEOUT_MS)))
  await standalone.flush()
  const status = await standalone.stop()
  if (status !== 0)
    throw new Error(`graceful stop ended with ${String(status)}:\n${standalone.log}`)
  const store = await openObjectStore(pathToFileURL(join(dataDir, 'store')).href, {
    logger: createLogger({ name: 'crash', level: 'error' }),
  })
  const report = await verifyStore(store)
  if (!report.isWhole) throw new Error(`verify failed: ${JSON.stringify(report)}`)
  const copy = await StoreCopy.create(store)
  const judgement = judge(ledger, await readStoredRequests(await copy.refresh()))
  await copy.remove()
  const { breaches } = ledger
  if (judgement.violationCount + breaches.length > 0) {
    throw new Error(`data in ${dataDir}: ${JSON.stringify({ judgement, breaches }, undefined, 2)}`)
  }
  return judgement.rows
}
