/**
 * The Lease object in memory: versions and conflicts as the API server has them; calls take their time,
 * fail, or lose their answer under a seed.
 */
import type { Clock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'
import type { LeaseRecord, LeaseStore, StoredLease } from '../kubernetes/lease-store.ts'

export interface LeaseFaults {
  readonly delayMsMax: number
  /** Chances from 0 to 1. */
  readonly refused: number
  readonly answerLost: number
}

export class MemoryLease {
  stored: StoredLease | undefined
  readonly #clock: Clock
  readonly #random: SeededRandom
  readonly #faults: LeaseFaults
  #version = 0

  constructor(clock: Clock, random: SeededRandom, faults: LeaseFaults) {
    this.#clock = clock
    this.#random = random
    this.#faults = faults
  }

  connect(): LeaseStore {
    return {
      read: () => this.#call(() => this.stored),
      write: (record, over) => this.#call(() => this.#write(record, over)),
    }
  }

  #write(record: LeaseRecord, over: string | undefined): string | undefined {
    if (this.stored?.resourceVersion !== over) return undefined
    this.#version++
    this.stored = { ...record, resourceVersion: String(this.#version) }
    return this.stored.resourceVersion
  }

  async #call<Result>(act: () => Result): Promise<Result> {
    const { delayMsMax, refused, answerLost } = this.#faults
    await this.#clock.sleep(this.#random.below(delayMsMax + 1))
    if (this.#random.chance(refused)) throw unavailable()
    const result = act()
    await this.#clock.sleep(this.#random.below(delayMsMax + 1))
    if (this.#random.chance(answerLost)) throw unavailable()
    return result
  }
}

function unavailable(): AppError {
  return new AppError('kubernetes_unavailable', 'no answer')
}
