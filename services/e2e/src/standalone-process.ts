/**
 * A real `tributary standalone` in a process of its own, as tests start, kill and start again: on
 * free ports, with a data folder that survives it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { resolve as resolvePath } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface StandaloneOptions {
  readonly dataDir: string
  /** Another checkout whose `tributary` is to run; this one's by default. */
  readonly checkout?: string
  readonly flags?: readonly string[]
  readonly failpoints?: string
  readonly environment?: Readonly<Record<string, string>>
}

const READY_TIMEOUT_MS = 30_000
/** Log lines kept for a failing test's message. */
const LOG_LINES_MAX = 400

interface ReadyLine {
  readonly msg?: string
  readonly ports?: { readonly grpc: number; readonly http: number; readonly admin: number }
}

function commandOf(checkout: string | undefined): string {
  return checkout === undefined
    ? fileURLToPath(import.meta.resolve('@tributary/cli/main'))
    : resolvePath(checkout, 'services/cli/src/main.ts')
}

/** Ports that the system chooses, where the flags do not say which. */
function freePorts(flags: readonly string[]): string[] {
  return ['--otlp-grpc-port', '--otlp-http-port', '--admin-port', '--admin-grpc-port']
    .filter((port) => !flags.some((flag) => flag.startsWith(`${port}=`)))
    .map((port) => `${port}=0`)
}

export class StandaloneProcess {
  readonly #child: ChildProcess
  readonly #exit: Promise<number>
  readonly #log: string[] = []
  #ports: ReadyLine['ports']

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exit = once(child, 'exit').then(([code, signal]: unknown[]) =>
      typeof code === 'number' ? code : signal === 'SIGKILL' ? 137 : 143,
    )
  }

  /** Starts the process and waits until it takes requests; rejects when it ends before. */
  static async start(options: StandaloneOptions): Promise<StandaloneProcess> {
    const child = spawn(
      process.execPath,
      [
        commandOf(options.checkout),
        'standalone',
        `--data-dir=${options.dataDir}`,
        ...freePorts(options.flags ?? []),
        ...(options.flags ?? []),
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...process.env,
          ...options.environment,
          ...(options.failpoints === undefined ? {} : { TRIBUTARY_FAILPOINTS: options.failpoints }),
        },
      },
    )
    const standalone = new StandaloneProcess(child)
    await standalone.#untilReady()
    return standalone
  }

  get grpcPort(): number {
    return this.#ports!.grpc
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${String(this.#ports!.http)}`
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${String(this.#ports!.admin)}`
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** The process's last lines of log, for messages. */
  get log(): string {
    return this.#log.join('\n')
  }

  /** Exit status; 137 after SIGKILL. */
  get exited(): Promise<number> {
    return this.#exit
  }

  /** Writes all acknowledged rows to files. */
  async flush(): Promise<void> {
    const answer = await fetch(`${this.adminUrl}/flush`, { method: 'POST' })
    if (!answer.ok) throw new Error(`flush: ${String(answer.status)} ${await answer.text()}`)
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
    this.#child.kill(signal)
    return this.#exit
  }

  async stop(): Promise<number> {
    return this.kill('SIGTERM')
  }

  #untilReady(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#child.kill('SIGKILL')
        reject(new Error(`standalone not ready in time:\n${this.log}`))
      }, READY_TIMEOUT_MS)
      const onLine = (line: string): void => {
        this.#log.push(line)
        if (this.#log.length > LOG_LINES_MAX) this.#log.shift()
        if (this.#ports !== undefined || !line.includes('"ready"')) return
        this.#ports = (JSON.parse(line) as ReadyLine).ports
        clearTimeout(timer)
        resolve()
      }
      for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
        createInterface({ input: stream }).on('line', onLine)
      }
      void this.#exit.then((status) => {
        clearTimeout(timer)
        reject(new Error(`standalone ended with ${String(status)}:\n${this.log}`))
      })
    })
  }
}
