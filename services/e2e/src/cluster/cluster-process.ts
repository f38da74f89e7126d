/**
 * One process of a test cluster, kept running as Kubernetes would: whatever ends it, it is started
 * again under the same name after a short pause, with its disk or an empty one. What the next start
 * should be like (a crash point, a clock, a bound of memory) is said before it.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { TributaryProcess } from '../tributary-process.ts'
import type { SmallDisk } from './small-disk.ts'

export type ProcessRole = 'router' | 'ingester' | 'standalone'

export interface ClusterProcessOptions {
  readonly role: ProcessRole
  readonly name: string
  readonly flags: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** Its data folder; undefined for a role without one. */
  readonly disk: SmallDisk | undefined
  readonly logFile: string
  /** Main file of the command of an older build, where there is one to mix in. */
  readonly olderCommand?: string
}

/** How the next start differs; used up by it. */
export interface StartPlan {
  /** TRIBUTARY_FAILPOINTS. */
  readonly failpoints?: string
  /** The disk was lost. */
  readonly isDiskEmpty?: boolean
  /** Before the start: others may take over meanwhile. */
  readonly pauseMs?: number
  readonly nodeOptions?: readonly string[]
  /** Words before Node: a tool that limits what the process has. */
  readonly wrapper?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly flags?: readonly string[]
  /** It may end by itself. */
  readonly isEndExpected?: boolean
}

export interface ProcessEnd {
  readonly name: string
  readonly status: number
  /** Killed by the harness or at a crash point that was asked for. */
  readonly isExpected: boolean
  /** What the failpoints of that start were. */
  readonly failpoints: string | undefined
  /** The last lines of its log, of an end that nobody asked for. */
  readonly log: string
}

/** The test's own code in the process. */
const NODE_OPTIONS = ['--import', import.meta.resolve('./stall-hook.ts')]
const KILLED_STATUS = 137
const RESTART_PAUSE_MS = 200
const RESTART_PAUSE_MS_MAX = 5000
/** With a takeover before it, on a machine that others load too. */
const READY_TIMEOUT_MS = 150_000
/** A process that ends sooner than this after its start makes the next pause longer. */
const STEADY_MS = 10_000

export class ClusterProcess {
  readonly role: ProcessRole
  readonly name: string
  readonly disk: SmallDisk | undefined
  readonly ends: ProcessEnd[] = []
  starts = 0
  /** From the next start on. */
  isOlderBuild = false
  readonly #options: ClusterProcessOptions
  readonly #onEnd: (end: ProcessEnd) => void
  #child: TributaryProcess | undefined
  /** The child, once it was ready. */
  #process: TributaryProcess | undefined
  #plan: StartPlan = {}
  #isWanted = true
  #isKilled = false
  #running: Promise<void> | undefined
  #wake = new AbortController()

  constructor(options: ClusterProcessOptions, onEnd: (end: ProcessEnd) => void) {
    this.role = options.role
    this.name = options.name
    this.disk = options.disk
    this.#options = options
    this.#onEnd = onEnd
  }

  /** Starts it and keeps it running; resolves when it is ready for the first time. */
  async start(): Promise<void> {
    this.#isWanted = true
    this.#wake = new AbortController()
    this.#running = this.#keepRunning()
    await this.untilReady()
  }

  get hasOlderBuild(): boolean {
    return this.#options.olderCommand !== undefined
  }

  get current(): TributaryProcess | undefined {
    return this.#process
  }

  get isReady(): boolean {
    return this.#process?.isRunning === true
  }

  /** The next start will be like this. */
  plan(plan: StartPlan): void {
    this.#plan = plan
  }

  /** Something outside is going to end it. */
  expectEnd(): void {
    this.#isKilled = true
  }

  /** kill -9, also while it starts; the supervisor starts it again. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || !child.isRunning) return
    this.#isKilled = true
    await child.kill()
  }

  /** SIGTERM; the supervisor starts it again. @returns the exit status */
  async terminate(): Promise<number | undefined> {
    const child = this.#process
    if (child === undefined || !child.isRunning) return undefined
    this.#isKilled = true
    return child.stop()
  }

  async untilReady(timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    while (!this.isReady) {
      if (performance.now() > deadlineMs) {
        const log = this.ends.at(-1)?.log ?? ''
        throw new Error(`${this.name} does not become ready\n${log}`)
      }
      await sleep(20)
    }
  }

  /** Ends it for good. @returns the exit status of a clean stop */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | undefined> {
    this.#isWanted = false
    this.#wake.abort()
    const child = this.#child
    const isReady = child !== undefined && child === this.#process
    const status = child && (await this.#end(child, isReady ? signal : 'SIGKILL'))
    await this.#running
    return status
  }

  #end(child: TributaryProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<number> {
    this.#isKilled = true
    child.thaw()
    return child.kill(signal)
  }

  async #keepRunning(): Promise<void> {
    let pauseMs = RESTART_PAUSE_MS
    while (this.#isWanted) {
      const startedMs = performance.now()
      await this.#runOnce()
      if (performance.now() - startedMs > STEADY_MS) pauseMs = RESTART_PAUSE_MS
      if (this.#isWanted) await this.#pause(this.#plan.pauseMs ?? pauseMs)
      pauseMs = Math.min(RESTART_PAUSE_MS_MAX, 2 * pauseMs)
    }
  }

  async #runOnce(): Promise<void> {
    const { role, name, flags, environment, disk, logFile, olderCommand } = this.#options
    const plan = this.#plan
    this.#plan = {}
    this.#isKilled = plan.isEndExpected === true
    this.starts++
    if (plan.isDiskEmpty === true) await disk?.empty()
    const launched = TributaryProcess.spawn({
      ...{ role, logFile },
      ...(this.isOlderBuild && olderCommand !== undefined ? { command: olderCommand } : {}),
      flags: withFlags(flags, plan.flags ?? []),
      environment: { ...environment, ...plan.environment },
      ...(plan.failpoints === undefined ? {} : { failpoints: plan.failpoints }),
      nodeOptions: [...NODE_OPTIONS, ...(plan.nodeOptions ?? [])],
      ...(plan.wrapper === undefined ? {} : { wrapper: plan.wrapper }),
    })
    this.#child = launched
    const ready = launched.untilReady(READY_TIMEOUT_MS).then(
      () => {
        this.#process = launched
      },
      () => undefined,
    )
    const status = await launched.exited
    await ready
    this.#child = undefined
    this.#process = undefined
    const isAtPoint = plan.failpoints !== undefined && status === KILLED_STATUS
    const isExpected = this.#isKilled || !this.#isWanted || isAtPoint
    const log = isExpected ? '' : launched.log.slice(-4000)
    const end = { name, status, isExpected, failpoints: plan.failpoints, log }
    this.ends.push(end)
    this.#onEnd(end)
  }

  async #pause(durationMs: number): Promise<void> {
    await sleep(durationMs, undefined, { signal: this.#wake.signal }).catch(() => undefined)
  }
}

/** Those of the plan stand in place of others of their names: none may be given twice. */
function withFlags(flags: readonly string[], planned: readonly string[]): string[] {
  const nameOf = (flag: string): string => flag.split('=')[0]!
  const names = new Set(planned.map(nameOf))
  return [...flags.filter((flag) => !names.has(nameOf(flag))), ...planned]
}
