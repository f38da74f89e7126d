/**
 * Stores values in partitions of the topic: finds the leader, sends, and tries again until the caller's
 * time is over. What was certainly not stored is sent again freely; what may have been stored is sent
 * again a few times, since whoever reads removes repeats by batch id, and a client that gets no OK
 * sends everything again anyway.
 *
 * Not idempotent in Kafka's sense: no producer id, no sequence numbers (see "Decisions" in
 * ARCHITECTURE.md).
 */
import assert from 'node:assert/strict'

import { AppError } from '../errors.ts'
import type { Clock } from '../clock.ts'
import { addressText } from './broker-link.ts'
import type { BrokerAddress, KafkaAccess } from './broker-socket.ts'
import { KafkaError, toLogError } from './kafka-error.ts'
import type { LogTime } from './log-time.ts'
import type { Traceparents } from './partition-log.ts'
import { ProduceSender } from './produce-sender.ts'
import type { Outcome, Shipment } from './produce-sender.ts'
import {
  BATCH_HEADER_BYTES,
  RECORD_FRAMING_BYTES_MAX,
  TRACE_HEADER_BYTES,
  encodeRecordBatch,
} from './record-batch.ts'
import type { TopicMap } from './topic-map.ts'

/** Bytes taken and not settled, all brokers together: one second of a fast router. */
const BYTES_UNDER_WAY_MAX = 128 * 1024 * 1024
/** How often what may have been stored is sent once more. */
const REPEATS_MAX = 3
const PAUSE_MS_MIN = 20
const PAUSE_MS_MAX = 500

export interface ProduceCounts {
  requests: number
  batches: number
  bytes: number
  /** Sent again, certain that nothing was stored. */
  retries: number
  /** Sent again although it may have been stored. */
  repeats: number
}

export interface ProducerOptions {
  readonly map: TopicMap
  readonly access: KafkaAccess
  readonly clock: Clock
  /** Hears the append times of what was stored. */
  readonly time: LogTime
  /** Of a record batch, as the topic has it now. */
  readonly batchBytesMax: () => number
  /** A broker refused a batch by its size: the topic's bound may have changed. */
  readonly onTooLarge: () => void
}

/** What one produce has come to. */
interface Call {
  readonly partition: number
  readonly deadlineMs: number
  /** Settled: whatever goes on is for nobody. */
  isOver: boolean
  mayBeStored: boolean
  failure: KafkaError | undefined
  /** Takes the batch back that is on its way now. */
  withdraw: () => void
}

export class KafkaProducer {
  readonly counts: ProduceCounts = { requests: 0, batches: 0, bytes: 0, retries: 0, repeats: 0 }
  readonly #map: TopicMap
  readonly #options: ProducerOptions
  readonly #clock: Clock
  readonly #senders = new Map<string, ProduceSender>()
  /** By partition: where its batches went last. */
  readonly #routes = new Map<number, string>()
  readonly #endings = new Set<(error: AppError) => void>()
  readonly #unsubscribe: () => void
  #bytesUnderWay = 0
  #isClosed = false

  constructor(options: ProducerOptions) {
    this.#options = options
    this.#map = options.map
    this.#clock = options.clock
    this.#unsubscribe = options.map.subscribe(() => this.#followLeaders())
  }

  /** See PartitionLog.produce. */
  produce(
    partition: number,
    values: readonly Uint8Array[],
    timeoutMs: number,
    traceparents?: Traceparents,
  ): Promise<bigint> {
    const refusal = this.#refusal(partition, values)
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      const call: Call = {
        partition,
        deadlineMs: this.#clock.monotonicMs() + timeoutMs,
        isOver: false,
        mayBeStored: false,
        failure: undefined,
        withdraw: () => undefined,
      }
      const end = (settle: () => void): void => {
        if (call.isOver) return
        call.isOver = true
        timer.cancel()
        this.#endings.delete(fail)
        settle()
        call.withdraw()
      }
      const fail = (error: AppError): void => end(() => reject(error))
      const bytes = totalBytes(values)
      const timer = this.#clock.after(timeoutMs, () => fail(this.#overdue(call)))
      this.#endings.add(fail)
      this.#bytesUnderWay += bytes
      // the batch of a call that is over may still be under way
      const run = this.#run(call, values, traceparents).finally(
        () => (this.#bytesUnderWay -= bytes),
      )
      run.then(
        (offset) => end(() => resolve(offset)),
        (error: unknown) => fail(this.#errorOf(call, error)),
      )
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#unsubscribe()
    for (const sender of this.#senders.values()) sender.close()
    const closed = new AppError('log_unavailable', 'the log was closed')
    for (const fail of [...this.#endings]) fail(closed)
  }

  #refusal(partition: number, values: readonly Uint8Array[]): AppError | undefined {
    if (this.#isClosed) return new AppError('log_unavailable', 'the log is closed')
    if (this.#map.foreign !== undefined) return this.#map.foreign
    const bytesMax = this.#options.batchBytesMax()
    const largest = Math.max(0, ...values.map((value) => batchBytes(value)))
    if (largest > bytesMax) {
      return new AppError('record_too_large', 'a record is above the bound of the topic', {
        details: { topic: this.#map.topic, partition, bytes: largest, bytesMax },
      })
    }
    const bytes = totalBytes(values)
    if (this.#bytesUnderWay > 0 && this.#bytesUnderWay + bytes > BYTES_UNDER_WAY_MAX) {
      return new AppError('log_unavailable', 'the log has too much to store', {
        details: { topic: this.#map.topic, partition, bytesUnderWay: this.#bytesUnderWay },
      })
    }
    return undefined
  }

  /** Stores the values in as many batches as they need, one after the other. */
  async #run(
    call: Call,
    values: readonly Uint8Array[],
    traceparents: Traceparents | undefined,
  ): Promise<bigint> {
    let first: bigint | undefined
    for (const group of groupValues(values, traceparents, this.#options.batchBytesMax())) {
      // the values are the caller's again
      if (call.isOver) break
      const nowUnixMs = this.#clock.nowUnixMs()
      const batch = encodeRecordBatch(group.values, nowUnixMs, group.traceparents)
      const offset = await this.#store(call, batch)
      first ??= offset
      this.counts.batches++
      this.counts.bytes += batch.length
      // batches before this one stay, whatever becomes of the next
      call.mayBeStored = true
    }
    assert.ok(first !== undefined || call.isOver)
    return first ?? -1n
  }

  async #store(call: Call, batch: Buffer): Promise<bigint> {
    let pauseMs = PAUSE_MS_MIN
    for (let repeats = 0; ;) {
      const outcome = await this.#attempt(call, batch)
      if ('offset' in outcome) {
        this.#options.time.heard(outcome.appendUnixMs)
        return outcome.offset
      }
      const { failure } = outcome
      call.failure = failure
      if (failure.verdict === 'too_large') this.#options.onTooLarge()
      if (failure.verdict === 'too_large' || failure.verdict === 'unfit') throw failure
      if (failure.verdict === 'unknown') call.mayBeStored = true
      if (call.isOver || this.#isClosed) throw failure
      if (failure.verdict === 'unknown' && ++repeats > REPEATS_MAX) throw failure
      await this.#recover(failure, pauseMs)
      pauseMs = Math.min(PAUSE_MS_MAX, 2 * pauseMs)
      if (call.isOver) throw failure
      if (failure.verdict === 'unknown') this.counts.repeats++
      else this.counts.retries++
    }
  }

  async #attempt(call: Call, batch: Buffer): Promise<Outcome> {
    const leader = this.#map.leaderOf(call.partition)
    if (leader === undefined) return { failure: new KafkaError('no leader', 'moved') }
    const sender = this.#senderTo(leader.address)
    this.#routes.set(call.partition, addressText(leader.address))
    return new Promise((resolve) => {
      const shipment: Shipment = {
        partition: call.partition,
        batch,
        deadlineMs: call.deadlineMs,
        settle: (outcome) => {
          call.withdraw = () => undefined
          resolve(outcome)
        },
      }
      call.withdraw = () => {
        sender.withdraw(shipment, new KafkaError('no time left', 'moved'))
      }
      sender.ship(shipment)
    })
  }

  /** Waits a little; where the leader may be another one, asks who it is. */
  async #recover(failure: KafkaError, pauseMs: number): Promise<void> {
    // half of it is chance, so that those who failed together do not come back together
    await this.#clock.sleep(pauseMs * (0.5 + Math.random() / 2))
    if (failure.verdict === 'busy') return
    try {
      await this.#map.refresh()
    } catch (error) {
      if (error instanceof AppError) throw error
      if (error instanceof KafkaError && error.verdict === 'unfit') throw error
    }
  }

  #senderTo(address: BrokerAddress): ProduceSender {
    const key = addressText(address)
    const known = this.#senders.get(key)
    if (known !== undefined) return known
    const { access, clock } = this.#options
    const sender = new ProduceSender({ topic: this.#map.topic, address, access, clock })
    this.#senders.set(key, sender)
    return sender
  }

  /** Takes batches from brokers that no longer lead their partition; closes brokers that nobody needs. */
  #followLeaders(): void {
    const needed = new Set<string>()
    for (let partition = 0; partition < this.#map.partitionCount; partition++) {
      const leader = this.#map.leaderOf(partition)
      const key = leader === undefined ? undefined : addressText(leader.address)
      if (key !== undefined) needed.add(key)
      const route = this.#routes.get(partition)
      if (route === undefined || route === key) continue
      this.#routes.delete(partition)
      this.#senders.get(route)?.giveUp(partition)
    }
    for (const [key, sender] of this.#senders) {
      if (needed.has(key)) continue
      this.#senders.delete(key)
      sender.close()
    }
  }

  #overdue(call: Call): AppError {
    return this.#errorOf(call, call.failure ?? new KafkaError('no answer in time', 'unknown'))
  }

  #errorOf(call: Call, error: unknown): AppError {
    const { partition, mayBeStored } = call
    return toLogError(error, { topic: this.#map.topic, partition, mayBeStored })
  }
}

function totalBytes(values: readonly Uint8Array[]): number {
  return values.reduce((sum, { length }) => sum + length, 0)
}

function batchBytes(value: Uint8Array): number {
  return BATCH_HEADER_BYTES + RECORD_FRAMING_BYTES_MAX + value.length
}

interface ValueGroup {
  readonly values: Uint8Array[]
  readonly traceparents: (string | undefined)[]
}

/**
 * Cuts values into runs whose batches are at most so large. A trace never makes a value too large: where
 * it does not fit beside it, it is left out.
 */
function groupValues(
  values: readonly Uint8Array[],
  traceparents: Traceparents | undefined,
  bytesMax: number,
): ValueGroup[] {
  const groups: ValueGroup[] = []
  let bytes = Infinity
  values.forEach((value, index) => {
    let needed = RECORD_FRAMING_BYTES_MAX + value.length
    let traceparent = traceparents?.[index]
    if (traceparent !== undefined) {
      if (BATCH_HEADER_BYTES + needed + TRACE_HEADER_BYTES <= bytesMax) needed += TRACE_HEADER_BYTES
      else traceparent = undefined
    }
    if (bytes + needed > bytesMax) {
      groups.push({ values: [], traceparents: [] })
      bytes = BATCH_HEADER_BYTES
    }
    const group = groups.at(-1)!
    group.values.push(value)
    group.traceparents.push(traceparent)
    bytes += needed
  })
  return groups
}
