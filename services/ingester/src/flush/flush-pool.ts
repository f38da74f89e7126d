/**
 * The flush workers of a process, kept alive because the first table of a thread costs four times the
 * others. Partitions take turns: one with many tables does not hold up the flushes of the others.
 *
 * Invariant: a table is with at most one worker; a worker that dies (out of memory, a bug in native
 * code) costs a retry on a fresh one, at most `attemptsMax` in all. As many tables wait here as
 * flushes have tenants and signals, which the tenant limit bounds.
 */
import { Worker } from 'node:worker_threads'
import type { Clock } from '@tributary/common/clock'
import { AppError, toAppError } from '@tributary/common/errors'
import type { Logger } from '@tributary/common/logger'
import type { SchemaState } from '@tributary/common/schema/schema-state'
import type { TableAttribute } from './attribute-plan.ts'
import { FairQueue } from './fair-queue.ts'
import type { FromWorker, ToWorker } from './flush-messages.ts'
import type { StageObserver } from './flush-stage.ts'
import type { TableEncoder } from './table-encoder.ts'
import type { TableJob, TableResult } from './table-writer.ts'

export type SchemaResolver = (
  tenant: string,
  signal: TableJob['signal'],
  wanted: readonly TableAttribute[],
) => Promise<SchemaState>

export interface FlushPoolOptions {
  readonly workers: number
  readonly spoolDirectory: string
  readonly schemaOf: SchemaResolver
  readonly clock: Clock
  readonly logger: Logger
  readonly observe?: StageObserver
  readonly onWritten?: (job: TableJob, result: TableResult) => void
}

const ATTEMPTS_MAX = 3
/** Beside this file, as TypeScript in a checkout and as JavaScript in an image. */
const WORKER = new URL(import.meta.url.replace(/flush-pool(?=\.\w+$)/, 'flush-worker'))

interface Task {
  readonly id: number
  readonly job: TableJob
  readonly result: PromiseWithResolvers<TableResult>
  readonly observe: StageObserver | undefined
  attempts: number
  /** Monotonic: when it began to wait, then when a worker got it. */
  sinceMs: number
}

interface Slot {
  worker: Worker | undefined
  task: Task | undefined
}

export class FlushPool implements TableEncoder {
  readonly #options: FlushPoolOptions
  readonly #slots: Slot[]
  readonly #waiting = new FairQueue<Task>()
  /** Of tables that were encoded. */
  #busyMs = 0
  #nextId = 0
  #isClosed = false

  constructor(options: FlushPoolOptions) {
    this.#options = options
    this.#slots = Array.from({ length: options.workers }, () => ({
      worker: undefined,
      task: undefined,
    }))
  }

  /** How long a worker was busy since the start, on average over the workers. */
  get busySeconds(): number {
    const nowMs = this.#options.clock.monotonicMs()
    const runningMs = this.#slots.reduce(
      (sum, { task }) => sum + (task === undefined ? 0 : nowMs - task.sinceMs),
      0,
    )
    return (this.#busyMs + runningMs) / this.#slots.length / 1000
  }

  /**
   * Starts the threads ahead of the first table: loading their code takes a second, ten on a busy machine,
   * and a process that has just taken a partition may have to give it away at once.
   */
  start(): void {
    for (const slot of this.#slots) slot.worker ??= this.#spawn(slot)
  }

  run(job: TableJob, signal?: AbortSignal, observe?: StageObserver): Promise<TableResult> {
    const task: Task = {
      id: this.#nextId++,
      job,
      result: Promise.withResolvers<TableResult>(),
      observe,
      attempts: 0,
      sinceMs: this.#options.clock.monotonicMs(),
    }
    const giveUp = (): void => {
      if (this.#waiting.remove(ownerOf(task), task)) task.result.reject(cancelled(job))
    }
    if (this.#isClosed || signal?.aborted === true) return Promise.reject(cancelled(job))
    signal?.addEventListener('abort', giveUp)
    this.#waiting.push(ownerOf(task), task)
    this.#dispatch()
    return task.result.promise.finally(() => {
      signal?.removeEventListener('abort', giveUp)
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (let task = this.#waiting.shift(); task !== undefined; task = this.#waiting.shift()) {
      task.result.reject(cancelled(task.job))
    }
    const workers = this.#slots.map(({ worker }) => worker).filter((worker) => worker !== undefined)
    await Promise.all(workers.map((worker) => worker.terminate()))
  }

  #dispatch(): void {
    for (const slot of this.#slots) {
      if (slot.task !== undefined) continue
      const task = this.#waiting.shift()
      if (task === undefined) return
      slot.task = task
      task.attempts++
      this.#observe('wait', task)
      slot.worker ??= this.#spawn(slot)
      this.#send(slot.worker, { kind: 'table', id: task.id, job: task.job })
    }
  }

  /** Tells how long the stage took that ends now. */
  #observe(stage: 'wait' | 'encode', task: Task): void {
    const nowMs = this.#options.clock.monotonicMs()
    const tookMs = nowMs - task.sinceMs
    if (stage === 'encode') this.#busyMs += tookMs
    this.#options.observe?.(stage, tookMs / 1000)
    task.observe?.(stage, tookMs / 1000)
    task.sinceMs = nowMs
  }

  #send(worker: Worker, message: ToWorker): void {
    worker.postMessage(message)
  }

  #spawn(slot: Slot): Worker {
    const worker = new Worker(WORKER, {
      workerData: { spoolDirectory: this.#options.spoolDirectory },
    })
    worker.on('message', (message: FromWorker) => {
      this.#receive(slot, worker, message)
    })
    let cause: unknown
    worker.on('error', (error: unknown) => {
      cause = error
    })
    worker.on('exit', () => {
      this.#replace(slot, worker, cause)
    })
    return worker
  }

  #receive(slot: Slot, worker: Worker, message: FromWorker): void {
    const { task } = slot
    if (task === undefined || task.id !== message.id) return
    switch (message.kind) {
      case 'schema-wanted':
        void this.#answerSchema(worker, task, message.wanted)
        return
      case 'done':
        this.#observe('encode', task)
        this.#options.onWritten?.(task.job, message.result)
        task.result.resolve(message.result)
        break
      case 'failed': {
        const { code, message: text, details } = message.failure
        task.result.reject(new AppError(code, text, { details }))
        break
      }
    }
    slot.task = undefined
    this.#dispatch()
  }

  async #answerSchema(
    worker: Worker,
    { id, job }: Task,
    wanted: readonly TableAttribute[],
  ): Promise<void> {
    try {
      const schema = await this.#options.schemaOf(job.tenant, job.signal, wanted)
      this.#send(worker, { kind: 'schema', id, schema: schema.snapshot(wanted) })
    } catch (error) {
      const { code, message, details } = toAppError(error)
      this.#send(worker, { kind: 'schema-failed', id, failure: { code, message, details } })
    }
  }

  /** A worker ended: its table is tried again on a fresh one. */
  #replace(slot: Slot, worker: Worker, cause: unknown): void {
    if (slot.worker !== worker) return
    slot.worker = undefined
    const { task } = slot
    slot.task = undefined
    if (task === undefined) return
    if (this.#isClosed || task.attempts >= ATTEMPTS_MAX) {
      const { tenant, signal } = task.job
      const details = { tenant, signal, attempts: task.attempts }
      task.result.reject(
        new AppError('encode_failed', 'flush worker ended while it wrote a table', {
          cause,
          details,
        }),
      )
    } else {
      this.#options.logger.error({ err: cause, attempt: task.attempts }, 'flush worker died')
      this.#waiting.unshift(ownerOf(task), task)
    }
    this.#dispatch()
  }
}

function ownerOf({ job }: Task): string {
  return `${job.topic}/${String(job.partition)}`
}

function cancelled({ tenant, signal }: TableJob): AppError {
  return new AppError('cancelled', 'the table is not written', { details: { tenant, signal } })
}
