/**
 * A real `tributary <role>` in a process of its own, as tests start, kill, freeze and start again: on
 * free ports, with folders that survive it. The last lines of its log are kept; all of them go to a
 * file where one is named.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, readFileSync, readdirSync, type WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { NODE_FLAGS } from '@tributary/common/collector-tuning'
import { endWithUs } from '@tributary/common/testing/end-with-us'

export interface ProcessOptions {
  readonly role: string
  readonly flags?: readonly string[]
  readonly failpoints?: string
  readonly environment?: Readonly<Record<string, string>>
  /** Options of Node, before the command: a bound of the heap. */
  readonly nodeOptions?: readonly string[]
  /** Words before Node: a tool that limits or changes what the process sees. */
  readonly wrapper?: readonly string[]
  /** Main file of the command of another build; default that of this checkout. */
  readonly command?: string
  /** Every line of the log is appended. */
  readonly logFile?: string
}

export interface ProcessUsage {
  readonly residentBytes: number
  readonly openFiles: number
}

const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const READY_TIMEOUT_MS = 30_000
/** Log lines kept for a failing test's message. */
const LOG_LINES_MAX = 400

interface ReadyLine {
  readonly ports?: Readonly<Record<string, number>>
}

export class TributaryProcess {
  readonly role: string
  readonly #child: ChildProcess
  readonly #exit: Promise<number>
  readonly #log: string[] = []
  readonly #logFile: WriteStream | undefined
  #ports: Readonly<Record<string, number>> | undefined

  protected constructor(options: ProcessOptions) {
    const { role, flags = [], nodeOptions = [], wrapper = [], failpoints } = options
    const command = options.command ?? COMMAND
    this.role = role
    // other builds get them too: comparisons are of code, not of flags
    const nodeFlags = [...NODE_FLAGS, ...nodeOptions]
    const [program, ...words] = [...wrapper, process.execPath, ...nodeFlags, command, role]
    this.#child = spawn(program, [...words, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...options.environment,
        ...(failpoints === undefined ? {} : { TRIBUTARY_FAILPOINTS: failpoints }),
      },
    })
    this.#logFile =
      options.logFile === undefined ? undefined : createWriteStream(options.logFile, { flags: 'a' })
    this.#exit = once(this.#child, 'exit').then(([code, signal]: unknown[]) =>
      typeof code === 'number' ? code : signal === 'SIGKILL' ? 137 : 143,
    )
    endWithUs(this.#child)
  }

  /** Starts the process and waits for nothing. */
  static spawn(options: ProcessOptions): TributaryProcess {
    return new TributaryProcess(options)
  }

  /** As its ready line says. */
  port(name: string): number {
    const port = this.#ports?.[name]
    if (port === undefined) throw new Error(`no port ${name}:\n${this.log}`)
    return port
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${String(this.port('admin'))}`
  }

  get pid(): number {
    return this.#child.pid!
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The process's last lines of log, for messages. */
  get log(): string {
    return this.#log.join('\n')
  }

  /** Exit status; 137 after SIGKILL. */
  get exited(): Promise<number> {
    return this.#exit
  }

  /** Memory and descriptors; undefined where it has ended or the system does not tell. */
  usage(): ProcessUsage | undefined {
    try {
      const status = readFileSync(`/proc/${String(this.pid)}/status`, 'utf8')
      const residentKib = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1])
      const openFiles = readdirSync(`/proc/${String(this.pid)}/fd`).length
      return Number.isNaN(residentKib)
        ? undefined
        : { residentBytes: residentKib * 1024, openFiles }
    } catch {
      return undefined
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
    this.#child.kill(signal)
    return this.#exit
  }

  async stop(): Promise<number> {
    return this.kill('SIGTERM')
  }

  /** Waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** SIGSTOP: it keeps its connections and does nothing until `thaw`. */
  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  /** Rejects when it ends before, or takes too long: then it is killed. */
  untilReady(timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#child.kill('SIGKILL')
        reject(new Error(`not ready in time:\n${this.log}`))
      }, timeoutMs)
      const onLine = (line: string): void => {
        this.#log.push(line)
        this.#logFile?.write(`${line}\n`)
        if (this.#log.length > LOG_LINES_MAX) this.#log.shift()
        if (this.#ports !== undefined || !line.includes('"ready"')) return
        this.#ports = (JSON.parse(line) as ReadyLine).ports ?? {}
        clearTimeout(timer)
        resolve()
      }
      for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
        createInterface({ input: stream }).on('line', onLine)
      }
      void this.#exit.then((status) => {
        clearTimeout(timer)
        this.#logFile?.end()
        reject(new Error(`ended with ${String(status)}:\n${this.log}`))
      })
    })
  }
}
