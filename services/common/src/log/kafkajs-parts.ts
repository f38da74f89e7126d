/**
 * The one door to the inside of kafkajs, which is pinned (2.2.4) and no longer changes: its connection
 * (TCP, TLS, SASL, matching of answers) without its producer and consumer, whose hazards stand in
 * ARCHITECTURE.md. A test holds what is used here against the installed package.
 */
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'

import { Kafka, logLevel } from 'kafkajs'
import type { ISocketFactory, KafkaConfig, SASLOptions } from 'kafkajs'

const load = createRequire(import.meta.url)

/** What a connection says of its work, by level; nobody listens: failures reach us as errors. */
interface KafkajsLogger {
  namespace(): KafkajsLogger
  debug(): void
  info(): void
  warn(): void
  error(): void
}

const nothing = (): void => undefined
const silentLogger: KafkajsLogger = {
  namespace: () => silentLogger,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
}

export interface KafkajsAnswer {
  readonly payload: Buffer
}

interface KafkajsRequest {
  readonly entry: {
    readonly apiKey: number
    readonly apiName: string
    readonly apiVersion: number
    readonly correlationId: number
    readonly resolve: (answer: KafkajsAnswer) => void
    readonly reject: (error: Error) => void
  }
  readonly expectResponse: boolean
  readonly requestTimeout: null
  readonly sendRequest: () => void
}

interface RequestQueue {
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  readonly pending: readonly unknown[]
  push(request: KafkajsRequest): void
  maybeThrottle(durationMs: number): void
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
  destroy(): void
}

export interface ApiVersionRange {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

interface ApiVersionsAnswer {
  readonly apiVersions: readonly ApiVersionRange[]
}

/** A request and the decoder of its answer, as kafkajs pairs them. */
interface Protocol<Answer> {
  readonly request: unknown
  readonly response: { readonly decode: (bytes: Buffer) => Promise<Answer> }
}

export interface KafkajsConnection {
  readonly requestQueue: RequestQueue
  connectionStatus: string
  connect(): Promise<unknown>
  authenticate(): Promise<void>
  /** False where SASL is on and the session has ended or is about to. */
  isAuthenticated(): boolean
  setVersions(versions: Readonly<Record<number, Omit<ApiVersionRange, 'apiKey'>>>): void
  setSupportAuthenticationProtocol(isSupported: boolean): void
  nextCorrelationId(): number
  send<Answer>(protocol: Protocol<Answer>): Promise<Answer>
  rejectRequests(error: Error): void
}

interface ConnectionOptions {
  readonly host: string
  readonly port: number
  readonly clientId: string
  readonly logger: KafkajsLogger
  readonly socketFactory: (options: { readonly onConnect: () => void }) => Socket
  readonly connectionTimeout: number
  readonly requestTimeout: number
  readonly enforceRequestTimeout: boolean
  readonly sasl: SASLOptions | null
}

const Connection = load('kafkajs/src/network/connection') as new (
  options: ConnectionOptions,
) => KafkajsConnection
const RequestQueue = load('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }
const { requests } = load('kafkajs/src/protocol/requests') as {
  requests: {
    ApiVersions: { protocol(options: { version: number }): () => Protocol<ApiVersionsAnswer> }
  }
}

const RECHECK_MS = 10

/**
 * Its own sets a timer of 1 ms after every answer, for ever (the wait until "throttled until -1" is
 * negative): 2 % of a core in an idle process, and a warning of Node 24. A timer is needed only where
 * requests wait for a throttle to end; all others leave with the next answer.
 */
RequestQueue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
  const waitMs = Math.max(RECHECK_MS, this.throttledUntil - Date.now())
  this.throttleCheckTimeoutId = setTimeout(() => {
    this.throttleCheckTimeoutId = null
    this.checkPendingRequests()
  }, waitMs)
}

export interface ConnectionParts {
  readonly host: string
  readonly port: number
  readonly clientId: string
  readonly connectTimeoutMs: number
  readonly sasl: SASLOptions | undefined
  /** Makes the socket; the callback is for when it stands. */
  readonly makeSocket: (onConnect: () => void) => Socket
}

/** A connection of kafkajs that is not connected yet; requests time out by their caller alone. */
export function createConnection(parts: ConnectionParts): KafkajsConnection {
  const { host, port, clientId, connectTimeoutMs, sasl, makeSocket } = parts
  return new Connection({
    host,
    port,
    clientId,
    logger: silentLogger,
    socketFactory: ({ onConnect }) => makeSocket(onConnect),
    connectionTimeout: connectTimeoutMs,
    // its check of timeouts is a timer of 100 ms per connection, and a request lives on after it
    requestTimeout: connectTimeoutMs,
    enforceRequestTimeout: false,
    sasl: sasl ?? null,
  })
}

/** Asks which versions of which calls a broker knows; a connection must know them to authenticate. */
export async function exchangeVersions(
  connection: KafkajsConnection,
): Promise<ReadonlyMap<number, ApiVersionRange>> {
  const { apiVersions } = await connection.send(requests.ApiVersions.protocol({ version: 2 })())
  connection.setVersions(Object.fromEntries(apiVersions.map((range) => [range.apiKey, range])))
  // SaslAuthenticate is older than every broker that passes our check of versions
  connection.setSupportAuthenticationProtocol(true)
  return new Map(apiVersions.map((range) => [range.apiKey, range]))
}

export interface AdminParts {
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly sasl: SASLOptions | undefined
  readonly socketFactory?: ISocketFactory
}

/** kafkajs as its documentation has it, silent and impatient: for its admin client. */
export function createKafkajs(parts: AdminParts): Kafka {
  const { brokers, clientId, connectTimeoutMs, requestTimeoutMs, sasl, socketFactory } = parts
  const config: KafkaConfig = {
    brokers: [...brokers],
    clientId,
    logLevel: logLevel.NOTHING,
    connectionTimeout: connectTimeoutMs,
    requestTimeout: requestTimeoutMs,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 3 },
  }
  if (sasl !== undefined) config.sasl = sasl
  if (socketFactory !== undefined) config.socketFactory = socketFactory
  return new Kafka(config)
}
