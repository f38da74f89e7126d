/**
 * Makes a frozen memtable files of the store: tables are encoded (workers) and published, and last
 * comes the commit. In that order: until the commit exists nothing of it is visible.
 *
 * A batch that can never be encoded is found out, kept in quarantine with its reason, and becomes a
 * hole of the commit: one bad record never stops the partition. Its rows were never stored, so what
 * counted as a repeat of them is decided anew before the others are encoded.
 */
import type { AppendOutcome, CommitChain } from '@tributary/common/commit/commit-chain'
import {
  COMMIT_FILES_MAX,
  COMMIT_FORMAT_VERSION,
  type CommitCounts,
  type CommitFile,
  type CommitHole,
  type CommitRecord,
} from '@tributary/common/commit/commit-record'
import { AppError, toAppError } from '@tributary/common/errors'
import { failpoint } from '@tributary/common/failpoint'
import type { FrozenMemtable, MemtableEntry } from '../memtable/memtable.ts'
import { headOf, restOf, tableJob, tablesOf, type FlushTable } from './frozen-range.ts'
import { Publisher, type FinishedFile, type PublisherOptions } from './publisher.ts'
import type { StageObserver } from './flush-stage.ts'
import type { TableEncoder } from './table-encoder.ts'
import type { FlushSettings, TableResult } from './table-writer.ts'

export interface FlusherOptions extends PublisherOptions {
  readonly writer: string
  /** Of the lease; it rises when a lease is taken again. */
  readonly epoch: () => number
  readonly chain: CommitChain
  readonly encoder: TableEncoder
  readonly settings: FlushSettings
  /** Told how long each table waited for its worker and took, beside who is told of all partitions. */
  readonly observeTable?: StageObserver | undefined
  /** Asked before each batch goes to quarantine. @throws AppError where too many have gone there */
  readonly admitPoison: () => void
  /** These batches are never stored: decides anew what of the others was stored before. */
  readonly forget: (poison: ReadonlySet<MemtableEntry>) => Promise<void>
  /**
   * A commit was refused because of another writer's. Told also of a flush that was given up before its
   * answer came: a process that was frozen hears of its lost lease first.
   */
  readonly onFenced?: (() => void) | undefined
  /** Files of one commit; default COMMIT_FILES_MAX. */
  readonly commitFilesMax?: number
}

interface WrittenTable extends FlushTable {
  readonly result: TableResult
}

/** Batches that could not be encoded, with the reason. */
type Poison = Map<MemtableEntry, string>

/** Failures of a batch that is encoded alone: a failure of the moment must not cost its rows. */
const POISON_ATTEMPTS = 3
/** One hour and the late rows: a commit takes half as many tables as files. */
const TABLE_FILES_MIN = 2

export class Flusher {
  readonly #options: FlusherOptions
  readonly #publisher: Publisher

  constructor(options: FlusherOptions) {
    this.#options = options
    this.#publisher = new Publisher(options)
  }

  /**
   * Makes a frozen memtable durable in the store and commits it: in one commit, unless its tables
   * are more than the files of one, or its hashes more than a sidecar holds.
   *
   * A put of this writer that was under way when its process died may land later: then that commit
   * stands where ours should, with rows of the same log. What it holds is stored; the rest follows.
   *
   * @param holes offsets of the range that the log lost, with reasons
   * @returns the commits made, none where earlier ones turned out to hold everything
   * @throws AppError fenced when another writer has taken the range
   */
  async flush(frozen: FrozenMemtable, holes: readonly CommitHole[]): Promise<CommitRecord[]> {
    const { chain } = this.#options
    const tablesMax = Math.floor(this.#commitFilesMax / TABLE_FILES_MIN)
    const records: CommitRecord[] = []
    for (let rest = frozen; rest.start < rest.end; rest = restOf(frozen, chain.end)) {
      const part = headOf(rest, tablesMax)
      const outcome = await this.#flushPart(
        part,
        frozen.end,
        holes.filter(({ start, end }) => BigInt(start) >= part.start && BigInt(end) <= part.end),
      )
      if (outcome !== undefined) records.push(outcome)
    }
    return records
  }

  /** Keeps the bytes of one offset aside with the reason; the hole goes into its commit. */
  quarantine(offset: bigint, bytes: Uint8Array, reason: string): Promise<CommitHole> {
    this.#options.admitPoison()
    return this.#publisher.quarantine(offset, bytes, reason)
  }

  get #commitFilesMax(): number {
    return this.#options.commitFilesMax ?? COMMIT_FILES_MAX
  }

  /**
   * @param flushEnd where the whole flush ends
   * @returns undefined where an earlier put of this writer stands in place of the commit
   */
  async #flushPart(
    frozen: FrozenMemtable,
    flushEnd: bigint,
    holes: readonly CommitHole[],
  ): Promise<CommitRecord | undefined> {
    const { clock, observe } = this.#options
    const poison = new Set<MemtableEntry>()
    const allHoles = [...holes]
    let written = await this.#writeTables(frozen, poison)
    while (written instanceof Map) {
      for (const [entry, reason] of written) {
        allHoles.push(await this.quarantine(entry.offset, entry.space.bytes, reason))
        poison.add(entry)
      }
      await this.#publisher.untilStored('window', () => this.#options.forget(poison))
      written = await this.#writeTables(frozen, poison)
    }
    const files = await this.#publisher.publish(filesOf(written), frozen)
    await failpoint('flush:before-commit')
    const record = await this.#recordOf(frozen, written, files, allHoles, poison)
    const startMs = clock.monotonicMs()
    const outcome = await this.#publisher.untilStored('commit', () =>
      this.#append(record, flushEnd),
    )
    observe?.('commit', (clock.monotonicMs() - startMs) / 1000)
    await failpoint('flush:after-commit')
    return outcome === 'committed' ? record : undefined
  }

  async #append(record: CommitRecord, flushEnd: bigint): Promise<AppendOutcome> {
    const { chain, writer, onFenced } = this.#options
    try {
      const outcome = await chain.append(record)
      if (outcome === 'committed') return outcome
      const { conflict } = outcome
      if (conflict.writer === writer && chain.end <= flushEnd) return outcome
      throw new AppError('fenced', 'another writer has committed this range', {
        details: { start: record.start, winner: conflict.writer, epoch: conflict.epoch },
      })
    } catch (error) {
      if (toAppError(error).code === 'fenced') onFenced?.()
      throw error
    }
  }

  /** All tables of the range but these batches, or what else turns out to be poison in it. */
  async #writeTables(
    frozen: FrozenMemtable,
    without: ReadonlySet<MemtableEntry>,
  ): Promise<WrittenTable[] | Poison> {
    const entries = frozen.entries.filter((entry) => !without.has(entry))
    const poison: Poison = new Map()
    const outcomes = await Promise.allSettled(
      tablesOf(entries, this.#commitFilesMax).map((table) =>
        this.#writeTable(table, frozen, poison),
      ),
    )
    const written = outcomes
      .filter((outcome) => outcome.status === 'fulfilled')
      .flatMap(({ value }) => value ?? [])
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failed === undefined && poison.size === 0) return written
    await this.#publisher.discard(filesOf(written))
    if (failed !== undefined) throw failed.reason
    return poison
  }

  /** Undefined where some of its batches are poison. */
  async #writeTable(
    table: FlushTable,
    frozen: FrozenMemtable,
    poison: Poison,
  ): Promise<WrittenTable | undefined> {
    try {
      return { ...table, result: await this.#runTable(table, frozen) }
    } catch (error) {
      if (this.#options.signal.aborted) throw error
      this.#options.logger.error({ err: error, tenant: table.tenant }, 'table failed to encode')
    }
    const bad = await this.#findPoison(table, frozen)
    for (const [entry, reason] of bad) poison.set(entry, reason)
    if (bad.size > 0) return undefined
    // no batch is bad, so the failure was of the moment: the table is tried once more as it is
    return { ...table, result: await this.#runTable(table, frozen) }
  }

  #runTable(table: FlushTable, frozen: FrozenMemtable): Promise<TableResult> {
    const { partition, encoder, settings, signal, observeTable } = this.#options
    const job = tableJob(partition, frozen, table, settings)
    return this.#publisher.untilDone('encode', () => encoder.run(job, signal, observeTable))
  }

  /** Encodes every batch alone: slow, and only after a table failed. */
  async #findPoison(table: FlushTable, frozen: FrozenMemtable): Promise<Poison> {
    const poison: Poison = new Map()
    for (const entry of table.entries) {
      const reason = await this.#poisonReason({ ...table, entries: [entry] }, frozen)
      if (reason !== undefined) poison.set(entry, reason)
    }
    return poison
  }

  /** Why a table can not be encoded, however often; undefined where it can. */
  async #poisonReason(table: FlushTable, frozen: FrozenMemtable): Promise<string | undefined> {
    let reason: string | undefined
    for (let attempt = 0; attempt < POISON_ATTEMPTS; attempt++) {
      try {
        const result = await this.#runTable(table, frozen)
        await this.#publisher.discard(filesOf([{ ...table, result }]))
        return undefined
      } catch (error) {
        if (this.#options.signal.aborted) throw error
        reason = toAppError(error).message
      }
    }
    return reason
  }

  async #recordOf(
    frozen: FrozenMemtable,
    written: readonly WrittenTable[],
    files: readonly CommitFile[],
    holes: readonly CommitHole[],
    poison: ReadonlySet<MemtableEntry>,
  ): Promise<CommitRecord> {
    const { partition, writer, epoch, clock } = this.#options
    const stored = frozen.entries.filter((entry) => !poison.has(entry))
    const hashes = await this.#publisher.putSidecar(stored, frozen)
    return {
      formatVersion: COMMIT_FORMAT_VERSION,
      ...partition,
      start: String(frozen.start),
      end: String(frozen.end),
      epoch: epoch(),
      writer,
      schemaVersions: Object.fromEntries(
        written.map(({ tenant, signal, result }) => [`${tenant}/${signal}`, result.schemaVersion]),
      ),
      files,
      counts: countsOf(frozen, written, poison),
      holes: holes.toSorted((left, right) => (BigInt(left.start) < BigInt(right.start) ? -1 : 1)),
      hashes,
      committedAt: new Date(clock.nowUnixMs()).toISOString(),
    }
  }
}

function filesOf(written: readonly WrittenTable[]): FinishedFile[] {
  return written.flatMap(({ tenant, signal, result }) =>
    result.files.map((file) => ({ tenant, signal, file })),
  )
}

function countsOf(
  frozen: FrozenMemtable,
  written: readonly WrittenTable[],
  poison: ReadonlySet<MemtableEntry>,
): CommitCounts {
  const sum = (values: readonly number[]): number => values.reduce((left, right) => left + right, 0)
  const rowsStored = sum(written.map(({ result }) => result.rowsStored))
  const rowsQuarantined = sum([...poison].map(({ rowCount }) => rowCount))
  const rowsIn = frozen.rows
  return {
    rowsIn,
    rowsStored,
    rowsQuarantined,
    rowsSuppressed: rowsIn - rowsStored - rowsQuarantined,
  }
}
