/** `tributary standalone` as tests run it: everything in one process and one data folder. */
import { TributaryProcess } from './tributary-process.ts'

export interface StandaloneOptions {
  readonly dataDir: string
  readonly flags?: readonly string[]
  readonly failpoints?: string
  readonly environment?: Readonly<Record<string, string>>
}

/** Ports that the system chooses, where the flags do not say which. */
function freePorts(flags: readonly string[]): string[] {
  return ['--otlp-grpc-port', '--otlp-http-port', '--admin-port', '--admin-grpc-port']
    .filter((port) => !flags.some((flag) => flag.startsWith(`${port}=`)))
    .map((port) => `${port}=0`)
}

export class StandaloneProcess extends TributaryProcess {
  #scheme: 'http' | 'https' = 'http'

  /** Starts the process and waits until it takes requests; rejects when it ends before. */
  static async start(options: StandaloneOptions): Promise<StandaloneProcess> {
    const { dataDir, flags = [], ...rest } = options
    const standalone = new StandaloneProcess({
      role: 'standalone',
      flags: [`--data-dir=${dataDir}`, ...freePorts(flags), ...flags],
      ...rest,
    })
    if (flags.some((flag) => flag.startsWith('--tls-cert-file='))) standalone.#scheme = 'https'
    await standalone.untilReady()
    return standalone
  }

  get grpcPort(): number {
    return this.port('grpc')
  }

  get httpUrl(): string {
    return `${this.#scheme}://127.0.0.1:${String(this.port('http'))}`
  }

  /** Writes all acknowledged rows to files. */
  async flush(): Promise<void> {
    const answer = await fetch(`${this.adminUrl}/flush`, { method: 'POST' })
    if (!answer.ok) throw new Error(`flush: ${String(answer.status)} ${await answer.text()}`)
  }
}
