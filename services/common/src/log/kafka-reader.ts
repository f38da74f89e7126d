/**
 * Reads any partitions of the topic, each from where its owner wants: a fetch loop per broker, without
 * consumer groups. kafkajs's consumer is not used: it joins a group to read at all, stops while the
 * group's coordinator is away, and jumps to the default offset where the wanted one is gone.
 *
 * Records are handed over in order and without a gap; whatever else a fetch brings is `outOfRange`, and
 * the partition is paused.
 */
import { AppError } from '../errors.ts'
import type { Clock } from '../clock.ts'
import { BrokerLink, addressText } from './broker-link.ts'
import type { BrokerAddress, KafkaAccess } from './broker-socket.ts'
import { FetchLoop } from './fetch-loop.ts'
import type { Asked, Position } from './fetch-loop.ts'
import type { FetchLimits, FetchResult } from './fetch-request.ts'
import {
  KafkaError,
  NO_ERROR,
  OFFSET_OUT_OF_RANGE,
  kafkaErrorOf,
  toLogError,
} from './kafka-error.ts'
import type { LogReader, LogReaderHandler, LogRecord, OffsetBounds } from './partition-log.ts'
import { readRecordBatches } from './record-batch.ts'
import type { ReadProblem } from './record-batch.ts'
import type { TopicMap } from './topic-map.ts'

/** An answer that does not fit is asked for again over new connections, until it was so this often. */
const PROBLEMS_MAX = 3
const PAUSE_MS_MIN = 50
const PAUSE_MS_MAX = 1000
/** Rights come back when a person has given them. */
const UNFIT_PAUSE_MS = 5000
/** A topic that does not stamp append times is told of once in this time. */
const COMPLAINT_INTERVAL_MS = 60_000

export interface ReaderOptions {
  readonly map: TopicMap
  readonly access: KafkaAccess
  readonly clock: Clock
  readonly handler: LogReaderHandler
  readonly limits: () => FetchLimits
  /** Bounds of one partition, from its leader. */
  readonly boundsOf: (partition: number) => Promise<OffsetBounds>
  readonly onClose: (reader: KafkaReader) => void
}

export class KafkaReader implements LogReader {
  readonly #options: ReaderOptions
  readonly #map: TopicMap
  readonly #handler: LogReaderHandler
  readonly #positions = new Map<number, Position>()
  /** By address. */
  readonly #loops = new Map<string, { readonly loop: FetchLoop; readonly link: BrokerLink }>()
  readonly #unsubscribe: () => void
  #complainedAtMs = -Infinity
  #isClosed = false

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#map = options.map
    this.#handler = options.handler
    this.#unsubscribe = options.map.subscribe(() => this.#followLeaders())
    if (options.map.foreign !== undefined) queueMicrotask(() => this.#followLeaders())
  }

  resume(partition: number, fromOffset: bigint): void {
    if (this.#isClosed) return
    this.#positions.set(partition, {
      partition,
      next: fromOffset,
      lastEpoch: -1,
      appendUnixMs: 0,
      notBeforeMs: -Infinity,
      isBoundary: false,
      failures: 0,
      problems: 0,
    })
    this.#wakeLeader(partition)
  }

  pause(partition: number): void {
    this.#positions.delete(partition)
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#unsubscribe()
      this.#positions.clear()
      for (const { loop } of this.#loops.values()) loop.close()
      this.#options.onClose(this)
    }
    return Promise.resolve()
  }

  #wakeLeader(partition: number): void {
    const leader = this.#map.leaderOf(partition)
    if (leader === undefined) this.#refresh()
    else this.#loopOf(leader.address).wake()
  }

  #loopOf(address: BrokerAddress): FetchLoop {
    const key = addressText(address)
    const known = this.#loops.get(key)
    if (known !== undefined) return known.loop
    const { access, clock, limits } = this.#options
    const link = new BrokerLink(address, access, clock)
    const loop = new FetchLoop({
      link,
      topicId: this.#map.topicId,
      clock,
      limits,
      wanted: () => this.#wantedFrom(key),
      take: (asked, result) => this.#take(asked, result, link),
      failed: (error) => {
        this.#handler.trouble(toLogError(error, { topic: this.#map.topic, broker: key }))
        this.#refresh()
      },
    })
    this.#loops.set(key, { loop, link })
    return loop
  }

  #wantedFrom(key: string): readonly Asked[] {
    const wanted: Asked[] = []
    for (const position of this.#positions.values()) {
      const { partition, next, lastEpoch } = position
      const leader = this.#map.leaderOf(partition)
      if (leader === undefined || addressText(leader.address) !== key) continue
      wanted.push({ position, question: { partition, next, lastEpoch, leaderEpoch: leader.epoch } })
    }
    return wanted
  }

  /** Loops follow their partitions; a topic that is another one ends all of them. */
  #followLeaders(): void {
    if (this.#isClosed) return
    if (this.#map.foreign !== undefined) {
      const { foreign } = this.#map
      void this.close()
      this.#handler.trouble(foreign)
      return
    }
    const leading = new Set<string>()
    for (let partition = 0; partition < this.#map.partitionCount; partition++) {
      const leader = this.#map.leaderOf(partition)
      if (leader !== undefined) leading.add(addressText(leader.address))
    }
    for (const [key, { loop }] of this.#loops) {
      if (leading.has(key)) continue
      this.#loops.delete(key)
      loop.close()
    }
    for (const position of this.#positions.values()) {
      const leader = this.#map.leaderOf(position.partition)
      if (leader !== undefined) this.#loopOf(leader.address).wake()
    }
  }

  #take(asked: Asked, result: FetchResult, link: BrokerLink): void {
    const { position, question } = asked
    const { partition } = position
    const isWanted = this.#positions.get(partition) === position
    if (!isWanted || position.next !== question.next) return
    if (result.errorCode !== NO_ERROR) {
      this.#recover(position, result.errorCode)
    } else if (result.divergesAt !== undefined) {
      this.#diverged(position, result.logStart, result.divergesAt)
    } else if (result.records.length > 0) {
      this.#read(asked, result, link)
    } else {
      position.failures = 0
    }
  }

  #read({ position, question }: Asked, result: FetchResult, link: BrokerLink): void {
    const read = readRecordBatches(result.records, position.next, position.isBoundary)
    if (!read.isAppendTime) this.#complain()
    if (read.records.length > 0) {
      position.lastEpoch = question.leaderEpoch
      this.#handOver(position, read.records)
    } else if (read.problem === undefined) {
      // less than one batch: brokers answer the first one whole
      this.#postpone(position, new KafkaError('a cut answer', 'busy'))
    } else if (++position.problems < PROBLEMS_MAX) {
      // a byte that changed on the way is another one over another connection
      link.reset('an answer does not fit')
      this.#postpone(position, new KafkaError(`unfit ${read.problem.reason} of a batch`, 'busy'))
    } else {
      this.#accept(position, read.problem, result.highWatermark)
    }
  }

  /** What was read so three times is so: a gap, or damage on the broker's disk. */
  #accept(position: Position, problem: ReadProblem, end: bigint): void {
    if (problem.gapEnd !== undefined) {
      this.#leaveRange(position, { start: problem.gapEnd, end })
      return
    }
    // the envelope's own checksum tells what they are worth
    const records = problem.records.map((record) =>
      record.appendUnixMs > 0 ? record : { ...record, appendUnixMs: position.appendUnixMs },
    )
    const count = countInSequence(records, position.next)
    if (count > 0) this.#handOver(position, records.slice(0, count))
    else this.#postpone(position, new KafkaError(`unfit ${problem.reason} of a batch`, 'busy'))
  }

  #handOver(position: Position, records: readonly LogRecord[]): void {
    position.next += BigInt(records.length)
    position.isBoundary = true
    position.appendUnixMs = records.at(-1)!.appendUnixMs
    position.failures = 0
    position.problems = 0
    // last: it may pause or resume this very partition
    this.#handler.records(position.partition, records)
  }

  /** The leader's log went another way than what was read; behind what was read that is no matter. */
  #diverged(position: Position, start: bigint, end: bigint): void {
    if (end < position.next) this.#leaveRange(position, { start, end })
    else position.lastEpoch = -1
  }

  #recover(position: Position, errorCode: number): void {
    const failure = kafkaErrorOf(errorCode)
    if (errorCode === OFFSET_OUT_OF_RANGE) {
      void this.#checkRange(position)
      return
    }
    this.#postpone(position, failure)
    if (failure.verdict === 'moved') this.#refresh()
  }

  /** Not taken from one answer: a leader that was just elected may not know its own end yet. */
  async #checkRange(position: Position): Promise<void> {
    position.notBeforeMs = Infinity
    try {
      const bounds = await this.#options.boundsOf(position.partition)
      if (this.#positions.get(position.partition) !== position) return
      const { next } = position
      if (next < bounds.start || next > bounds.end) this.#leaveRange(position, bounds)
      else this.#postpone(position, kafkaErrorOf(OFFSET_OUT_OF_RANGE))
    } catch (error) {
      if (this.#positions.get(position.partition) !== position) return
      this.#postpone(position, error)
    }
    this.#wakeLeader(position.partition)
  }

  #leaveRange(position: Position, bounds: OffsetBounds): void {
    this.#positions.delete(position.partition)
    this.#handler.outOfRange(position.partition, position.next, bounds)
  }

  /** Fetches the partition again after a pause that grows. */
  #postpone(position: Position, error: unknown): void {
    const isUnfit = error instanceof KafkaError && error.verdict === 'unfit'
    const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(10, position.failures++))
    position.notBeforeMs = this.#options.clock.monotonicMs() + (isUnfit ? UNFIT_PAUSE_MS : pauseMs)
    const { partition } = position
    const { code, message, details } = toLogError(error, { topic: this.#map.topic, partition })
    // never log_unfit, which says that reading is over
    const told = code === 'log_unfit' ? 'log_unavailable' : code
    this.#handler.trouble(new AppError(told, message, { cause: error, details }))
  }

  #complain(): void {
    const nowMs = this.#options.clock.monotonicMs()
    if (nowMs - this.#complainedAtMs < COMPLAINT_INTERVAL_MS) return
    this.#complainedAtMs = nowMs
    this.#handler.trouble(
      new AppError('log_unavailable', 'the topic does not stamp append times', {
        details: { topic: this.#map.topic, expected: 'message.timestamp.type=LogAppendTime' },
      }),
    )
  }

  #refresh(): void {
    // a topic that is another one is heard of by `foreign`; all else is tried again
    this.#map.refresh().catch(() => undefined)
  }
}

function countInSequence(records: readonly LogRecord[], first: bigint): number {
  let count = 0
  while (records[count]?.offset === first + BigInt(count)) count++
  return count
}
