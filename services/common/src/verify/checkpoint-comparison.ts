/**
 * Compares the checkpoints of a chain with its commits, side by side as both are read in order: every
 * commit of a checkpoint lies in the store with the same bytes, and none between them is left out.
 */
import { Buffer } from 'node:buffer'

import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type { StoredCommit } from '../commit/checkpoint.ts'
import type { BoundedList, Problem } from './verify-report.ts'
import { listCheckpoints, oneLine, readCheckpoint } from '../commit/checkpoint.ts'
import { AppError } from '../errors.ts'
import { checkpointKey } from '../paths.ts'

export class CheckpointComparison {
  readonly #store: ObjectStore
  readonly #id: PartitionId
  readonly #problems: BoundedList<Problem>
  #ends: bigint[] | undefined
  #key = ''
  #commits: AsyncGenerator<StoredCommit> | undefined
  #next: StoredCommit | undefined

  constructor(store: ObjectStore, id: PartitionId, problems: BoundedList<Problem>) {
    this.#store = store
    this.#id = id
    this.#problems = problems
  }

  /** The next commit of the chain. */
  async commit(start: bigint, bytes: Uint8Array): Promise<void> {
    this.#ends ??= [...(await listCheckpoints(this.#store, this.#id, 0n))]
    this.#next ??= await this.#advance()
    while (this.#next !== undefined && BigInt(this.#next.record.start) < start) {
      this.#wrong(`has a commit at ${this.#next.record.start} that the chain has not`)
      this.#next = await this.#advance()
    }
    if (this.#next === undefined || BigInt(this.#next.record.start) > start) {
      // behind all checkpoints, or the next one begins later: only a place within one is left out
      if (this.#next !== undefined && this.#commits !== undefined && this.#isWithin(start)) {
        this.#wrong(`leaves out the commit at ${start}`)
      }
      return
    }
    if (!Buffer.from(oneLine(bytes)).equals(this.#next.bytes)) {
      this.#wrong(`has another commit at ${start} than the chain`)
    }
    this.#next = await this.#advance()
  }

  /** Behind the last commit of the chain. */
  async finish(): Promise<void> {
    this.#ends ??= [...(await listCheckpoints(this.#store, this.#id, 0n))]
    this.#next ??= await this.#advance()
    if (this.#next === undefined) return
    this.#wrong(`has a commit at ${this.#next.record.start} that the chain has not`)
  }

  /** True where the checkpoint at hand has given a commit before this one. */
  #isWithin(start: bigint): boolean {
    return this.#given !== undefined && this.#given < start
  }

  /** The start of the last commit that the checkpoint at hand gave. */
  #given: bigint | undefined

  async #advance(): Promise<StoredCommit | undefined> {
    if (this.#next !== undefined) this.#given = BigInt(this.#next.record.start)
    for (;;) {
      if (this.#commits === undefined) {
        const end = this.#ends!.shift()
        if (end === undefined) return undefined
        this.#key = checkpointKey(this.#id, end)
        this.#commits = readCheckpoint(this.#store, this.#id, end)
        this.#given = undefined
      }
      try {
        const step = await this.#commits.next()
        if (step.done !== true) return step.value
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'commit_damaged') throw error
        const { key, message } = { key: this.#key, message: error.message }
        this.#problems.add({ kind: 'checkpoint_damaged', key, message })
      }
      this.#commits = undefined
    }
  }

  #wrong(message: string): void {
    const problem = { kind: 'checkpoint_wrong', key: this.#key, message } as const
    this.#problems.add(problem)
  }
}
