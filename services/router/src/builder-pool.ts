import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import type { Signal } from '@tributary/common/signal'

/** Kept for reuse per signal: their columns are warm and sized. */
const FREE_BUILDERS_MAX = 16

/** Builders of batches, used again: those of all partitions of a process. */
export class BuilderPool {
  readonly #free = new Map<Signal, BatchBuilder[]>()

  take(signal: Signal): BatchBuilder {
    return this.#free.get(signal)?.pop() ?? new BatchBuilder(signal)
  }

  /** Empties a builder that nobody looks at any more, and keeps it. */
  give(builder: BatchBuilder): void {
    builder.reset()
    const free = this.#free.get(builder.signal)
    if (free === undefined) this.#free.set(builder.signal, [builder])
    else if (free.length < FREE_BUILDERS_MAX) free.push(builder)
  }
}
