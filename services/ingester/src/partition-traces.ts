/**
 * Spans of what a partition does with traced batches: taking them, and the flush that makes files of
 * them. Flushes of a partition run one at a time, so what a stage tells belongs to the one under way.
 */
import type { Clock } from '@tributary/common/clock'
import type { PartitionId } from '@tributary/common/paths'
import type { TraceSpan, Tracing } from '@tributary/common/tracing'
import type { StageObserver } from './flush/flush-stage.ts'
import type { FrozenMemtable } from './memtable/memtable.ts'

/** Where a batch comes from that has rows of traced requests. */
export interface BatchTrace {
  /** fetch: a record of the log; wal: the log of this process. */
  readonly name: 'fetch' | 'wal'
  readonly parents: readonly string[]
  /** Monotonic: when it was received. */
  readonly sinceMs: number
}

/** Stages of one flush that have spans: a flush of thousands of tables shows its first ones. */
const STAGES_MAX = 100

export class PartitionTraces {
  readonly #tracing: Tracing
  readonly #clock: Clock
  readonly #id: PartitionId
  #flush: TraceSpan | undefined
  #stages = 0

  constructor(tracing: Tracing, clock: Clock, id: PartitionId) {
    this.#tracing = tracing
    this.#clock = clock
    this.#id = id
  }

  /** From when a batch was received until it is in memory. @returns where its flush goes on */
  taken({ name, parents, sinceMs }: BatchTrace, offset: bigint, nowMs: number): string | undefined {
    const span = this.#tracing.follow(name, parents, sinceMs, {
      kind: name === 'fetch' ? 'consumer' : 'internal',
      attributes: { ...this.#attributes, 'tributary.offset': String(offset) },
    })
    span?.end(nowMs)
    return span?.traceparent
  }

  flushBegins({ entries, start, end, rows }: FrozenMemtable, nowMs: number): void {
    const parents = entries.flatMap(({ traceparent }) => traceparent ?? [])
    this.#stages = 0
    this.#flush =
      parents.length === 0
        ? undefined
        : this.#tracing.follow('flush', parents, nowMs, {
            attributes: {
              ...this.#attributes,
              'tributary.start': String(start),
              'tributary.end': String(end),
              'tributary.rows': rows,
            },
          })
  }

  flushEnds(failure?: string): void {
    this.#flush?.end(this.#clock.monotonicMs(), failure)
    this.#flush = undefined
  }

  /** Told at the end of each stage. */
  readonly stage: StageObserver = (stage, seconds) => {
    if (this.#flush === undefined || ++this.#stages > STAGES_MAX) return
    const endMs = this.#clock.monotonicMs()
    this.#flush.child(stage, endMs - seconds * 1000).end(endMs)
  }

  /** Tells another one too. */
  alongside(observe: StageObserver): StageObserver {
    return (stage, seconds) => {
      observe(stage, seconds)
      this.stage(stage, seconds)
    }
  }

  get #attributes(): Readonly<Record<string, string>> {
    const { topic, partition } = this.#id
    return {
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': String(partition),
    }
  }
}
