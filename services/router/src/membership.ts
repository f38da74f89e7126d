/**
 * This router as a member of the cluster: says every second that it lives, and keeps what it hears of
 * the others. A beat that fails is tried again at the next turn; what was heard stays until then.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import { toAppError } from '@tributary/common/errors'
import type { Logger } from '@tributary/common/logger'
import type {
  ClusterMetadata,
  ClusterView,
  Member,
} from '@tributary/common/metadata/cluster-metadata'

export interface MembershipOptions {
  readonly metadata: ClusterMetadata
  /** Without what changes: `isDraining` and `status`. */
  readonly member: Omit<Member, 'isDraining' | 'status'>
  /** Asked for each beat. */
  readonly status: () => string
  readonly beatIntervalMs: number
  readonly timeToLiveMs: number
  readonly clock: Clock
  readonly logger: Logger
}

const NO_MEMBERS: readonly Member[] = []

export class Membership {
  readonly #options: MembershipOptions
  #view: ClusterView | undefined
  #heardAtMs: number | undefined
  #isDraining = false
  #isFailing = false
  #timer: Timer | undefined
  #beating: Promise<void> | undefined

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  /** Who was alive at the last beat that succeeded. */
  get members(): readonly Member[] {
    return this.#view?.members ?? NO_MEMBERS
  }

  /** Since the last beat that succeeded; undefined before the first. */
  get ageMs(): number | undefined {
    return this.#heardAtMs === undefined
      ? undefined
      : this.#options.clock.monotonicMs() - this.#heardAtMs
  }

  async start(): Promise<void> {
    await this.beat()
    this.#timer = this.#options.clock.every(this.#options.beatIntervalMs, () => {
      void this.beat()
    })
  }

  /** From now on beats say that this member goes. */
  drain(): void {
    this.#isDraining = true
  }

  /** Ends the membership before its time. */
  async stop(): Promise<void> {
    const { metadata, member, logger } = this.#options
    this.#timer?.cancel()
    await this.#beating
    try {
      await metadata.leave(member.id)
    } catch (error) {
      logger.info(
        { err: toAppError(error) },
        'could not leave the cluster: the membership runs out',
      )
    }
  }

  /** Never rejects; calls while one is under way share it. */
  beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async #beat(): Promise<void> {
    const { metadata, member, status, timeToLiveMs, clock, logger } = this.#options
    try {
      const self = { ...member, isDraining: this.#isDraining, status: status() }
      this.#view = await metadata.beat(self, timeToLiveMs)
      this.#heardAtMs = clock.monotonicMs()
      if (this.#isFailing) logger.info({}, 'the cluster hears this member again')
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing)
        logger.warn({ err: toAppError(error) }, 'the cluster can not be reached')
      this.#isFailing = true
    }
  }
}
