/**
 * Who leads which partition of the topic now, which topic it is, and how many partitions it has: asked
 * again every few seconds and whenever somebody was sent away.
 *
 * A topic that was deleted and made again by the same name has another id: it is another log, and this
 * one is over. Brokers that lag behind may still tell of older leaders, of an older topic or of none,
 * so leaders only move to greater epochs, and a foreign id counts when it was seen repeatedly.
 */
import { AppError } from '../errors.ts'
import type { Clock, Timer } from '../clock.ts'
import type { BrokerLink } from './broker-link.ts'
import { BrokerLinks } from './broker-link.ts'
import type { BrokerAddress, KafkaAccess } from './broker-socket.ts'
import { KafkaError, NO_ERROR, UNKNOWN_TOPIC_OR_PARTITION, kafkaErrorOf } from './kafka-error.ts'
import { metadataRequest } from './metadata-request.ts'
import type { MetadataAnswer, PartitionMetadata } from './metadata-request.ts'

/** New partitions and moved leaders are seen this late where nobody is sent away. */
const REFRESH_INTERVAL_MS = 5000
/** Many that are sent away at once ask together, and nobody asks more often. */
const REFRESH_PAUSE_MS = 50
const ANSWER_TIMEOUT_MS = 2000
/** Asked again so soon while a partition has no leader. */
const LEADERLESS_INTERVAL_MS = 250
/** Asked again so soon, another broker is asked: the one before may lag behind. */
const DOUBT_MS = 1000
/** Sightings of no topic, or of another one, in a row, until they are believed. */
const SIGHTINGS_MIN = 3
/** A topic that was just made is known to all brokers after this. */
const SIGHTINGS_PAUSE_MS = 150

export interface Leader {
  readonly id: number
  readonly address: BrokerAddress
  readonly epoch: number
}

export interface TopicMapOptions {
  readonly topic: string
  readonly bootstrap: readonly BrokerAddress[]
  readonly access: KafkaAccess
  readonly clock: Clock
}

export class TopicMap {
  readonly topic: string
  /** Links for metadata and other short questions. */
  readonly links: BrokerLinks
  readonly #bootstrap: readonly BrokerAddress[]
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  #clusterId = ''
  #topicId = ''
  #brokers: ReadonlyMap<number, BrokerAddress> = new Map()
  #partitions: readonly PartitionMetadata[] = []
  #link: BrokerLink | undefined
  /** Counts those asked, so that the next one is another. */
  #turn = 0
  #refreshing: Promise<void> | undefined
  #refreshedAtMs = -Infinity
  #sightings = 0
  #foreign: AppError | undefined
  #timer: Timer | undefined
  #soon: Timer | undefined
  #isClosed = false

  constructor({ topic, bootstrap, access, clock }: TopicMapOptions) {
    this.topic = topic
    this.links = new BrokerLinks(access, clock)
    this.#bootstrap = bootstrap
    this.#clock = clock
  }

  get clusterId(): string {
    return this.#clusterId
  }

  get topicId(): string {
    return this.#topicId
  }

  get partitionCount(): number {
    return this.#partitions.length
  }

  /** Set once the topic is known to be another one by the same name: final. */
  get foreign(): AppError | undefined {
    return this.#foreign
  }

  /** Replicas of all partitions, for checks. */
  get partitions(): readonly PartitionMetadata[] {
    return this.#partitions
  }

  /** The leader as far as known; undefined while there is none. */
  leaderOf(partition: number): Leader | undefined {
    const found = this.#partitions[partition]
    const address = this.#brokers.get(found?.leader ?? -1)
    if (found === undefined || address === undefined) return undefined
    return { id: found.leader, address, epoch: found.leaderEpoch }
  }

  /** Calls back after every change; the answer ends that. */
  subscribe(onChange: () => void): () => void {
    this.#listeners.add(onChange)
    return () => this.#listeners.delete(onChange)
  }

  /** Asks for the first time and from then on regularly. @throws KafkaError */
  async start(): Promise<void> {
    for (let attempt = 1; this.#topicId === ''; attempt++) {
      try {
        await this.refresh()
      } catch (error) {
        if (attempt >= SIGHTINGS_MIN || !isMoved(error)) throw error
        await this.#clock.sleep(SIGHTINGS_PAUSE_MS)
      }
    }
    this.#timer = this.#clock.every(REFRESH_INTERVAL_MS, () => this.#refreshUnasked())
  }

  /** Asks again, once for all who want that now. @throws KafkaError moved, unfit; AppError log_unfit */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#soon?.cancel()
    this.#listeners.clear()
    this.links.close()
  }

  /** Whoever needs what is missing asks and hears why. */
  #refreshUnasked(): void {
    this.refresh().catch(() => undefined)
  }

  async #refresh(): Promise<void> {
    if (this.#foreign !== undefined) throw this.#foreign
    const sinceMs = this.#clock.monotonicMs() - this.#refreshedAtMs
    if (sinceMs < DOUBT_MS) this.#link = undefined
    if (sinceMs < REFRESH_PAUSE_MS) await this.#clock.sleep(REFRESH_PAUSE_MS - sinceMs)
    this.#refreshedAtMs = this.#clock.monotonicMs()
    this.#apply(await this.#ask())
  }

  /** Asks one broker after the other, whoever answered last first. */
  async #ask(): Promise<MetadataAnswer> {
    const known = [...this.#brokers.values()]
    const first = this.#turn++ % Math.max(1, known.length)
    const others = [...known.slice(first), ...known.slice(0, first), ...this.#bootstrap]
    const links = others.map((address) => this.links.to(address))
    if (this.#link?.isOpen === true) links.unshift(this.#link)
    let failure = new KafkaError('no broker is known', 'moved')
    for (const link of new Set(links)) {
      try {
        const answer = await link.exchange(metadataRequest(this.topic), ANSWER_TIMEOUT_MS)
        this.#link = link
        return answer
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        failure = error
      }
    }
    // whatever was asked for had no effect
    throw failure.verdict === 'unfit' ? failure : new KafkaError(failure.reason, 'moved', failure)
  }

  #apply(answer: MetadataAnswer): void {
    if (answer.errorCode !== NO_ERROR) throw this.#missing(answer.errorCode)
    const isFirst = this.#topicId === ''
    if (isFirst) {
      this.#clusterId = answer.clusterId
      this.#topicId = answer.topicId
    }
    if (answer.topicId !== this.#topicId || answer.clusterId !== this.#clusterId) {
      throw this.#sawForeign(answer)
    }
    this.#sightings = 0
    const partitions = mergePartitions(this.#partitions, answer.partitions)
    const hasChanged = isFirst || this.#differs(answer.brokers, partitions)
    this.#brokers = answer.brokers
    this.#partitions = partitions
    this.#soon?.cancel()
    if (!this.#isClosed && partitions.some((_, index) => this.leaderOf(index) === undefined)) {
      this.#soon = this.#clock.after(LEADERLESS_INTERVAL_MS, () => this.#refreshUnasked())
    }
    if (!hasChanged) return
    this.links.retain([...answer.brokers.values(), ...this.#bootstrap])
    for (const onChange of [...this.#listeners]) onChange()
  }

  /** No topic: a broker that just started may not know it yet, so several have to say so. */
  #missing(errorCode: number): KafkaError {
    const failure = kafkaErrorOf(errorCode)
    this.#link = undefined
    const isBelieved =
      errorCode === UNKNOWN_TOPIC_OR_PARTITION && ++this.#sightings >= SIGHTINGS_MIN
    return isBelieved ? new KafkaError(failure.reason, 'unfit') : failure
  }

  #sawForeign({ topicId, clusterId }: MetadataAnswer): AppError | KafkaError {
    this.#link = undefined
    if (++this.#sightings < SIGHTINGS_MIN) return new KafkaError('another topic', 'moved')
    this.#foreign = new AppError('log_unfit', 'the topic is another one by the same name', {
      details: { topic: this.topic, topicId: this.#topicId, foundTopicId: topicId, clusterId },
    })
    for (const onChange of [...this.#listeners]) onChange()
    return this.#foreign
  }

  #differs(
    brokers: ReadonlyMap<number, BrokerAddress>,
    partitions: readonly PartitionMetadata[],
  ): boolean {
    const isSameBroker = ([id, { host, port }]: [number, BrokerAddress]): boolean => {
      const known = this.#brokers.get(id)
      return known?.host === host && known.port === port
    }
    return (
      partitions.length !== this.#partitions.length ||
      brokers.size !== this.#brokers.size ||
      ![...brokers].every(isSameBroker) ||
      partitions.some(({ leader, leaderEpoch }, index) => {
        const known = this.#partitions[index]!
        return leader !== known.leader || leaderEpoch !== known.leaderEpoch
      })
    )
  }
}

/** Partitions by their number; none goes back to an older leader, and their count never falls. */
function mergePartitions(
  known: readonly PartitionMetadata[],
  told: readonly PartitionMetadata[],
): readonly PartitionMetadata[] {
  const merged = [...known]
  const ordered = [...told].sort((a, b) => a.partition - b.partition)
  for (const partition of ordered) {
    const before = merged[partition.partition]
    if (before !== undefined && before.leaderEpoch > partition.leaderEpoch) continue
    // numbers without a gap: a partition whose predecessors are not told yet is not either
    if (partition.partition <= merged.length) merged[partition.partition] = partition
  }
  return merged
}

function isMoved(error: unknown): boolean {
  return error instanceof KafkaError && error.verdict === 'moved'
}
