/**
 * One connection to Redis that never does more than it is told: nothing is queued while it is away (but
 * for the first try to connect, which the first commands wait for), nothing is sent again by itself, and every failure is AppError metadata_unavailable with a reason
 * (redis-errors.ts). It connects again for ever, each client after a random pause of its own, and where
 * a node turns out not to be the master it looks for the master. Secrets are read anew each time.
 *
 * A command that timed out may have been executed, or will be: who cares reads back.
 */
import { createHash } from 'node:crypto'

import { Redis } from 'ioredis'
import type { RedisOptions } from 'ioredis'

import type { Logger } from '../logger.ts'
import type { HostPort, RedisAddress } from './redis-address.ts'
import type { RedisTrouble } from './redis-errors.ts'
import { readRedisSecrets } from './redis-address.ts'
import { isWrongNode, metadataUnavailable, movedTo, redisTrouble } from './redis-errors.ts'

/** What Redis answers, with texts as strings. */
export type RedisReply = string | number | null | readonly RedisReply[]
export type RedisArgument = string | number | Uint8Array

/** The name and what follows it. */
export type RedisCommand = readonly [string, ...RedisArgument[]]

/** A Lua script; it is sent once per server and then named by its hash. */
export interface RedisScript {
  readonly lua: string
  readonly sha1: string
}

export interface RedisConnectionOptions {
  readonly address: RedisAddress
  /** Of the connection, as CLIENT LIST and the log show it. */
  readonly name: string
  readonly timeoutMs: number
  readonly logger: Logger
  /** A number in [0, 1), for pauses. */
  readonly random?: () => number
}

/** Beyond it commands are refused at once: one process has tens under way. */
const COMMANDS_IN_FLIGHT_MAX = 1000
/** The pause before connecting again is random, up to this, doubled with each try. */
const RETRY_MS = 200
const RETRY_MS_MIN = 20
const RETRY_MS_MAX = 2000
/** A connection that lived this long was a good one: the next pause is short again. */
const STABLE_MS = 5000
/** A trouble that goes on is logged this often. */
const LOG_EVERY_MS = 30_000

export class RedisConnection {
  readonly #client: Redis
  readonly #options: RedisConnectionOptions
  readonly #random: () => number
  #inFlight = 0
  #tries = 0
  /** Infinity while the last connection never became ready. */
  #readyAtMs = Infinity
  #loggedAtMs = -Infinity
  /** Why it is not connected, as far as known. */
  #trouble: unknown
  /** Where MOVED sent us; once that connection ends, the way begins at the address again. */
  #moved: HostPort | undefined
  #isClosed = false
  /** Until it is known how the first try to connect ended. */
  #opening: Promise<void> | undefined
  #reviving: NodeJS.Timeout | undefined

  /** Starts connecting; `untilReady` waits for it. @throws AppError invalid_config for its files */
  constructor(options: RedisConnectionOptions) {
    this.#options = options
    this.#random = options.random ?? Math.random
    this.#client = new Redis(this.#clientOptions())
    this.#client.on('error', (error: unknown) => {
      this.#report(error)
    })
    this.#client.on('ready', () => {
      this.#readyAtMs = performance.now()
      this.#loggedAtMs = -Infinity
      this.#trouble = undefined
      options.logger.debug({ redis: this.#place() }, 'connected to redis')
    })
    this.#client.on('end', () => {
      this.#revive()
    })
    this.#opening = this.#firstTry()
  }

  get isReady(): boolean {
    return this.#client.status === 'ready'
  }

  /** @throws AppError metadata_unavailable where it is not connected within the time, with the cause */
  async untilReady(timeoutMs: number): Promise<void> {
    if (this.isReady) return
    const ready = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      ready.reject(metadataUnavailable('not_connected', this.#trouble))
    }, timeoutMs)
    this.#client.once('ready', ready.resolve)
    try {
      await ready.promise
    } finally {
      clearTimeout(timer)
      this.#client.off('ready', ready.resolve)
    }
  }

  /** One command. @throws AppError metadata_unavailable */
  command(name: string, ...args: readonly RedisArgument[]): Promise<RedisReply> {
    return this.#send(1, () => this.#call(name, args))
  }

  /**
   * Runs a script; all its keys are given.
   * @throws AppError metadata_unavailable
   */
  async run(
    script: RedisScript,
    keys: readonly string[],
    args: readonly RedisArgument[] = [],
  ): Promise<RedisReply> {
    return this.#send(1, async () => {
      const rest = [keys.length, ...keys, ...args]
      try {
        return await this.#call('EVALSHA', [script.sha1, ...rest])
      } catch (error) {
        // a new server, or SCRIPT FLUSH
        if (redisTrouble(error) !== 'no_script') throw error
        return this.#call('EVAL', [script.lua, ...rest])
      }
    })
  }

  /**
   * Runs a script and then other commands, in one round trip; others may get in between.
   * @throws AppError metadata_unavailable with the first failure; the script may have been executed
   */
  async runThen(
    script: RedisScript,
    keys: readonly string[],
    args: readonly RedisArgument[],
    commands: readonly RedisCommand[],
  ): Promise<readonly RedisReply[]> {
    const rest = [keys.length, ...keys, ...args] as const
    return this.#send(1 + commands.length, async () => {
      try {
        return await this.#batch([['EVALSHA', script.sha1, ...rest], ...commands])
      } catch (error) {
        if (redisTrouble(error) !== 'no_script') throw error
        return this.#batch([['EVAL', script.lua, ...rest], ...commands])
      }
    })
  }

  /**
   * Runs a script many times in one round trip, in the order of `runs`.
   * @throws AppError metadata_unavailable with the first failure; others may have been executed
   */
  async runAll(
    script: RedisScript,
    runs: readonly { readonly keys: readonly string[]; readonly args: readonly RedisArgument[] }[],
  ): Promise<readonly RedisReply[]> {
    if (runs.length === 0) return []
    const commands = runs.map(({ keys, args }): RedisCommand => {
      return ['EVALSHA', script.sha1, keys.length, ...keys, ...args]
    })
    // the server may not know the script: many commands that fail alike would each be sent again
    const replies = await this.commandAll([['SCRIPT', 'LOAD', script.lua], ...commands])
    return replies.slice(1)
  }

  /**
   * Many commands in one round trip.
   * @throws AppError metadata_unavailable with the first failure; others may have been executed
   */
  async commandAll(commands: readonly RedisCommand[]): Promise<readonly RedisReply[]> {
    if (commands.length === 0) return []
    return this.#send(commands.length, () => this.#batch(commands))
  }

  /** Ends the connection; commands under way are answered soon or fail. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#reviving)
    this.#client.disconnect()
  }

  /** Ends when it is connected, when that failed, or after the time of a command. */
  async #firstTry(): Promise<void> {
    const over = Promise.withResolvers<void>()
    const timer = setTimeout(over.resolve, this.#options.timeoutMs)
    this.#client.once('ready', over.resolve).once('close', over.resolve)
    await over.promise
    clearTimeout(timer)
    this.#client.off('ready', over.resolve).off('close', over.resolve)
    this.#opening = undefined
  }

  async #batch(commands: readonly RedisCommand[]): Promise<readonly RedisReply[]> {
    const batch = this.#client.pipeline()
    for (const [name, ...args] of commands) batch.call(name, ...toWords(args))
    const results = (await batch.exec()) ?? []
    for (const [error] of results) if (error !== null) throw error
    return results.map(([, reply]) => reply as RedisReply)
  }

  #call(name: string, args: readonly RedisArgument[]): Promise<RedisReply> {
    return this.#client.call(name, ...toWords(args)) as Promise<RedisReply>
  }

  async #send<Result>(commands: number, send: () => Promise<Result>): Promise<Result> {
    if (this.#isClosed) throw metadataUnavailable('closed')
    if (this.#inFlight > 0 && this.#inFlight + commands > COMMANDS_IN_FLIGHT_MAX) {
      throw metadataUnavailable('overloaded')
    }
    this.#inFlight += commands
    try {
      // a process that has just started would else lose its first beat, and a second with it
      if (this.#opening !== undefined) await this.#opening
      return await send()
    } catch (error) {
      const trouble = redisTrouble(error)
      if (isWrongNode(trouble)) this.#leaveNode(error)
      throw metadataUnavailable(trouble, error)
    } finally {
      this.#inFlight -= commands
    }
  }

  /** All keys have one hash tag, so one node of a Redis Cluster has them all: go there. */
  #leaveNode(error: unknown): void {
    this.#moved = movedTo(error)
    if (this.isReady) this.#client.disconnect(true)
  }

  #clientOptions(): RedisOptions {
    const { address, name, timeoutMs } = this.#options
    const secrets = readRedisSecrets(address)
    const isSentinel = address.sentinels.length > 0
    return {
      ...(isSentinel ? {} : hostPortOf(address)),
      db: address.database,
      connectionName: name,
      ...(address.username === undefined ? {} : { username: address.username }),
      ...(secrets.password === undefined ? {} : { password: secrets.password }),
      ...(secrets.tls === undefined ? {} : { tls: secrets.tls }),
      // RESP 3 brings nothing here, and its greeting is one more command that an ACL may refuse
      protocol: 2,
      disableClientInfo: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectTimeout: timeoutMs,
      commandTimeout: timeoutMs,
      // a server that stands still would otherwise stay `ready` for ever
      socketTimeout: 2 * timeoutMs,
      keepAlive: 10_000,
      retryStrategy: () => this.#nextPause(),
      ...(isSentinel ? this.#sentinelOptions(secrets) : {}),
    }
  }

  #sentinelOptions(secrets: ReturnType<typeof readRedisSecrets>): RedisOptions {
    const { address, timeoutMs } = this.#options
    return {
      sentinels: [...address.sentinels],
      name: address.sentinelMaster,
      sentinelCommandTimeout: timeoutMs,
      sentinelRetryStrategy: () => this.#pauseMs(),
      sentinelReconnectStrategy: () => this.#pauseMs(),
      // sentinels tell of a failover: a master that was cut off would otherwise go on answering
      failoverDetector: true,
      ...(secrets.sentinelPassword === undefined
        ? {}
        : { sentinelPassword: secrets.sentinelPassword }),
      ...(secrets.tls === undefined
        ? {}
        : { enableTLSForSentinelMode: true, sentinelTLS: secrets.tls }),
    }
  }

  /** Called when a connection ended: what to do before the next one, and when. */
  #nextPause(): number {
    if (performance.now() - this.#readyAtMs > STABLE_MS) this.#tries = 0
    this.#readyAtMs = Infinity
    try {
      const { options } = this.#client
      const { address } = this.#options
      if (address.sentinels.length === 0) Object.assign(options, this.#moved ?? hostPortOf(address))
      this.#moved = undefined
      const { password, tls } = readRedisSecrets(address)
      if (password !== undefined) options.password = password
      if (tls !== undefined) options.tls = tls
    } catch (error) {
      this.#report(error)
    }
    return this.#pauseMs()
  }

  /** Random over its whole range: clients that lost one server do not come back at one time. */
  #pauseMs(): number {
    const highMs = Math.min(RETRY_MS * 2 ** this.#tries, RETRY_MS_MAX)
    this.#tries = Math.min(this.#tries + 1, 10)
    return Math.round(RETRY_MS_MIN + this.#random() * (highMs - RETRY_MS_MIN))
  }

  /** ioredis gives up in some races of connecting; nobody here ever does. */
  #revive(): void {
    if (this.#isClosed) return
    clearTimeout(this.#reviving)
    this.#reviving = setTimeout(() => {
      this.#client.connect().catch((error: unknown) => {
        this.#report(error)
      })
    }, this.#nextPause())
  }

  #report(error: unknown): void {
    this.#trouble = error
    const nowMs = performance.now()
    if (this.#isClosed || nowMs - this.#loggedAtMs < LOG_EVERY_MS) return
    this.#loggedAtMs = nowMs
    const trouble: RedisTrouble = redisTrouble(error)
    this.#options.logger.warn(
      { err: error, redis: this.#place(), trouble },
      'redis is out of reach',
    )
  }

  #place(): string {
    const { host, port, sentinels, sentinelMaster } = this.#options.address
    return sentinels.length > 0 ? `sentinel master ${sentinelMaster}` : `${host}:${port}`
  }
}

export function redisScript(lua: string): RedisScript {
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') }
}

function hostPortOf({ host, port }: RedisAddress): HostPort {
  return { host, port }
}

/** Bytes as they are, numbers as text. */
function toWords(args: readonly RedisArgument[]): (string | Buffer)[] {
  return args.map((arg) => {
    if (typeof arg === 'string') return arg
    if (typeof arg === 'number') return String(arg)
    return Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength)
  })
}
