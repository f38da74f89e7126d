/**
 * Keeps those drained that are to be drained: asks, asks again before the hold runs out, and asks to
 * resume where it is not wanted any more. A controller that dies renews nothing, and its ingesters come
 * back by themselves: no drain outlives whoever wanted it by more than HOLD_SECONDS.
 */
import type { Clock } from '@tributary/common/clock'
import { toAppError } from '@tributary/common/errors'
import type { Logger } from '@tributary/common/logger'
import type { IngesterControl } from '../observe/ingester-control.ts'

export interface DrainTarget {
  /** Of the pod: another pod of the same name is another target. */
  readonly uid: string
  readonly name: string
  readonly address: string
}

export interface DrainKeeperOptions {
  readonly control: IngesterControl
  readonly clock: Clock
  readonly logger: Logger
  /** Whether this controller may act, asked before every call. */
  readonly mayAct: () => boolean
}

export const HOLD_SECONDS = 30
/** Three tries within a hold. */
const RENEW_MS = (HOLD_SECONDS * 1000) / 3

interface Drain {
  target: DrainTarget
  askedMs: number
  isAsking: boolean
  isWanted: boolean
}

export class DrainKeeper {
  readonly #options: DrainKeeperOptions
  readonly #drains = new Map<string, Drain>()

  constructor(options: DrainKeeperOptions) {
    this.#options = options
  }

  /** @param living uids of members that live: others need no word any more */
  keep(wanted: readonly DrainTarget[], living: ReadonlySet<string>): void {
    const uids = new Set(wanted.map(({ uid }) => uid))
    for (const target of wanted) {
      const drain = this.#drains.get(target.uid)
      if (drain === undefined) {
        this.#drains.set(target.uid, {
          target,
          askedMs: -Infinity,
          isAsking: false,
          isWanted: true,
        })
      } else {
        Object.assign(drain, { target, isWanted: true })
      }
    }
    for (const [uid, drain] of this.#drains) {
      if (!living.has(uid)) this.#drains.delete(uid)
      else if (uids.has(uid)) this.#renew(drain)
      else this.#resume(uid, drain)
    }
  }

  /** Another controller acts: nothing is asked for any more, also not to resume. */
  forget(): void {
    this.#drains.clear()
  }

  #renew(drain: Drain): void {
    const { control, clock, logger, mayAct } = this.#options
    const nowMs = clock.monotonicMs()
    if (drain.isAsking || nowMs - drain.askedMs < RENEW_MS || !mayAct()) return
    Object.assign(drain, { askedMs: nowMs, isAsking: true })
    const { name, address } = drain.target
    control
      .drain(address, HOLD_SECONDS)
      .catch((error: unknown) => {
        // also where it takes longer than a call may: it is asked again
        logger.info({ err: toAppError(error), ingester: name }, 'a drain is not done yet')
      })
      .finally(() => {
        drain.isAsking = false
      })
      .catch(() => undefined)
  }

  #resume(uid: string, drain: Drain): void {
    const { control, clock, logger, mayAct } = this.#options
    const nowMs = clock.monotonicMs()
    if (drain.isWanted) Object.assign(drain, { isWanted: false, isAsking: false })
    if (nowMs - drain.askedMs > HOLD_SECONDS * 1000) this.#drains.delete(uid)
    if (drain.isAsking || !mayAct()) return
    drain.isAsking = true
    const { name, address } = drain.target
    control
      .resume(address)
      .then(
        () => {
          if (!drain.isWanted) this.#drains.delete(uid)
          logger.info({ ingester: name }, 'a drain was ended')
        },
        (error: unknown) => {
          logger.warn({ err: toAppError(error), ingester: name }, 'a drain could not be ended yet')
        },
      )
      .finally(() => {
        drain.isAsking = false
      })
      .catch(() => undefined)
  }
}
