/**
 * Kills a real process again and again, at random times and at named points of the code, under load,
 * and proves after every few cycles that what was acknowledged is in the committed files, once.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore } from '@tributary/common/object-store/object-store'
import { verifyStore } from '@tributary/common/verify/verify'
import { readCommittedFiles } from '@tributary/cli/query/committed-files'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { StandaloneProcess } from '../standalone-process.ts'
import { countStoredIds } from './stored-ids.ts'
import { drain, sendUntil } from './crash-client.ts'
import { Ledger } from './ledger.ts'

/** Where a process of one is killed; the ids are those of the fault list. */
export const CRASH_POINTS: readonly { readonly id: string; readonly name: string }[] = [
  { id: 'R1', name: 'receive:accepted' },
  { id: 'R2', name: 'ingest:decoded' },
  { id: 'R5', name: 'receive:before-response' },
  { id: 'I2', name: 'wal:mid-write' },
  { id: 'I2', name: 'wal:before-write' },
  { id: 'I3', name: 'wal:after-write' },
  { id: 'I4', name: 'wal:after-sync' },
  { id: 'I5', name: 'wal:rotate' },
  { id: 'I5', name: 'flush:frozen' },
  { id: 'I6', name: 'flush:encode-start' },
  { id: 'I6', name: 'flush:encode' },
  { id: 'I6', name: 'flush:encode-end' },
  { id: 'I7', name: 'flush:before-put' },
  { id: 'I7', name: 'store:before-link' },
  { id: 'I8', name: 'store:after-link' },
  { id: 'I9', name: 'flush:after-put' },
  { id: 'I9', name: 'flush:before-commit' },
  { id: 'I9', name: 'commit:before-put' },
  { id: 'I10', name: 'commit:after-put' },
  { id: 'I11', name: 'flush:after-commit' },
  { id: 'I13', name: 'wal:truncate' },
  { id: 'I16', name: 'schema:before-put' },
  { id: 'I16', name: 'schema:after-put' },
  { id: 'I17', name: 'wal:recover' },
  { id: 'I17', name: 'ingester:recovered' },
]

export interface CrashRunOptions {
  readonly seed: number
  readonly cycles: number
  /** Cycles between two proofs. */
  readonly proofEvery: number
  /** Where in CRASH_POINTS to begin; default the first. */
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
const RECORDS = 40
const RUN_MS_MAX = 900

/** @throws Error naming the seed and the cycle where an acknowledged row is lost or stored twice */
export async function runCrashes(options: CrashRunOptions): Promise<CrashRunResult> {
  const random = new SeededRandom(options.seed)
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-crash-'))
  const ledger = new Ledger(options.seed)
  const killsAt = new Map<string, number>()
  let kills = 0
  for (let cycle = 1; cycle <= options.cycles; cycle++) {
    // every point in turn, each with a random kill after it
    const point =
      cycle % 2 === 0 ? undefined : CRASH_POINTS[((cycle - 1) / 2) % CRASH_POINTS.length]
    const where = await runCycle(dataDir, ledger, point?.name, random)
    kills++
    killsAt.set(where, (killsAt.get(where) ?? 0) + 1)
    if (cycle % options.proofEvery === 0 || cycle === options.cycles) {
      const rows = await prove(dataDir, ledger)
      options.report(
        `seed ${String(options.seed)} cycle ${String(cycle)}: ${String(rows)} rows, 0 lost, 0 duplicated`,
      )
    }
  }
  await rm(dataDir, { recursive: true, force: true })
  return { kills, killsAt, acknowledged: ledger.acknowledged.size, retried: ledger.retried }
}

/** One life of the process; returns how it ended. */
async function runCycle(
  dataDir: string,
  ledger: Ledger,
  point: string | undefined,
  random: SeededRandom,
): Promise<string> {
  const hit = 1 + random.below(4)
  const isAtStart = point === 'wal:recover' || point === 'ingester:recovered'
  const failpoints = point && `${point}=exit@${String(isAtStart ? 1 : hit)}`
  let standalone: StandaloneProcess
  try {
    standalone = await StandaloneProcess.start({
      dataDir,
      flags: FLAGS,
      ...(failpoints === undefined ? {} : { failpoints }),
    })
  } catch (error) {
    // the probe of the store and the recovery pass some points before the process is ready
    if (point !== undefined && String(error).includes('ended with 137')) return point
    throw error
  }
  const stop = new AbortController()
  const sending = sendUntil(standalone, ledger, LANES, RECORDS, stop.signal)
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
async function prove(dataDir: string, ledger: Ledger): Promise<number> {
  const standalone = await StandaloneProcess.start({ dataDir, flags: FLAGS })
  await drain(standalone, ledger)
  await standalone.flush()
  const status = await standalone.stop()
  if (status !== 0)
    throw new Error(`graceful stop ended with ${String(status)}:\n${standalone.log}`)
  const store = await openObjectStore(pathToFileURL(join(dataDir, 'store')).href, {
    logger: createLogger({ name: 'crash', level: 'error' }),
  })
  const report = await verifyStore(store)
  if (!report.isWhole) throw new Error(`verify failed: ${JSON.stringify(report)}`)
  const files = await readCommittedFiles(store)
  const stored = await countStoredIds(files.map(({ key }) => join(dataDir, 'store', key)))
  const lost = [...ledger.acknowledged].filter((id) => !stored.has(id))
  const duplicated = [...stored].filter(([, count]) => count > 1).map(([id]) => id)
  const strange = [...stored.keys()].filter((id) => !ledger.acknowledged.has(id))
  if (lost.length + duplicated.length + strange.length > 0) {
    throw new Error(
      `data in ${dataDir}: lost ${lost.slice(0, 5).join()} (${String(lost.length)}), ` +
        `duplicated ${duplicated.slice(0, 5).join()} (${String(duplicated.length)}), ` +
        `never acknowledged ${strange.slice(0, 5).join()} (${String(strange.length)})`,
    )
  }
  return stored.size
}
