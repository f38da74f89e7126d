/**
 * A router or an ingester as a process of a development cluster: started again when it ends by itself,
 * on the same ports and folder, with a pause that grows.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { NODE_FLAGS } from '@tributary/common/collector-tuning'

import { ChildProgram } from './child-program.ts'

export interface RoleOptions {
  readonly role: 'router' | 'ingester'
  readonly name: string
  readonly flags: readonly string[]
  readonly adminPort: number
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Holds `logs`. */
  readonly folder: string
  readonly tell: (line: string) => void
}

const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const READY_TIMEOUT_MS = 60_000
const POLL_MS = 100
const PAUSE_MS = 500
const PAUSE_MS_MAX = 10_000
/** It stops within 25 s by itself. */
const STOP_TIMEOUT_MS = 30_000
const ASK_TIMEOUT_MS = 2000

export class RoleChild {
  readonly role: 'router' | 'ingester'
  readonly name: string
  readonly #options: RoleOptions
  readonly #ending = new AbortController()
  #child: ChildProgram | undefined
  #running: Promise<void> | undefined
  #restarts = 0

  constructor(options: RoleOptions) {
    this.role = options.role
    this.name = options.name
    this.#options = options
  }

  /** How often it was started again. */
  get restarts(): number {
    return this.#restarts
  }

  /** Starts it. @throws Error with its last words where it ends before it is ready */
  async start(): Promise<void> {
    const child = this.#spawn()
    this.#running = this.#keepRunning(child)
    for (const deadlineMs = performance.now() + READY_TIMEOUT_MS; !(await this.isReady());) {
      if (!child.isRunning) throw new Error(`${this.name} has ended:\n${child.logTail}`)
      if (performance.now() > deadlineMs) {
        throw new Error(`${this.name} does not become ready:\n${child.logTail}`)
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  async isReady(): Promise<boolean> {
    return (await this.#ask('readyz')) !== undefined
  }

  /** Prometheus text; '' where it does not answer. */
  async metrics(): Promise<string> {
    return (await this.#ask('metrics')) ?? ''
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#child?.stop(STOP_TIMEOUT_MS)
    await this.#running
  }

  kill(): void {
    this.#ending.abort()
    this.#child?.kill()
  }

  #spawn(): ChildProgram {
    const { role, name, flags, environment, folder, adminPort } = this.#options
    const own = [`--member-name=${name}`, `--admin-port=${adminPort}`]
    this.#child = new ChildProgram({
      name,
      command: [process.execPath, ...NODE_FLAGS, COMMAND, role, ...own, ...flags],
      environment,
      logFile: join(folder, 'logs', `${name}.log`),
    })
    return this.#child
  }

  async #keepRunning(first: ChildProgram): Promise<void> {
    let child = first
    for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      const startedMs = performance.now()
      const how = await child.exited
      if (this.#ending.signal.aborted) return
      if (performance.now() - startedMs > PAUSE_MS_MAX) pauseMs = PAUSE_MS
      this.#options.tell(`${this.name} has ended (${how}), starts again in ${pauseMs} ms`)
      await pause(pauseMs, this.#ending.signal)
      if (this.#ending.signal.aborted) return
      this.#restarts++
      child = this.#spawn()
    }
  }

  async #ask(path: string): Promise<string | undefined> {
    try {
      const signal = AbortSignal.timeout(ASK_TIMEOUT_MS)
      const answer = await fetch(`http://127.0.0.1:${this.#options.adminPort}/${path}`, { signal })
      const text = await answer.text()
      return answer.ok ? text : undefined
    } catch {
      return undefined
    }
  }
}

async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  const timer = Promise.withResolvers<undefined>()
  const handle = setTimeout(() => {
    timer.resolve(undefined)
  }, durationMs)
  const onAbort = (): void => {
    timer.resolve(undefined)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  await timer.promise
  clearTimeout(handle)
  signal.removeEventListener('abort', onAbort)
}
