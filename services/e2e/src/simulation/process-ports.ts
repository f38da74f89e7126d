/** The ports of one simulated process: what comes back from outside waits while it stands still. */
import type {
  ApplyOutcome,
  FileIndex,
  FileSelection,
  IndexBuild,
  IndexPage,
  IndexSpan,
  IndexState,
} from '@tributary/common/catalogue/file-index'
import type { CommitFile } from '@tributary/common/commit/commit-record'
import type {
  LogReader,
  LogReaderHandler,
  OffsetBounds,
  PartitionLog,
} from '@tributary/common/log/partition-log'
import type {
  AcquireOutcome,
  AcquireRequest,
  ClusterMetadata,
  ClusterView,
  Member,
} from '@tributary/common/metadata/cluster-metadata'
import type { SimulatedProcess } from './simulated-process.ts'

export class ProcessLog implements PartitionLog {
  readonly #log: PartitionLog
  readonly #process: SimulatedProcess

  constructor(log: PartitionLog, process: SimulatedProcess) {
    this.#log = log
    this.#process = process
  }

  get logId(): string {
    return this.#log.logId
  }

  get topic(): string {
    return this.#log.topic
  }

  get time(): PartitionLog['time'] {
    return this.#log.time
  }

  get partitionCount(): number {
    return this.#log.partitionCount
  }

  get recordBytesMax(): number {
    return this.#log.recordBytesMax
  }

  leaderOf(partition: number): string | undefined {
    return this.#log.leaderOf(partition)
  }

  produce(partition: number, values: readonly Uint8Array[], timeoutMs: number): Promise<bigint> {
    return this.#process.answerOf(this.#log.produce(partition, values, timeoutMs))
  }

  bounds(): Promise<ReadonlyMap<number, OffsetBounds>> {
    return this.#process.answerOf(this.#log.bounds())
  }

  async openReader(handler: LogReaderHandler): Promise<LogReader> {
    const process = this.#process
    /** Counts the resumes of each partition that is not paused: what came before one is history. */
    const resumes = new Map<number, number>()
    let count = 0
    const receive = (partition: number, call: () => void): void => {
      const resume = resumes.get(partition)
      process.receive(() => {
        if (resume !== undefined && resumes.get(partition) === resume) call()
      })
    }
    const reader = await process.answerOf(
      this.#log.openReader({
        records: (partition, records) => {
          // what the log lends is only lent for the call
          const own = process.isFrozen
            ? records.map((record) => ({ ...record, value: new Uint8Array(record.value) }))
            : records
          receive(partition, () => {
            handler.records(partition, own)
          })
        },
        outOfRange: (partition, wanted, bounds) => {
          receive(partition, () => {
            handler.outOfRange(partition, wanted, bounds)
          })
        },
        trouble: (error) => {
          process.receive(() => {
            handler.trouble(error)
          })
        },
      }),
    )
    return {
      resume: (partition, fromOffset) => {
        resumes.set(partition, ++count)
        reader.resume(partition, fromOffset)
      },
      pause: (partition) => {
        resumes.delete(partition)
        reader.pause(partition)
      },
      close: () => {
        resumes.clear()
        return reader.close()
      },
    }
  }

  close(): Promise<void> {
    return this.#log.close()
  }
}

export class ProcessMetadata implements ClusterMetadata {
  readonly #metadata: ClusterMetadata
  readonly #process: SimulatedProcess

  constructor(metadata: ClusterMetadata, process: SimulatedProcess) {
    this.#metadata = metadata
    this.#process = process
  }

  beat(member: Member, timeToLiveMs: number): Promise<ClusterView> {
    return this.#process.answerOf(this.#metadata.beat(member, timeToLiveMs))
  }

  view(): Promise<ClusterView> {
    return this.#process.answerOf(this.#metadata.view())
  }

  acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    return this.#process.answerOf(this.#metadata.acquire(request))
  }

  release(partition: number, member: string, epoch: number): Promise<void> {
    return this.#process.answerOf(this.#metadata.release(partition, member, epoch))
  }

  leave(member: string): Promise<void> {
    return this.#process.answerOf(this.#metadata.leave(member))
  }

  close(): Promise<void> {
    return this.#metadata.close()
  }
}

export class ProcessIndex implements FileIndex {
  readonly #index: FileIndex
  readonly #process: SimulatedProcess

  constructor(index: FileIndex, process: SimulatedProcess) {
    this.#index = index
    this.#process = process
  }

  apply(span: IndexSpan): Promise<ApplyOutcome> {
    return this.#process.answerOf(this.#index.apply(span))
  }

  applyAll(spans: readonly IndexSpan[]): Promise<readonly ApplyOutcome[]> {
    return this.#process.answerOf(this.#index.applyAll(spans))
  }

  state(): Promise<IndexState> {
    return this.#process.answerOf(this.#index.state())
  }

  scan(generation: string, selection: FileSelection): AsyncIterable<IndexPage> {
    return this.#index.scan(generation, selection)
  }

  lookup(
    generation: string,
    files: readonly CommitFile[],
  ): Promise<readonly (CommitFile | undefined)[]> {
    return this.#process.answerOf(this.#index.lookup(generation, files))
  }

  reset(generation: string): Promise<void> {
    return this.#process.answerOf(this.#index.reset(generation))
  }

  build(): Promise<IndexBuild> {
    return this.#process.answerOf(this.#index.build())
  }
}
