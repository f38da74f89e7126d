/**
 * One connection to one broker: requests go out as they come, answers come back in the same order
 * (a broker works on one request of a connection at a time). kafkajs connects, authenticates and
 * matches answers; requests and answers are ours (wire-writer.ts, wire-reader.ts).
 *
 * A connection on which an answer is late is ended: whatever else was asked on it fails with it, its
 * outcome unknown, and no late answer can meet a new question.
 */
import type { Socket } from 'node:net'

import type { Clock } from '../clock.ts'
import type { BrokerAddress, KafkaAccess, Secrets } from './broker-socket.ts'
import { openSocket, readSecrets } from './broker-socket.ts'
import { KafkaError, kafkajsFailure } from './kafka-error.ts'
import { createConnection, exchangeVersions } from './kafkajs-parts.ts'
import type { KafkajsConnection } from './kafkajs-parts.ts'
import { WireReader } from './wire-reader.ts'
import { WireWriter } from './wire-writer.ts'

/** A request of one version and the reading of its answer. */
export interface WireRequest<Answer extends WireAnswer> {
  readonly apiKey: number
  readonly apiName: string
  readonly apiVersion: number
  /** Headers and structures end with tagged fields. */
  readonly isFlexible: boolean
  readonly encode: (writer: WireWriter) => void
  readonly decode: (reader: WireReader) => Answer
}

export interface WireAnswer {
  /** How long the broker wants no further request, milliseconds. */
  readonly throttleMs: number
}

/** The versions that we speak; each broker must know them. Kafka 3.1 is the first that does. */
const SPOKEN_VERSIONS: Readonly<Record<string, readonly [apiKey: number, version: number]>> = {
  Produce: [0, 7],
  Fetch: [1, 13],
  ListOffsets: [2, 5],
  Metadata: [3, 12],
}

/** Refused because of what certificates or passwords say: trying again changes nothing. */
const TLS_REFUSAL = /CERT|SELF_SIGNED|UNABLE_TO|ERR_SSL|ERR_TLS|ERR_OSSL|EPROTO/

export class BrokerConnection {
  readonly #access: KafkaAccess
  readonly #clock: Clock
  readonly #ended = Promise.withResolvers<never>()
  #kafkajs: KafkajsConnection | undefined
  #socket: Socket | undefined
  #end: KafkaError | undefined
  #isReady = false

  private constructor(access: KafkaAccess, clock: Clock) {
    this.#access = access
    this.#clock = clock
    // whoever waits hears of it; nobody may
    this.#ended.promise.catch(() => undefined)
  }

  /**
   * Connects and authenticates.
   * @throws KafkaError moved: not reached; unfit: not let in, or too old
   */
  static async open(
    address: BrokerAddress,
    access: KafkaAccess,
    clock: Clock,
  ): Promise<BrokerConnection> {
    const connection = new BrokerConnection(access, clock)
    const timer = clock.after(access.connectTimeoutMs, () => {
      connection.end(new KafkaError('no connection in time', 'moved'))
    })
    try {
      await Promise.race([connection.#handshake(address), connection.#ended.promise])
      return connection
    } catch (error) {
      const failure = connection.#openFailure(error)
      connection.end(failure)
      throw failure
    } finally {
      timer.cancel()
    }
  }

  get isOpen(): boolean {
    return this.#end === undefined
  }

  /**
   * Sends a request and reads its answer; ends the connection when it does not come in time.
   * @throws KafkaError unknown: the request may have had its effect
   */
  async exchange<Answer extends WireAnswer>(
    request: WireRequest<Answer>,
    timeoutMs: number,
  ): Promise<Answer> {
    const timer = this.#clock.after(timeoutMs, () => {
      this.end(new KafkaError('no answer in time', 'unknown'))
    })
    try {
      const payload = await this.#send(request)
      const reader = new WireReader(payload)
      if (request.isFlexible) reader.tags()
      const answer = request.decode(reader)
      this.#kafkajs?.requestQueue.maybeThrottle(answer.throttleMs)
      return answer
    } catch (error) {
      if (error instanceof KafkaError) throw error
      // an answer that is not understood, or a failure that kafkajs saw first
      const failure = kafkajsFailure(error)
      this.end(failure)
      throw failure
    } finally {
      timer.cancel()
    }
  }

  /** Ends the connection at once; requests under way fail with the reason. */
  end(reason: KafkaError): void {
    if (this.#end !== undefined) return
    this.#end = reason
    this.#ended.reject(reason)
    this.#socket?.destroy()
    const kafkajs = this.#kafkajs
    if (kafkajs === undefined) return
    kafkajs.rejectRequests(reason)
    kafkajs.requestQueue.destroy()
    kafkajs.connectionStatus = 'disconnected'
  }

  async #handshake(address: BrokerAddress): Promise<void> {
    const { tls, sasl } = await readSecrets(this.#access)
    if (this.#end !== undefined) throw this.#end
    const kafkajs = createConnection({
      ...address,
      clientId: this.#access.clientId,
      connectTimeoutMs: this.#access.connectTimeoutMs,
      sasl,
      makeSocket: (onConnect) => this.#makeSocket(address, tls, onConnect),
    })
    this.#kafkajs = kafkajs
    await kafkajs.connect()
    const versions = await exchangeVersions(kafkajs)
    for (const [name, [apiKey, version]] of Object.entries(SPOKEN_VERSIONS)) {
      const range = versions.get(apiKey)
      if (range === undefined || version < range.minVersion || version > range.maxVersion) {
        throw new KafkaError(`Kafka does not know version ${version} of ${name}`, 'unfit')
      }
    }
    await kafkajs.authenticate()
    this.#isReady = true
  }

  #makeSocket(address: BrokerAddress, tls: Secrets['tls'], onConnect: () => void): Socket {
    const socket = openSocket(address, tls, onConnect)
    this.#socket = socket
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const isRefused = TLS_REFUSAL.test(error.code ?? '')
      this.end(new KafkaError(error.code ?? error.message, isRefused ? 'unfit' : 'unknown', error))
    })
    const onClose = (): void => {
      const reason = this.#isReady ? 'connection closed' : 'connection closed during the handshake'
      this.end(new KafkaError(reason, 'unknown'))
    }
    socket.once('end', onClose)
    socket.once('close', onClose)
    return socket
  }

  /** Why opening failed: a request that never left has changed nothing. */
  #openFailure(error: unknown): KafkaError {
    // kafkajs calls every failure of a login one of its credentials, a lost connection too
    const failure = this.#end ?? (error instanceof KafkaError ? error : kafkajsFailure(error))
    if (failure.verdict === 'unfit') return failure
    return new KafkaError(failure.reason, 'moved', failure.cause)
  }

  async #send(request: WireRequest<WireAnswer>): Promise<Buffer> {
    const kafkajs = this.#kafkajs
    if (this.#end !== undefined || kafkajs === undefined) throw this.#closedBefore()
    if (this.#access.sasl !== undefined && !kafkajs.isAuthenticated()) {
      await kafkajs.authenticate()
      if (!this.isOpen) throw this.#closedBefore()
    }
    const { apiKey, apiName, apiVersion } = request
    const correlationId = kafkajs.nextCorrelationId()
    const frame = this.#frame(request, correlationId)
    return new Promise<Buffer>((resolve, reject) => {
      kafkajs.requestQueue.push({
        entry: {
          apiKey,
          apiName,
          apiVersion,
          correlationId,
          resolve: ({ payload }) => resolve(payload),
          reject,
        },
        expectResponse: true,
        requestTimeout: null,
        sendRequest: () => this.#write(frame),
      })
    })
  }

  #closedBefore(): KafkaError {
    return new KafkaError(this.#end?.reason ?? 'not connected', 'moved', this.#end)
  }

  /** Size, header and body. */
  #frame(request: WireRequest<WireAnswer>, correlationId: number): readonly Buffer[] {
    const writer = new WireWriter()
    writer.int32(0).int16(request.apiKey).int16(request.apiVersion).int32(correlationId)
    writer.string(this.#access.clientId)
    if (request.isFlexible) writer.noTags()
    request.encode(writer)
    const parts = writer.finish()
    parts[0]!.writeInt32BE(writer.bytes - 4, 0)
    return parts
  }

  #write(parts: readonly Buffer[]): void {
    const socket = this.#socket!
    socket.cork()
    for (const part of parts) socket.write(part)
    socket.uncork()
  }
}
