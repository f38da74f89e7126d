/**
 * One Kafka broker (and controller) as a process that a test can kill, stop, continue and start again
 * on the same ports and data.
 */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, copyFileSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { KafkaInstall } from '../local-servers/kafka-install.ts'
import { endWithUs } from './end-with-us.ts'
import type { KafkaProperties } from './kafka-properties.ts'
import { randomKafkaId } from './kafka-properties.ts'

const FORMAT_TIMEOUT_MS = 60_000
const LOG_TAIL_BYTES = 4000
/** Three nodes share a test machine with everything else. */
const HEAP_OPTIONS = ['-Xms64m', '-Xmx384m', '-XX:+UseSerialGC']
const QUICK_START_OPTIONS = ['-XX:TieredStopAtLevel=1']

export interface KafkaNodeOptions {
  readonly id: number
  readonly install: KafkaInstall
  /** Of this node alone; exists. */
  readonly folder: string
  readonly properties: KafkaProperties
  /** Of Java; default: quick to start, slow when busy for long. */
  readonly javaOptions?: readonly string[]
}

export class KafkaNode {
  readonly id: number
  readonly #install: KafkaInstall
  readonly #javaOptions: readonly string[]
  readonly #dataFolder: string
  readonly #propertiesPath: string
  readonly #logPath: string
  #process: ChildProcess | undefined
  #isFrozen = false

  constructor({ id, install, folder, properties, javaOptions }: KafkaNodeOptions) {
    this.id = id
    this.#install = install
    this.#javaOptions = javaOptions ?? QUICK_START_OPTIONS
    this.#dataFolder = join(folder, 'data')
    this.#propertiesPath = join(folder, 'server.properties')
    this.#logPath = join(folder, 'log')
    const lines = Object.entries({ ...properties, 'log.dirs': this.#dataFolder })
    writeFileSync(this.#propertiesPath, lines.map((pair) => pair.join('=')).join('\n'))
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  get isRunning(): boolean {
    const child = this.#process
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Runs, and is not frozen. */
  get isAwake(): boolean {
    return this.isRunning && !this.#isFrozen
  }

  /** The last lines of its log, for messages. */
  get logTail(): string {
    if (!existsSync(this.#logPath)) return ''
    return readFileSync(this.#logPath, 'utf8').slice(-LOG_TAIL_BYTES)
  }

  /** Prepares the data folder, with users of SCRAM if any. */
  format(clusterId: string, users: readonly string[]): void {
    const args = ['format', '-t', clusterId, '-c', this.#propertiesPath]
    for (const user of users) args.push('--add-scram', user)
    const [program, ...words] = this.#command('kafka.tools.StorageTool', args)
    const format = spawnSync(program, words, { encoding: 'utf8', timeout: FORMAT_TIMEOUT_MS })
    if (format.status === 0) return
    throw new Error(
      `Kafka cannot format: ${format.error?.message ?? format.stdout + format.stderr}`,
    )
  }

  /** Prepares the data folder as that of another node: without a second of Java for each. */
  formatLike(other: KafkaNode, clusterId: string): void {
    mkdirSync(this.#dataFolder)
    const bootstrap = 'bootstrap.checkpoint'
    copyFileSync(join(other.#dataFolder, bootstrap), join(this.#dataFolder, bootstrap))
    const meta = {
      version: '1',
      'cluster.id': clusterId,
      'node.id': String(this.id),
      'directory.id': randomKafkaId(),
    }
    const lines = Object.entries(meta).map((pair) => pair.join('='))
    writeFileSync(join(this.#dataFolder, 'meta.properties'), lines.join('\n'))
  }

  /** Starts the process; it serves a little later. */
  start(): void {
    if (this.isRunning) return
    const log = openSync(this.#logPath, 'a')
    const [program, ...words] = this.#command('kafka.Kafka', [this.#propertiesPath])
    const child = spawn(program, words, { stdio: ['ignore', log, log] })
    closeSync(log)
    endWithUs(child)
    this.#process = child
    this.#isFrozen = false
  }

  /** Sends a signal; one that ends the process is waited for. */
  async signal(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const child = this.#process
    if (child === undefined || !this.isRunning) return
    child.kill(signal)
    if (signal === 'SIGSTOP') this.#isFrozen = true
    if (signal === 'SIGCONT') this.#isFrozen = false
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await once(child, 'exit')
  }

  #command(main: string, args: readonly string[]): [string, ...string[]] {
    const { java, classPath, classArchive } = this.#install
    const [program, ...guard] = java
    const options = [...HEAP_OPTIONS, ...this.#javaOptions]
    // Java ignores an archive that does not fit or is not there
    const isArchiving = this.#javaOptions.some((option) => option.includes('ArchiveClasses'))
    if (!isArchiving) options.push('-Xshare:auto', `-XX:SharedArchiveFile=${classArchive}`)
    options.push('-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', classPath)
    return [program, ...guard, ...options, main, ...args]
  }
}
