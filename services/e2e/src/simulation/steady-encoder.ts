/**
 * An encoder that fails now and then, but never so often in a row that the flusher takes a sound batch for
 * one that can never be encoded: that would be a fault that production may answer with quarantine.
 */
import { AppError } from '@tributary/common/errors'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'
import type { TableEncoder } from '@tributary/ingester/flush/table-encoder'
import type { TableJob, TableResult } from '@tributary/ingester/flush/table-writer'

/** Of the flusher's three tries of a batch alone one has to come through. */
const FAILURES_IN_A_ROW_MAX = 2

export class SteadyEncoder implements TableEncoder {
  readonly #encoder: TableEncoder
  readonly #random: SeededRandom
  readonly #failureChance: number
  #failures = 0

  constructor(encoder: TableEncoder, random: SeededRandom, failureChance: number) {
    this.#encoder = encoder
    this.#random = random
    this.#failureChance = failureChance
  }

  async run(job: TableJob, signal?: AbortSignal): Promise<TableResult> {
    const result = await this.#encoder.run(job, signal)
    if (this.#failures < FAILURES_IN_A_ROW_MAX && this.#random.chance(this.#failureChance)) {
      this.#failures++
      throw new AppError('encode_failed', 'the encoder died')
    }
    this.#failures = 0
    return result
  }

  close(): Promise<void> {
    return this.#encoder.close()
  }
}
