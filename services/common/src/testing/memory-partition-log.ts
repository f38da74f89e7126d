/**
 * A client of a memory log that misbehaves on purpose (memory-log-faults.ts): what the port allows and
 * Kafka does on bad days, under a seed and in the time of a given clock. One client stands for one
 * process; `crash` is its kill -9.
 *
 * Stricter than Kafka in one thing: what a reader hands over is overwritten as soon as the call returns,
 * so that whoever keeps a view instead of a copy is found out.
 */
import { AppError } from '../errors.ts'
import { LogTime } from '../log/log-time.ts'
import type {
  LogReader,
  LogReaderHandler,
  OffsetBounds,
  PartitionLog,
} from '../log/partition-log.ts'
import type { MemoryLogBroker, StoredRecord } from './memory-log-broker.ts'

/** What a view is filled with when it is no longer valid. */
const STALE_BYTE = 0xdd

export class MemoryPartitionLog implements PartitionLog {
  readonly logId: string
  readonly topic: string
  readonly recordBytesMax: number
  readonly time: LogTime
  readonly #broker: MemoryLogBroker
  readonly #readers = new Set<MemoryLogReader>()
  /** Calls under way, to be rejected by close. */
  readonly #calls = new Set<(error: AppError) => void>()
  #isClosed = false
  #hasCrashed = false

  constructor(broker: MemoryLogBroker) {
    this.#broker = broker
    this.logId = broker.logId
    this.topic = broker.topic
    this.recordBytesMax = broker.recordBytesMax
    this.time = new LogTime(broker.clock)
  }

  get partitionCount(): number {
    return this.#broker.partitionCount
  }

  leaderOf(partition: number): string | undefined {
    return partition < this.partitionCount ? this.#broker.leaderOf(partition) : undefined
  }

  produce(partition: number, values: readonly Uint8Array[], timeoutMs: number): Promise<bigint> {
    const tooLarge = values.find((value) => value.length > this.recordBytesMax)
    if (tooLarge !== undefined) {
      return Promise.reject(
        new AppError('record_too_large', 'a record is above the bound of the topic', {
          details: { bytes: tooLarge.length, bytesMax: this.recordBytesMax },
        }),
      )
    }
    return this.#call<bigint>((resolve, reject) => {
      this.#attempt(partition, values, timeoutMs, resolve, reject)
    })
  }

  /** Decides by chance what becomes of a produce, and when. */
  #attempt(
    partition: number,
    values: readonly Uint8Array[],
    timeoutMs: number,
    resolve: (offset: bigint) => void,
    reject: (error: AppError) => void,
  ): void {
    const { random, faults, clock } = this.#broker
    if (this.#isOtherLog || partition >= this.partitionCount) return reject(recreated())
    const isRefused = random.chance(faults.refusedChance)
    const isLost = random.chance(faults.lostAnswerChance)
    const isLate = random.chance(faults.lateStoreChance)
    const times = random.chance(faults.duplicateChance) ? 2 : 1
    const storeMs = isLate ? timeoutMs + this.#broker.delayMs() : this.#broker.delayMs()
    const timeout = clock.after(timeoutMs, () => reject(unavailable('no answer in time')))
    const end = (act: () => void): void => {
      timeout.cancel()
      act()
    }
    if (isRefused) {
      clock.after(this.#broker.delayMs(), () => end(() => reject(unavailable('refused'))))
      return
    }
    const copies = values.map((value) => new Uint8Array(value))
    clock.after(storeMs, () => {
      // whether a process that died had sent its bytes is up to chance
      if (this.#hasCrashed && random.chance(0.5)) return
      if (this.#isOtherLog) return end(() => reject(recreated()))
      // a stopped broker refuses, or is silent until the time is over
      if (this.#broker.isStopped(partition)) {
        if (random.chance(0.5)) end(() => reject(unavailable('no connection')))
        return
      }
      let first = 0n
      for (let time = 0; time < times; time++) first = this.#broker.append(partition, copies)
      if (isLost) return
      const { appendUnixMs } = this.#broker.stored(partition).at(-1)!
      clock.after(this.#broker.delayMs(), () => {
        this.time.heard(appendUnixMs)
        end(() => resolve(first))
      })
    })
  }

  bounds(): Promise<ReadonlyMap<number, OffsetBounds>> {
    const { random, faults, clock } = this.#broker
    return this.#call((resolve, reject) => {
      const isFailed = random.chance(faults.boundsFailedChance)
      const isPartial = random.chance(faults.boundsFailedChance)
      clock.after(this.#broker.delayMs(), () => {
        if (this.#isOtherLog) return reject(recreated())
        const found = new Map<number, OffsetBounds>()
        for (let partition = 0; partition < this.partitionCount; partition++) {
          if (this.#broker.isStopped(partition)) continue
          if (isPartial && random.chance(0.5)) continue
          found.set(partition, this.#broker.bounds(partition))
        }
        if (isFailed || found.size === 0) reject(unavailable('no broker answered'))
        else resolve(found)
      })
    })
  }

  openReader(handler: LogReaderHandler): Promise<LogReader> {
    return this.#call((resolve) => {
      this.#broker.clock.after(this.#broker.delayMs(), () => {
        const reader = new MemoryLogReader(this.#broker, handler, () => this.#isOtherLog)
        this.#readers.add(reader)
        if (this.#isClosed) reader.stop()
        resolve(reader)
      })
    })
  }

  close(): Promise<void> {
    this.#stopAll()
    for (const reject of [...this.#calls]) reject(unavailable('the client was closed'))
    return Promise.resolve()
  }

  /** Nothing of this client calls back any more; what it has sent may still be stored. */
  crash(): void {
    this.#hasCrashed = true
    this.#stopAll()
    this.#calls.clear()
  }

  get #isOtherLog(): boolean {
    return this.#broker.logId !== this.logId
  }

  #stopAll(): void {
    this.#isClosed = true
    for (const reader of this.#readers) reader.stop()
  }

  /** A call that ends once: by its outcome, by close, or never after a crash. */
  #call<T>(
    start: (resolve: (value: T) => void, reject: (error: AppError) => void) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#isClosed) {
        if (!this.#hasCrashed) reject(unavailable('the client is closed'))
        return
      }
      const fail = (error: AppError): void => {
        if (this.#calls.delete(fail)) reject(error)
      }
      this.#calls.add(fail)
      start((value) => {
        if (this.#calls.delete(fail)) resolve(value)
      }, fail)
    })
  }
}

/** Where a partition is read. */
interface Position {
  next: bigint
  /** Ends the wait for a fetch or for a change. */
  stop: () => void
}

class MemoryLogReader implements LogReader {
  readonly #broker: MemoryLogBroker
  readonly #handler: LogReaderHandler
  readonly #isOtherLog: () => boolean
  readonly #positions = new Map<number, Position>()
  #isStopped = false

  constructor(broker: MemoryLogBroker, handler: LogReaderHandler, isOtherLog: () => boolean) {
    this.#broker = broker
    this.#handler = handler
    this.#isOtherLog = isOtherLog
  }

  resume(partition: number, fromOffset: bigint): void {
    if (this.#isStopped) return
    this.pause(partition)
    const position: Position = { next: fromOffset, stop: () => undefined }
    this.#positions.set(partition, position)
    this.#fetchLater(partition, position)
  }

  pause(partition: number): void {
    this.#positions.get(partition)?.stop()
    this.#positions.delete(partition)
  }

  close(): Promise<void> {
    this.stop()
    return Promise.resolve()
  }

  stop(): void {
    this.#isStopped = true
    for (const partition of [...this.#positions.keys()]) this.pause(partition)
  }

  #fetchLater(partition: number, position: Position): void {
    const timer = this.#broker.clock.after(this.#broker.delayMs(), () => {
      this.#fetch(partition, position)
    })
    position.stop = () => timer.cancel()
  }

  #fetch(partition: number, position: Position): void {
    const { random, faults } = this.#broker
    if (this.#isOtherLog()) {
      this.stop()
      this.#handler.trouble(recreated())
      return
    }
    if (this.#broker.isStopped(partition) || random.chance(faults.readFailedChance)) {
      this.#fetchLater(partition, position)
      this.#handler.trouble(unavailable('a fetch failed'))
      return
    }
    const bounds = this.#broker.bounds(partition)
    if (position.next < bounds.start || position.next > bounds.end) {
      this.pause(partition)
      this.#handler.outOfRange(partition, position.next, bounds)
    } else if (position.next === bounds.end) {
      position.stop = this.#broker.watch(partition, () => {
        position.stop()
        this.#fetchLater(partition, position)
      })
    } else {
      this.#deliver(partition, position)
    }
  }

  #deliver(partition: number, position: Position): void {
    const { random, faults } = this.#broker
    const countMax = 1 + random.below(faults.deliveryRecordsMax)
    const stored = this.#broker.read(partition, position.next, countMax)
    const views = stored.map((record) => this.#viewOf(record))
    position.next += BigInt(stored.length)
    // before the call, which may pause or resume
    this.#fetchLater(partition, position)
    this.#handler.records(partition, views)
    for (const { value } of views) value.fill(STALE_BYTE)
  }

  #viewOf({ offset, appendUnixMs, value }: StoredRecord): StoredRecord {
    const view = new Uint8Array(value)
    const { random, faults } = this.#broker
    if (view.length > 0 && random.chance(faults.flippedBitChance)) {
      view[random.below(view.length)]! ^= 1 << random.below(8)
    }
    return { offset, appendUnixMs, value: view }
  }
}

function unavailable(reason: string): AppError {
  return new AppError('log_unavailable', 'the log did not take the call', { details: { reason } })
}

function recreated(): AppError {
  return new AppError('log_unfit', 'the topic or the partition is not the one that was opened')
}
