/**
 * A program that runs as long as we want it to: in a process group of its own, so that a Ctrl-C of the
 * terminal reaches us alone, and with a guard by which it ends when we are killed. What it writes goes
 * to a file.
 */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'

export interface ProgramOptions {
  readonly name: string
  /** The program, then its words. */
  readonly command: readonly [string, ...string[]]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Appended to. */
  readonly logFile: string
}

const LOG_TAIL_BYTES = 2000
const GUARD = ['setpriv', '--pdeathsig', 'KILL'] as const
let isGuardThere: boolean | undefined

export class ChildProgram {
  readonly name: string
  readonly #child: ChildProcess
  readonly #logFile: string
  readonly #exited: Promise<string>
  #isWanted = true

  constructor({ name, command, environment, logFile }: ProgramOptions) {
    this.name = name
    this.#logFile = logFile
    const [program, ...words] = guarded(command)
    const log = openSync(logFile, 'a')
    this.#child = spawn(program, words, {
      env: environment,
      stdio: ['ignore', log, log],
      detached: true,
    })
    closeSync(log)
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        resolve(error.message)
      })
      this.#child.once('exit', (status, signal) => {
        resolve(signal === null ? `exit status ${status}` : signal)
      })
    })
  }

  /** How it ended, once it has. */
  get exited(): Promise<string> {
    return this.#exited
  }

  get isRunning(): boolean {
    const { pid, exitCode, signalCode } = this.#child
    return pid !== undefined && exitCode === null && signalCode === null
  }

  /** Nobody has asked it to end. */
  get isWanted(): boolean {
    return this.#isWanted
  }

  /** The last lines of its log, for messages. */
  get logTail(): string {
    return readFileSync(this.#logFile, 'utf8').slice(-LOG_TAIL_BYTES)
  }

  /** SIGTERM, and SIGKILL where that takes too long. */
  async stop(timeoutMs: number): Promise<void> {
    this.#isWanted = false
    if (!this.isRunning) return
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs)
    await this.#exited
    clearTimeout(timer)
  }

  kill(): void {
    this.#isWanted = false
    this.#child.kill('SIGKILL')
  }
}

/** Systems without util-linux do without: a killed parent leaves its children there. */
function guarded(command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const [program, ...words] = GUARD
  isGuardThere ??= spawnSync(program, [...words, 'true']).status === 0
  return isGuardThere ? [program, ...words, ...command] : command
}

/** Whether a program is on the path. */
export function isInstalled(program: string, ...words: readonly string[]): boolean {
  return spawnSync(program, words, { stdio: 'ignore' }).status === 0
}
