/**
 * The flush workers, kept alive because the first table of a thread costs four times the others.
 *
 * Invariant: a table is with at most one worker; a worker that dies (out of memory, a bug in native
 * code) costs a retry on a fresh one, at most `attemptsMax` in all. Tables wait here in order; there
 * are as many as a flush has tenants and signals, which the tenant limit bounds.
 */
import { Worker } from 'node:worker_threads'
import { AppError, toAppError } from '@tributary/common/errors'
import type { Logger } from '@tributary/common/logger'
import type { SchemaState } from '@tributary/common/schema/schema-state'
import type { TableAttribute } from './attribute-plan.ts'
import type { FromWorker, ToWorker } from './flush-messages.ts'
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
  readonly logger: Logger
}

const ATTEMPTS_MAX = 3
/** Beside this file, as TypeScript in a checkout and as JavaScript in an image. */
const WORKER = new URL(import.meta.url.replace(/flush-pool(?=\.\w+$)/, 'flush-worker'))

interface Task {
  readonly id: number
  readonly job: TableJob
  readonly result: PromiseWithResolvers<TableResult>
  attempts: number
}

interface Slot {
  worker: Worker | undefined
  task: Task | undefined
}

export class FlushPool {
  readonly #options: FlushPoolOptions
  readonly #slots: Slot[]
  readonly #waiting: Task[] = []
  #nextId = 0
  #isClosed = false

  constructor(options: FlushPoolOptions) {
    this.#options = options
    this.#slots = Array.from({ length: options.workers }, () => ({
      worker: undefined,
      task: undefined,
    }))
  }

  /**
   * Writes the files of a table in a worker.
   *
   * @throws AppError of the table, or encode_failed when workers died over it again and again
   */
  run(job: TableJob): Promise<TableResult> {
    const task: Task = {
      id: this.#nextId++,
      job,
      result: Promise.withResolvers<TableResult>(),
      attempts: 0,
    }
    this.#waiting.push(task)
    this.#dispatch()
    return task.result.promise
  }

  async close(): Promise<void> {
    this.#isClosed = true
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
      slot.worker ??= this.#spawn(slot)
      this.#send(slot.worker, { kind: 'table', id: task.id, job: task.job })
    }
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
      this.#waiting.unshift(task)
    }
    this.#dispatch()
  }
}
