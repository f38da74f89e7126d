/**
 * Proves a store by the store alone: commits tile from 0, every file exists with its size, hash and
 * rows, counts add up, sidecars and schema versions exist, nothing lies about that no commit names.
 * Reads everything once; holds the files' names in memory (200 B each) and 8 MiB per file in work.
 */
import { createHash } from 'node:crypto'

import type { Clock } from '../clock.ts'
import type { ObjectStore } from '../object-store/object-store.ts'
import type { CommittedFile, CommittedObjects } from './committed-objects.ts'
import type {
  PendingObject,
  PlacedHole,
  Problem,
  ProblemKind,
  VerifyReport,
} from './verify-report.ts'
import { systemClock } from '../clock.ts'
import { readSidecar } from '../commit/chunk-sidecar.ts'
import { mapOrdered } from '../commit/ordered-map.ts'
import { AppError } from '../errors.ts'
import { loadSchema } from '../schema/schema-chain.ts'
import type { SignalName } from '../signal.ts'
import { readCommittedObjects } from './committed-objects.ts'
import { ORPHAN_GRACE_MS } from './orphan-sweep.ts'
import { readParquetFooter } from './parquet-footer.ts'
import { listUnreferenced } from './unreferenced.ts'
import { BoundedList } from './verify-report.ts'

const READ_BYTES = 8 * 1024 * 1024
/** Hashing runs at 1.5 GB/s per core: four files at a time hide the round trips of S3. */
const FILES_IN_FLIGHT_MAX = 4

export interface VerifyOptions {
  /** Unreferenced objects older than this are problems; default ORPHAN_GRACE_MS. */
  readonly graceMs?: number
  /**
   * Default true. False: existence, sizes and everything else are checked, contents are not, and
   * commits are taken from checkpoints.
   */
  readonly isContentRead?: boolean
  readonly clock?: Clock
  readonly onProgress?: (done: { readonly files: number; readonly ofFiles: number }) => void
}

/**
 * Walks the whole store; problems are in the report.
 * @throws AppError store_unavailable where the store could not be read: nothing is proved then
 */
export async function verifyStore(
  store: ObjectStore,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  return new Verification(store, options).run()
}

class Verification {
  readonly #store: ObjectStore
  readonly #options: VerifyOptions
  readonly #clock: Clock
  readonly #problems = new BoundedList<Problem>()
  readonly #holes = new BoundedList<PlacedHole>()
  readonly #pending = new BoundedList<PendingObject>()

  constructor(store: ObjectStore, options: VerifyOptions) {
    this.#store = store
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  async run(): Promise<VerifyReport> {
    const findings = { problems: this.#problems, holes: this.#holes }
    const isEveryCommitRead = this.#options.isContentRead !== false
    const committed = await readCommittedObjects(this.#store, findings, { isEveryCommitRead })
    await this.#checkSchemas(committed)
    const sizes = await this.#listSizes(committed)
    await this.#checkFiles(committed, sizes)
    await this.#checkSidecars(committed)
    const files = [...committed.files.values()]
    return {
      url: this.#store.url,
      isWhole: this.#problems.count === 0,
      checkedAt: new Date(this.#clock.nowUnixMs()).toISOString(),
      chains: committed.summaries,
      files: files.length,
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      rows: files.reduce((sum, file) => sum + file.rows, 0),
      holes: this.#holes.items,
      pending: this.#pending.items,
      problems: this.#problems.items,
      leftOut: {
        holes: this.#holes.leftOut,
        pending: this.#pending.leftOut,
        problems: this.#problems.leftOut,
      },
    }
  }

  async #checkSchemas(committed: CommittedObjects): Promise<void> {
    const tables = new Map<string, CommittedFile>()
    for (const file of committed.files.values()) {
      const table = `${file.tenant}/${file.signal}`
      const newest = tables.get(table)
      if (newest === undefined || newest.schemaVersion < file.schemaVersion) tables.set(table, file)
    }
    for (const [table, newest] of tables) await this.#checkSchema(table, newest)
  }

  async #checkSchema(table: string, newest: CommittedFile): Promise<void> {
    const { tenant, signal, schemaVersion } = newest
    const key = `schemas/${table}/`
    try {
      const schema = await loadSchema(this.#store, tenant, signal satisfies SignalName)
      if (schema.version < schemaVersion) {
        const message = `${newest.key} was written with version ${schemaVersion}`
        this.#problem('schema_version_missing', key, message)
      }
    } catch (error) {
      this.#problem('schema_broken', key, explain(error, ['schema_conflict', 'object_missing']))
    }
  }

  /** Sizes of the committed objects that exist; judges all others. */
  async #listSizes(committed: CommittedObjects): Promise<Map<string, number>> {
    const { graceMs = ORPHAN_GRACE_MS } = this.#options
    const sizes = new Map<string, number>()
    const unreferenced = listUnreferenced(this.#store, committed, ({ key, bytes }) => {
      sizes.set(key, bytes)
    })
    for await (const { key, bytes, lastModifiedMs, slot } of unreferenced) {
      const ageMs = Math.max(0, this.#clock.nowUnixMs() - lastModifiedMs)
      // its commit may still come, however late: not lost, not wrong, and not to be deleted
      const isOpen = slot !== undefined && !slot.isDecided
      if (isOpen || ageMs <= graceMs) this.#pending.add({ key, bytes, ageMs })
      else this.#problem('orphan', key, `no commit names it, ${Math.round(ageMs / 1000)} s old`)
    }
    return sizes
  }

  async #checkFiles(
    committed: CommittedObjects,
    sizes: ReadonlyMap<string, number>,
  ): Promise<void> {
    let done = 0
    const checks = mapOrdered(committed.files.values(), FILES_IN_FLIGHT_MAX, (file) =>
      this.#checkFile(file, sizes.get(file.key)),
    )
    for await (const _checked of checks) {
      done++
      this.#options.onProgress?.({ files: done, ofFiles: committed.files.size })
    }
  }

  async #checkFile(file: CommittedFile, listedBytes: number | undefined): Promise<void> {
    const { key } = file
    // a listing may be older than a commit that was just read: ask before calling it lost
    const bytes = listedBytes ?? (await this.#store.head(key))?.bytes
    if (bytes === undefined) return this.#problem('file_missing', key, 'file does not exist')
    if (bytes !== file.bytes) {
      const message = `file has ${bytes} bytes, its commit says ${file.bytes}`
      return this.#problem('file_size', key, message)
    }
    if (this.#options.isContentRead === false) return
    try {
      const actual = await this.#hashOf(file)
      if (actual !== file.sha256) {
        return this.#problem(
          'file_hash',
          key,
          `SHA-256 is ${actual}, its commit says ${file.sha256}`,
        )
      }
      await this.#checkFooter(file)
    } catch (error) {
      this.#problem('file_unreadable', key, explain(error, ['invalid_file', 'object_missing']))
    }
  }

  async #hashOf(file: CommittedFile): Promise<string> {
    const hash = createHash('sha256')
    for (let offset = 0; offset < file.bytes;) {
      const range = { offset, length: Math.min(READ_BYTES, file.bytes - offset) }
      const piece = await this.#store.get(file.key, { range })
      if (piece.length === 0) throw new AppError('invalid_file', 'file ends early')
      hash.update(piece)
      offset += piece.length
    }
    return hash.digest('hex')
  }

  async #checkFooter(file: CommittedFile): Promise<void> {
    const footer = await readParquetFooter(file.bytes, (offset, length) =>
      this.#store.get(file.key, { range: { offset, length } }),
    )
    const { rows, rowsOfGroups, keyValues } = footer
    if (rows !== file.rows || rowsOfGroups !== file.rows) {
      const message = `footer has ${rows} rows (row groups ${rowsOfGroups}), its commit says ${file.rows}`
      return this.#problem('file_rows', file.key, message)
    }
    const expected = {
      tenant: file.tenant,
      signal: file.signal,
      topic: file.topic,
      partition: String(file.partition),
      start: file.start,
      end: file.end,
      rows: String(file.rows),
      schema_version: String(file.schemaVersion),
    }
    for (const [name, value] of Object.entries(expected)) {
      const written = keyValues.get(`tributary.${name}`)
      if (written === value) continue
      const message = `footer says tributary.${name} is ${written}, its commit says ${value}`
      return this.#problem('file_footer', file.key, message)
    }
  }

  async #checkSidecars(committed: CommittedObjects): Promise<void> {
    const checks = mapOrdered(committed.sidecars, FILES_IN_FLIGHT_MAX, async ([key, record]) => {
      try {
        await readSidecar(this.#store, record)
      } catch (error) {
        const message = explain(error, ['object_missing', 'commit_damaged', 'object_too_large'])
        const isMissing = error instanceof AppError && error.code === 'object_missing'
        this.#problem(isMissing ? 'sidecar_missing' : 'sidecar_damaged', key, message)
      }
    })
    for await (const _checked of checks);
  }

  #problem(kind: ProblemKind, key: string, message: string): void {
    this.#problems.add({ kind, key, message })
  }
}

/** What is wrong with an object, in words; anything else (the store is away) is thrown on. */
function explain(error: unknown, codes: readonly string[]): string {
  if (!(error instanceof AppError) || !codes.includes(error.code)) throw error
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${cause}`
}
