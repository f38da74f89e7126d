/**
 * The brokers that lead partitions, each with a circuit breaker around what is produced to it and the
 * bytes of the requests that wait for it. A broker that is gone must not take the room of the others:
 * its requests may hold half of what all may, and once most of its produces fail they are refused
 * before anything is decoded. Probing and closing again is opossum's; what failed, and whether it may
 * have been stored all the same, is the sink's.
 */
import CircuitBreaker from 'opossum'
import { AppError, toAppError } from '@tributary/common/errors'
import type { Logger } from '@tributary/common/logger'
import type { PartitionLog } from '@tributary/common/log/partition-log'

export interface BrokersOptions {
  readonly log: Pick<PartitionLog, 'leaderOf' | 'produce'>
  readonly logger: Logger
  /** Of all requests that wait for one broker. */
  readonly heldBytesMax: number
  /** Uniform in [0, 1); spreads retries. */
  readonly random?: () => number
  /** How long an open circuit stays so before one produce probes it. */
  readonly resetTimeoutMs?: number
}

export type CircuitState = 'closed' | 'half-open' | 'open'

/** A circuit opens when, of at least this many produces in ten seconds, half failed. */
const VOLUME_MIN = 3
const ERROR_PERCENTAGE = 50
const WINDOW_MS = 10_000
const WINDOW_BUCKETS = 10
const RESET_TIMEOUT_MS = 1000
/** Names of leaders: past it those of brokers that came and went are forgotten. */
const BROKERS_MAX = 256
/** Stands for the leader of a partition while nobody knows it. */
const UNKNOWN_LEADER = 'unknown'

type Produce = Parameters<PartitionLog['produce']>

export class Broker {
  readonly name: string
  /** Of requests that wait for it. */
  heldBytes = 0
  readonly #options: BrokersOptions
  readonly #breaker: CircuitBreaker<Produce, bigint>
  readonly #resetTimeoutMs: number

  constructor(name: string, options: BrokersOptions) {
    this.name = name
    this.#options = options
    this.#resetTimeoutMs = options.resetTimeoutMs ?? RESET_TIMEOUT_MS
    this.#breaker = new CircuitBreaker((...produce) => options.log.produce(...produce), {
      // the log has its own, and a produce that timed out here would go on there
      timeout: false,
      resetTimeout: this.#resetTimeoutMs,
      errorThresholdPercentage: ERROR_PERCENTAGE,
      volumeThreshold: VOLUME_MIN,
      rollingCountTimeout: WINDOW_MS,
      rollingCountBuckets: WINDOW_BUCKETS,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      // an answer that the record is too large comes from a broker that works
      errorFilter: (error: unknown) => toAppError(error).code === 'record_too_large',
    })
    this.#breaker.on('open', () => {
      options.logger.warn({ broker: name }, 'circuit opened: produces to the broker fail')
    })
    this.#breaker.on('close', () => {
      options.logger.info({ broker: name }, 'circuit closed: the broker takes produces')
    })
  }

  get state(): CircuitState {
    if (this.#breaker.opened) return 'open'
    return this.#breaker.halfOpen ? 'half-open' : 'closed'
  }

  /** @throws AppError log_unavailable while the circuit is open; overloaded while too much waits */
  check(): void {
    if (this.#breaker.opened) throw this.#circuitOpen()
    if (this.heldBytes >= this.#options.heldBytesMax) {
      throw new AppError('overloaded', 'too many bytes wait for one broker', {
        details: { broker: this.name, bytes: this.heldBytes },
      })
    }
  }

  /** @throws AppError as PartitionLog.produce does; log_unavailable where the circuit is open */
  async produce(...produce: Produce): Promise<bigint> {
    try {
      return await this.#breaker.fire(...produce)
    } catch (error) {
      if (CircuitBreaker.isOurError(error as Error)) throw this.#circuitOpen()
      throw toAppError(error)
    }
  }

  close(): void {
    this.#breaker.shutdown()
  }

  #circuitOpen(): AppError {
    const random = this.#options.random ?? Math.random
    const retryAfterMs = Math.round(this.#resetTimeoutMs * (1 + random()))
    return new AppError('log_unavailable', 'the circuit of the broker is open', {
      details: { broker: this.name, isCircuitOpen: true, retryAfterMs },
    })
  }
}

export class Brokers {
  readonly #options: BrokersOptions
  readonly #brokers = new Map<string, Broker>()

  constructor(options: BrokersOptions) {
    this.#options = options
  }

  /** All that are known, for metrics. */
  get all(): Iterable<Broker> {
    return this.#brokers.values()
  }

  /** Who leads the partition now. */
  of(partition: number): Broker {
    const name = this.#options.log.leaderOf(partition) ?? UNKNOWN_LEADER
    const known = this.#brokers.get(name)
    if (known !== undefined) return known
    if (this.#brokers.size >= BROKERS_MAX) this.#forgetIdle()
    const broker = new Broker(name, this.#options)
    this.#brokers.set(name, broker)
    return broker
  }

  close(): void {
    for (const broker of this.#brokers.values()) broker.close()
    this.#brokers.clear()
  }

  #forgetIdle(): void {
    for (const [name, broker] of this.#brokers) {
      if (broker.heldBytes > 0) continue
      broker.close()
      this.#brokers.delete(name)
    }
  }
}
