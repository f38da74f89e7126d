/**
 * Sends batches to one broker. While a request is under way the batches of other partitions gather and
 * leave together with the next one: a broker answers the requests of a connection one after the other,
 * so nothing would be won by sending sooner, and a request costs as much as many batches.
 *
 *     ship ──> waiting ──one batch per partition──> lane (a connection, one request) ──> outcome each
 *
 * A partition has one batch under way at most, so its batches keep their order. Every batch gets its
 * outcome exactly once.
 */
import type { Clock } from '../clock.ts'
import { BrokerLink } from './broker-link.ts'
import type { BrokerAddress, KafkaAccess } from './broker-socket.ts'
import { KafkaError, NO_ERROR, kafkaErrorOf } from './kafka-error.ts'
import { produceRequest } from './produce-request.ts'
import type { ProduceResult } from './produce-request.ts'

/** Connections to a broker: one waits for the replicas while the other is written to. */
const LANES = 2
/** Batches of a request, together; a single one may be larger. Brokers take 100 MiB by default. */
const REQUEST_BYTES_MAX = 4 * 1024 * 1024
/** A broker that waits for its replicas answers when the time is over; its answer needs time itself. */
const ANSWER_GRACE_MS = 500
const BROKER_TIMEOUT_MS_MIN = 100

/** Stored, at that offset and time of the broker's (-1: not told); or not, as far as known. */
export type Outcome =
  { readonly offset: bigint; readonly appendUnixMs: number } | { readonly failure: KafkaError }

/** One batch to send. */
export interface Shipment {
  readonly partition: number
  readonly batch: Buffer
  /** On the monotonic clock: whoever waits has left by then. */
  readonly deadlineMs: number
  readonly settle: (outcome: Outcome) => void
}

interface Lane {
  readonly link: BrokerLink
  isBusy: boolean
}

export interface SenderOptions {
  readonly topic: string
  readonly address: BrokerAddress
  readonly access: KafkaAccess
  readonly clock: Clock
}

export class ProduceSender {
  readonly #topic: string
  readonly #clock: Clock
  readonly #lanes: readonly Lane[]
  readonly #waiting: Shipment[] = []
  /** Sent and not settled, by partition. */
  readonly #underWay = new Map<number, Shipment>()
  #isPumpDue = false
  /** Requests sent so far. */
  requests = 0

  constructor({ topic, address, access, clock }: SenderOptions) {
    this.#topic = topic
    this.#clock = clock
    this.#lanes = Array.from({ length: LANES }, () => ({
      link: new BrokerLink(address, access, clock),
      isBusy: false,
    }))
  }

  ship(shipment: Shipment): void {
    this.#waiting.push(shipment)
    this.#pumpSoon()
  }

  /** Takes back a batch that has not left; the outcome of one that has is still told. */
  withdraw(shipment: Shipment, failure: KafkaError): void {
    const index = this.#waiting.indexOf(shipment)
    if (index === -1) return
    this.#waiting.splice(index, 1)
    shipment.settle({ failure })
  }

  /**
   * Another broker leads the partition now: its batches are better off there. One under way may have
   * been stored here.
   */
  giveUp(partition: number): void {
    const moved = new KafkaError('the leader moved', 'moved')
    for (const shipment of this.#waiting.filter((each) => each.partition === partition)) {
      this.withdraw(shipment, moved)
    }
    const sent = this.#underWay.get(partition)
    if (sent !== undefined) {
      this.#settle(sent, { failure: new KafkaError('the leader moved', 'unknown') })
    }
  }

  /** Settles everything at once. */
  close(): void {
    const closed = new KafkaError('closed', 'moved')
    for (const shipment of this.#waiting.splice(0)) shipment.settle({ failure: closed })
    for (const { link } of this.#lanes) link.close()
    for (const shipment of [...this.#underWay.values()]) {
      this.#settle(shipment, { failure: new KafkaError('closed', 'unknown') })
    }
  }

  /** After the current turn: what is shipped in it leaves together. */
  #pumpSoon(): void {
    if (this.#isPumpDue) return
    this.#isPumpDue = true
    queueMicrotask(() => {
      this.#isPumpDue = false
      this.#pump()
    })
  }

  #pump(): void {
    for (const lane of this.#lanes) {
      if (lane.isBusy) continue
      const shipments = this.#takeRequest()
      if (shipments.length === 0) return
      void this.#send(lane, shipments)
    }
  }

  /** The oldest waiting batches, one per partition, none of a partition that has one under way. */
  #takeRequest(): Shipment[] {
    const taken = new Set<Shipment>()
    const partitions = new Set(this.#underWay.keys())
    let bytes = 0
    for (const shipment of this.#waiting) {
      if (partitions.has(shipment.partition)) continue
      if (bytes > 0 && bytes + shipment.batch.length > REQUEST_BYTES_MAX) break
      bytes += shipment.batch.length
      partitions.add(shipment.partition)
      taken.add(shipment)
    }
    if (taken.size === 0) return []
    const left = this.#waiting.filter((shipment) => !taken.has(shipment))
    this.#waiting.splice(0, this.#waiting.length, ...left)
    return [...taken]
  }

  async #send(lane: Lane, shipments: readonly Shipment[]): Promise<void> {
    lane.isBusy = true
    this.requests++
    const leftMs = Math.max(...shipments.map(({ deadlineMs }) => deadlineMs)) - this.#nowMs
    const brokerMs = Math.max(BROKER_TIMEOUT_MS_MIN, Math.ceil(leftMs))
    for (const shipment of shipments) this.#underWay.set(shipment.partition, shipment)
    try {
      const request = produceRequest(this.#topic, shipments, brokerMs)
      const { results } = await lane.link.exchange(request, brokerMs + ANSWER_GRACE_MS)
      for (const shipment of shipments) {
        this.#settle(shipment, outcomeOf(results.get(shipment.partition)))
      }
    } catch (error) {
      const failure = error instanceof KafkaError ? error : new KafkaError(String(error), 'unknown')
      for (const shipment of shipments) this.#settle(shipment, { failure })
    } finally {
      lane.isBusy = false
      this.#pumpSoon()
    }
  }

  get #nowMs(): number {
    return this.#clock.monotonicMs()
  }

  #settle(shipment: Shipment, outcome: Outcome): void {
    // it may have been given up before its answer came
    if (this.#underWay.get(shipment.partition) !== shipment) return
    this.#underWay.delete(shipment.partition)
    shipment.settle(outcome)
  }
}

/** Stored only where the broker says so of this very partition, with an offset. */
function outcomeOf(result: ProduceResult | undefined): Outcome {
  if (result === undefined) return { failure: new KafkaError('no result', 'unknown') }
  if (result.errorCode !== NO_ERROR) return { failure: kafkaErrorOf(result.errorCode) }
  if (result.baseOffset < 0n) return { failure: new KafkaError('no offset', 'unknown') }
  return { offset: result.baseOffset, appendUnixMs: result.appendUnixMs }
}
