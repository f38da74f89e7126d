/**
 * Tells when taking requests makes no sense for now: since some seconds every batch was refused,
 * because the disk is full or fails, or because files can't be stored and rows fill their memory.
 *
 * Overload alone is no standstill, since some batch always gets through. Clients that stay away on
 * account of it try nothing, so it ends by itself some seconds after the last refusal: what comes
 * then is stored, or refused and the standstill goes on.
 */
import type { Clock } from '@tributary/common/clock'
import type { AppError } from '@tributary/common/errors'

const REFUSED_FOR_MS = 5000
const FORGOTTEN_AFTER_MS = 10_000

export class Standstill {
  readonly #clock: Clock
  /** The first refusal after the last batch that was stored. */
  #refusedFromMs: number | undefined
  #refusedLastMs = 0
  #refusal: AppError | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  stored(): void {
    this.#refusedFromMs = undefined
  }

  refused(refusal: AppError): void {
    this.#refusedLastMs = this.#clock.monotonicMs()
    this.#refusedFromMs ??= this.#refusedLastMs
    this.#refusal = refusal
  }

  /** Why nothing can be stored; undefined when something can, or may. */
  get reason(): AppError | undefined {
    if (this.#refusedFromMs === undefined) return undefined
    const nowMs = this.#clock.monotonicMs()
    const hasLasted = nowMs - this.#refusedFromMs >= REFUSED_FOR_MS
    return hasLasted && nowMs - this.#refusedLastMs < FORGOTTEN_AFTER_MS ? this.#refusal : undefined
  }
}
