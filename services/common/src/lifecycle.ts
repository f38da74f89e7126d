/**
 * Starts the parts of a process in order and stops them in reverse, once. A part that fails to start
 * stops those before it. The first SIGTERM or SIGINT stops gracefully; a second one, or the grace
 * period running out, ends the process at once: nothing acknowledged may depend on a clean end.
 */
import type { Logger } from './logger.ts'
import { AppError } from './errors.ts'

export interface Component {
  readonly name: string
  start?(): void | Promise<void>
  stop?(): void | Promise<void>
}

export interface LifecycleOptions {
  readonly logger: Logger
  /** How long a graceful stop may take; Kubernetes kills after 30 s by default. */
  readonly stopTimeoutMs: number
  /** Ends the process; tests replace it. */
  readonly exit?: (status: number) => void
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const
/** One Ctrl-C under npm arrives twice: from the terminal and, right after, forwarded by npm. */
const ONE_KEY_PRESS_MS = 500
/** 128 + 15, what a shell reports for SIGTERM. */
const FORCED_EXIT_STATUS = 143

export class Lifecycle {
  readonly #logger: Logger
  readonly #stopTimeoutMs: number
  readonly #exit: (status: number) => void
  readonly #components: Component[] = []
  #startedCount = 0
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  /** What is being stopped, for the log. */
  #stoppingPart: string | undefined

  constructor(options: LifecycleOptions) {
    this.#logger = options.logger
    this.#stopTimeoutMs = options.stopTimeoutMs
    this.#exit = options.exit ?? ((status) => process.exit(status))
  }

  get isStopping(): boolean {
    return this.#stopping !== undefined
  }

  /** Adds a part; parts start in the order of adding and stop in reverse. */
  add(component: Component): void {
    this.#components.push(component)
  }

  /** Starts all parts; when one fails, those before it are stopped and its error is thrown. */
  start(): Promise<void> {
    this.#starting ??= this.#startAll()
    return this.#starting
  }

  /**
   * Stops the started parts in reverse, once the one that is just starting has; further calls wait
   * for the first.
   * @throws AppError internal with the first cause, after every part was asked to stop
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAfterStart()
    return this.#stopping
  }

  async #startAll(): Promise<void> {
    for (const component of this.#components) {
      if (this.isStopping) return
      try {
        await component.start?.()
      } catch (error) {
        await this.#stopAll().catch((stopError: unknown) => {
          this.#logger.error({ err: stopError }, 'stopping after a failed start failed too')
        })
        throw error
      }
      this.#startedCount++
    }
  }

  async #stopAfterStart(): Promise<void> {
    await this.#starting?.catch(() => undefined) // whoever called start hears of it
    await this.#stopAll()
  }

  async #stopAll(): Promise<void> {
    const started = this.#components.slice(0, this.#startedCount).reverse()
    this.#startedCount = 0
    const failures: { name: string; error: unknown }[] = []
    for (const component of started) {
      this.#stoppingPart = component.name
      try {
        await component.stop?.()
      } catch (error) {
        failures.push({ name: component.name, error })
      }
    }
    const [first] = failures
    if (first !== undefined) {
      throw new AppError('internal', 'parts failed to stop', {
        cause: first.error,
        details: { parts: failures.map((failure) => failure.name) },
      })
    }
  }

  /** Starts, then resolves with the exit status after a signal has stopped everything. */
  async runUntilSignal(): Promise<number> {
    const finished = Promise.withResolvers<number>()
    let interruptedAtMs = -Infinity
    const onSignal = (signal: NodeJS.Signals): void => {
      const sinceInterruptMs = performance.now() - interruptedAtMs
      if (signal === 'SIGINT') interruptedAtMs = performance.now()
      if (this.isStopping) {
        if (signal === 'SIGINT' && sinceInterruptMs < ONE_KEY_PRESS_MS) return
        this.#logger.warn({ signal }, 'second signal, ending now')
        this.#exit(FORCED_EXIT_STATUS)
        return
      }
      this.#logger.info({ signal }, 'stopping')
      this.#stopWithin().then(finished.resolve, finished.reject)
    }
    for (const signal of SIGNALS) process.on(signal, onSignal)
    try {
      await this.start()
      return await finished.promise
    } finally {
      for (const signal of SIGNALS) process.off(signal, onSignal)
    }
  }

  async #stopWithin(): Promise<number> {
    const timer = setTimeout(() => {
      const facts = { stopTimeoutMs: this.#stopTimeoutMs, part: this.#stoppingPart }
      this.#logger.error(facts, 'graceful stop took too long')
      this.#exit(FORCED_EXIT_STATUS)
    }, this.#stopTimeoutMs)
    try {
      await this.stop()
      return 0
    } catch (error) {
      this.#logger.error({ err: error }, 'stopped with failures')
      return 1
    } finally {
      clearTimeout(timer)
    }
  }
}
