/**
 * A real Redis for tests: `redis-server` of this machine, each on a free port and in a folder of its
 * own, so that a test can do anything to it: kill it, stop it, empty it, set it back. A test that needs
 * only some Redis takes `redisForTests`, which uses the one of TRIBUTARY_REDIS_URL where that is set.
 */
import { spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { appendFile, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ChildProcess } from 'node:child_process'

import { Redis } from 'ioredis'

import { testRedisUrl } from '../config/config.ts'
import { endWithUs } from './end-with-us.ts'
import { freePort } from './free-port.ts'
import { makeTestCertificates } from './test-certificates.ts'

const READY_TIMEOUT_MS = 20_000
const RETRY_MS = 20
const DUMP_FILE = 'dump.rdb'

export interface RedisServerOptions {
  /** Clients speak TLS only; `caFile` is what they trust. */
  readonly hasTls?: boolean
  /** A user beside the default one, with these ACL rules, for example `+@all ~*`. */
  readonly user?: { readonly name: string; readonly password: string; readonly rules: string }
  /** Further lines of redis.conf. */
  readonly configuration?: readonly string[]
  readonly port?: number
}

/** A Redis that tests share with others: use keys of your own, empty nothing. */
export interface SharedRedis {
  readonly url: string
  /** Nothing else uses keys under it. */
  readonly prefix: string
  stop(): Promise<void>
}

/** Any Redis will do: the given one, else one of our own. */
export async function redisForTests(): Promise<SharedRedis> {
  const prefix = `test-${randomUUID()}`
  const given = testRedisUrl()
  if (given !== undefined && given !== '') {
    return { url: given, prefix, stop: () => Promise.resolve() }
  }
  const server = await RedisServer.start()
  return { url: server.url, prefix, stop: () => server.stop() }
}

export class RedisServer {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly folder: string
  /** What clients of a server with TLS trust, and what they may show. */
  readonly caFile: string
  readonly clientCertFile: string
  readonly clientKeyFile: string
  readonly #options: RedisServerOptions
  /** `redis-server` arguments before the configuration file: `--sentinel` makes a sentinel. */
  readonly #mode: readonly string[]
  #process: ChildProcess | undefined
  #admin: Redis | undefined

  private constructor(
    folder: string,
    port: number,
    options: RedisServerOptions,
    mode: readonly string[],
  ) {
    this.folder = folder
    this.port = port
    this.caFile = join(folder, 'ca.crt')
    this.clientCertFile = join(folder, 'client.crt')
    this.clientKeyFile = join(folder, 'client.key')
    this.#options = options
    this.#mode = mode
  }

  static async start(
    options: RedisServerOptions = {},
    mode: readonly string[] = [],
  ): Promise<RedisServer> {
    checkInstalled()
    const folder = await mkdtemp(join(tmpdir(), 'tributary-redis-'))
    const server = new RedisServer(folder, options.port ?? (await freePort()), options, mode)
    await server.#configure()
    await server.restart()
    return server
  }

  /** With the default user; `user` of the options has its own name and password. */
  get url(): string {
    return `${this.#options.hasTls === true ? 'rediss' : 'redis'}://${this.host}:${this.port}`
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  /** A connection for the test's own commands. */
  get admin(): Redis {
    this.#admin ??= this.#connect()
    return this.#admin
  }

  /** Starts it again where it ended, with what it had stored (everything: appendfsync always). */
  async restart(): Promise<void> {
    await this.kill()
    const file = join(this.folder, 'redis.conf')
    const child = spawn('redis-server', [file, ...this.#mode], { stdio: 'ignore' })
    this.#process = child
    endWithUs(child)
    await this.#untilReady(child)
  }

  /** The same server with nothing in it, as after the loss of its disk. */
  async restartEmpty(): Promise<void> {
    await this.kill()
    await rm(join(this.folder, 'appendonlydir'), { recursive: true, force: true })
    await rm(join(this.folder, DUMP_FILE), { force: true })
    await this.restart()
  }

  /** Writes what it holds to a file of its own. @returns the file, for `restartFrom` */
  async backup(): Promise<string> {
    await this.admin.save()
    const file = join(this.folder, `backup-${randomUUID()}.rdb`)
    await copyFile(join(this.folder, DUMP_FILE), file)
    return file
  }

  /** Starts it with an old state: what was written since the backup is gone. */
  async restartFrom(backup: string): Promise<void> {
    await this.kill()
    await rm(join(this.folder, 'appendonlydir'), { recursive: true, force: true })
    await copyFile(backup, join(this.folder, DUMP_FILE))
    // with an append-only file to come Redis would not read the dump: it is switched on afterwards
    const file = join(this.folder, 'redis.conf')
    await appendFile(file, 'appendonly no\n')
    await this.restart()
    await this.admin.config('SET', 'appendonly', 'yes')
    while (/aof_rewrite_(in_progress|scheduled):1/.test(await this.admin.info('persistence'))) {
      await sleep(RETRY_MS)
    }
    await appendFile(file, 'appendonly yes\n')
  }

  /** SIGSTOP: it keeps its connections and answers nothing until `resume`. */
  pause(): void {
    this.#process?.kill('SIGSTOP')
  }

  resume(): void {
    this.#process?.kill('SIGCONT')
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#admin?.disconnect()
    this.#admin = undefined
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async stop(): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }

  async #configure(): Promise<void> {
    const { hasTls, user, configuration = [] } = this.#options
    const lines = [`dir ${this.folder}`, `bind ${this.host}`, 'logfile redis.log']
    if (this.#mode.length === 0) {
      lines.push('appendonly yes', 'appendfsync always', 'save ""', 'maxmemory-policy noeviction')
      lines.push('enable-debug-command yes', 'repl-diskless-sync-delay 0')
    }
    if (user !== undefined) lines.push(`user ${user.name} on >${user.password} ${user.rules}`)
    if (hasTls === true) {
      await makeTestCertificates(this.folder)
      lines.push(`port 0`, `tls-port ${this.port}`, 'tls-auth-clients optional')
      lines.push(`tls-cert-file ${join(this.folder, 'server.crt')}`)
      lines.push(`tls-key-file ${join(this.folder, 'server.key')}`)
      lines.push(`tls-ca-cert-file ${this.caFile}`)
    } else {
      lines.push(`port ${this.port}`)
    }
    await writeFile(join(this.folder, 'redis.conf'), `${[...lines, ...configuration].join('\n')}\n`)
  }

  #connect(): Redis {
    const { hasTls } = this.#options
    const cert = hasTls === true ? readFileSync(this.clientCertFile) : undefined
    const key = hasTls === true ? readFileSync(this.clientKeyFile) : undefined
    const client = new Redis({
      host: this.host,
      port: this.port,
      protocol: 2,
      maxRetriesPerRequest: null,
      retryStrategy: () => RETRY_MS,
      ...(cert === undefined ? {} : { tls: { cert, key, rejectUnauthorized: false } }),
    })
    // while the server is away it tries again: that is what it is for
    client.on('error', () => undefined)
    return client
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS
    const ready = this.admin.ping()
    const ended = once(child, 'exit').then(([status]) => {
      throw new Error(`redis-server ended with ${String(status)}: see ${this.folder}/redis.log`)
    })
    ended.catch(() => undefined)
    const late = sleep(deadline - Date.now(), undefined, { ref: false }).then(() => {
      throw new Error('redis-server does not answer')
    })
    late.catch(() => undefined)
    await Promise.race([ready, ended, late])
  }
}

function checkInstalled(): void {
  const found = spawnSync('redis-server', ['--version'], { encoding: 'utf8' })
  if (found.status === 0) return
  throw new Error(
    'no Redis for the tests: apt-get install -y redis-server ' +
      '(tests that do nothing to the server take the one of TRIBUTARY_REDIS_URL)',
  )
}
