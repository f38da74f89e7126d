/**
 * Does faults to a cluster under load, one round after another under a seed, and proves now and then
 * that what was acknowledged is stored once. A round is one to three faults at the same time; after it
 * everything is healed and must serve again without help.
 */
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { ProcessEnd } from '../cluster/cluster-process.ts'
import { Cluster } from '../cluster/cluster.ts'
import { Ledger } from '../ledger/ledger.ts'
import { StoreCopy } from '../oracle/store-copy.ts'
import { walsBehindChains } from './wal-begins.ts'
import { ChaosLoad } from './chaos-load.ts'
import { ChaosReport, type ChaosResult } from './chaos-report.ts'
import { CommitAttempts } from './commit-attempts.ts'
import type { Fault, Scene } from './fault.ts'
import { FaultDeck } from './fault-deck.ts'
import { prove } from './proof.ts'

export interface ChaosOptions {
  readonly seed: number
  /** Faults begin until this much time has passed. */
  readonly minutes: number
  readonly isStandalone: boolean
  readonly routers: number
  readonly ingesters: number
  readonly partitions: number
  /** Checkout of an older build: half of the processes run from it, and change builds now and then. */
  readonly olderBuild?: string
  /** At most so many rounds. */
  readonly roundsMax?: number
  /** Rounds between two proofs. */
  readonly proofEvery: number
  readonly holdMsMax: number
  /** Faults of a round, at the same time: mostly the least. */
  readonly atOnceMin: number
  readonly atOnceMax: number
  /** Only faults whose name holds one of these. */
  readonly only?: readonly string[]
  readonly clients: number
  readonly ratePerSecond: number
  readonly itemsMax: number
  readonly report: (line: string) => void
}

/** Some faults end with a restart of everything. */
const RECOVERY_TIMEOUT_MS = 150_000
const DRAIN_TIMEOUT_MS = 240_000
const USAGE_EVERY_MS = 500

/** @returns what was done and found; a violation is in the result, not thrown */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { report } = options
  const onEnd = (end: ProcessEnd): void => {
    if (end.isExpected) return
    const said = end.log.slice(-300)
    report(`! ${end.name} ended with ${String(end.status)} by itself: ${said}`)
  }
  const cluster = await Cluster.start({ ...options, onEnd })
  const run = new ChaosRun(cluster, options)
  let isWhole = false
  try {
    const result = await run.run()
    isWhole = result.problems.length === 0
    return result
  } finally {
    if (!isWhole) report(`logs are kept in ${cluster.folder}`)
    await cluster.stop(!isWhole)
  }
}

class ChaosRun {
  readonly #cluster: Cluster
  readonly #options: ChaosOptions
  readonly #ledger = new Ledger()
  readonly #load: ChaosLoad
  readonly #report: ChaosReport
  readonly #attempts = new CommitAttempts()

  constructor(cluster: Cluster, options: ChaosOptions) {
    this.#cluster = cluster
    this.#options = options
    this.#load = new ChaosLoad(cluster, this.#ledger, options)
    this.#report = new ChaosReport(options)
    const tell = (body: Buffer): void => this.#attempts.note(body)
    cluster.parts.storeFaults.watch({ key: /\/commits\//, tell })
  }

  async run(): Promise<ChaosResult> {
    const { seed, minutes, roundsMax = Infinity, proofEvery, holdMsMax, only } = this.#options
    const scene: Scene = { cluster: this.#cluster, holdMsMax }
    const deck = new FaultDeck(scene, seed, only)
    this.#report.obstacles = deck.obstacles
    const store = await this.#cluster.parts.openStore()
    const copy = await StoreCopy.create(store)
    const usage = setInterval(() => this.#report.noteUsage(this.#cluster), USAGE_EVERY_MS)
    const endMs = performance.now() + minutes * 60_000
    try {
      this.#load.start()
      for (let round = 1; performance.now() < endMs && round <= roundsMax; round++) {
        await this.#round(scene, deck, round)
        await this.#checkWals(store)
        if (this.#report.isBroken) break
        if (round % proofEvery === 0) await this.#prove(store, copy)
        if (this.#report.isBroken) break
      }
      if (!this.#report.isBroken) await this.#prove(store, copy)
      await this.#load.stop()
      const dirty = await this.#cluster.stopProcesses()
      for (const end of dirty) this.#report.problem(`R6 ${end} when stopped`)
    } finally {
      clearInterval(usage)
      await this.#load.stop()
      this.#load.close()
      await copy.remove()
      await store.close()
    }
    return this.#report.result(this.#cluster, this.#load, this.#ledger)
  }

  /** Parameters follow from seed and round alone. */
  async #round(scene: Scene, deck: FaultDeck, round: number): Promise<void> {
    const startMs = performance.now()
    const random = new SeededRandom(this.#options.seed * 7919 + round)
    const { atOnceMin, atOnceMax } = this.#options
    const isFew = random.chance(0.6) || atOnceMax === atOnceMin
    const faults = deck.draw(
      isFew ? atOnceMin : atOnceMin + 1 + random.below(atOnceMax - atOnceMin),
    )
    const lines = await Promise.all(
      faults.map((fault) => this.#inflict(fault, scene, random.uint32())),
    )
    const healedMs = performance.now()
    try {
      await this.#cluster.heal()
      await this.#cluster.untilReady(RECOVERY_TIMEOUT_MS)
      this.#report.noteRecovery(performance.now() - healedMs)
    } catch (error) {
      this.#report.problem(
        `L1 after ${faults.map(({ name }) => name).join(' + ')}: ${String(error)}`,
      )
    }
    const seconds = Math.round((performance.now() - startMs) / 1000)
    this.#options.report(`${String(round)}. (${String(seconds)} s) ${lines.join(' | ')}`)
  }

  async #inflict(fault: Fault, scene: Scene, seed: number): Promise<string> {
    try {
      const done = await fault.run(scene, new SeededRandom(seed))
      this.#report.noteFault(fault, done !== '')
      return `${fault.id} ${fault.name}: ${done === '' ? 'came to nothing' : done}`
    } catch (error) {
      this.#report.problem(`${fault.id} ${fault.name}: ${String(error)}`)
      return `${fault.id} ${fault.name}: ${String(error)}`
    }
  }

  /** While all of them work. */
  async #checkWals(store: ObjectStore): Promise<void> {
    const disks = this.#cluster.processes.flatMap(({ name, disk }) =>
      disk === undefined ? [] : [{ name, path: disk.path }],
    )
    for (const problem of await walsBehindChains(disks, store)) this.#report.problem(problem)
  }

  async #prove(store: ObjectStore, copy: StoreCopy): Promise<void> {
    const { seed, report } = this.#options
    await this.#load.stop()
    try {
      await this.#load.drain(DRAIN_TIMEOUT_MS)
      await this.#cluster.parts.storeFaults.settled()
      await this.#cluster.drain(store, DRAIN_TIMEOUT_MS)
    } catch (error) {
      this.#report.problem(`L1 drain: ${String(error)}`)
      return
    }
    const redisUrl = this.#cluster.parts.redis?.master.url
    const logs = this.#cluster.logsOf('ingester')
    const findings = await prove({
      ...{ store, copy, seed, redisUrl, logs },
      ledger: this.#ledger,
      attempts: this.#attempts,
    })
    this.#report.noteProof(findings)
    const { rows, violationCount } = findings.judgement
    report(
      `   ${String(rows)} rows in ${String(findings.files)} files, ` +
        `${String(violationCount)} violations, ${String(findings.problems.length)} problems`,
    )
    this.#load.start()
  }
}
