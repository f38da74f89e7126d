/**
 * Servers as containers of Docker or Podman: where an engine runs, nothing has to be installed. What
 * they hold is in volumes that outlive them.
 */
import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'

import { AppError } from '@tributary/common/errors'

const run = promisify(execFile)
const ENGINES = ['docker', 'podman'] as const
const ASK_TIMEOUT_MS = 10_000
/** With the download of an image. */
const RUN_TIMEOUT_MS = 300_000
const STOP_SECONDS = 10
const OUTPUT_LENGTH_MAX = 500

export interface ContainerPlan {
  readonly name: string
  readonly image: string
  /** Of 127.0.0.1, and what it is inside. */
  readonly port: readonly [outside: number, inside: number]
  readonly environment: Readonly<Record<string, string>>
  /** The folder inside that a volume of the container's name holds. */
  readonly dataFolder: string
  /** Of the image, where not the default. */
  readonly entrypoint?: string
  readonly words: readonly string[]
}

export class ContainerEngine {
  readonly program: string

  constructor(program: string) {
    this.program = program
  }

  /** The first engine that answers; undefined where none runs. */
  static find(): ContainerEngine | undefined {
    const program = ENGINES.find((candidate) => {
      const asked = spawnSync(candidate, ['info'], { stdio: 'ignore', timeout: ASK_TIMEOUT_MS })
      return asked.status === 0
    })
    return program === undefined ? undefined : new ContainerEngine(program)
  }

  /** Starts a container anew; one of the same name is removed, its volume stays. @throws AppError */
  async start(plan: ContainerPlan): Promise<void> {
    await this.#call(['rm', '--force', plan.name], ASK_TIMEOUT_MS).catch(() => undefined)
    await this.#call(runWords(plan), RUN_TIMEOUT_MS)
  }

  async stop(name: string): Promise<void> {
    const timeoutMs = (STOP_SECONDS + 5) * 1000
    await this.#call(['stop', '--time', String(STOP_SECONDS), name], timeoutMs)
    await this.#call(['rm', '--force', name], ASK_TIMEOUT_MS)
  }

  async #call(words: readonly string[], timeout: number): Promise<void> {
    try {
      await run(this.program, [...words], { timeout })
    } catch (cause) {
      const { stderr } = cause as { stderr?: string }
      throw new AppError('internal', `${this.program} ${words[0]!} failed`, {
        details: { answer: (stderr ?? String(cause)).trim().slice(-OUTPUT_LENGTH_MAX) },
      })
    }
  }
}

/** The words behind `docker`. */
export function runWords(plan: ContainerPlan): readonly string[] {
  const { name, image, port, environment, dataFolder, entrypoint, words } = plan
  return [
    'run',
    '--detach',
    ...['--name', name],
    ...['--publish', `127.0.0.1:${port[0]}:${port[1]}`],
    ...['--volume', `${name}:${dataFolder}`],
    ...Object.entries(environment).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
    ...(entrypoint === undefined ? [] : ['--entrypoint', entrypoint]),
    image,
    ...words,
  ]
}
