/**
 * Publishes a frozen memtable: tables to files (workers), files to the store, the sidecar of chunk
 * hashes, and last the commit. In that order: until the commit exists nothing of it is visible, and
 * whatever was left behind by a crash is either written again under the same key or an orphan.
 *
 * A store that fails is waited for, with growing pauses: the rows stay in the memtable and the log.
 * A batch that can never be encoded is found out, kept in quarantine with its reason, and becomes a
 * hole of the commit: one bad record never stops the partition.
 */
import { unlink } from 'node:fs/promises'
import { hash } from 'node:crypto'
import type { CommitChain } from '@tributary/common/commit/commit-chain'
import {
  COMMIT_FILES_MAX,
  COMMIT_FORMAT_VERSION,
  type CommitCounts,
  type CommitFile,
  type CommitHole,
  type CommitRecord,
} from '@tributary/common/commit/commit-record'
import { SIDECAR_CHUNKS_MAX, serializeSidecar } from '@tributary/common/commit/chunk-sidecar'
import type { Clock } from '@tributary/common/clock'
import { AppError, toAppError } from '@tributary/common/errors'
import { failpoint } from '@tributary/common/failpoint'
import type { Logger } from '@tributary/common/logger'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { dataKey, hashesKey, quarantineKey, type PartitionId } from '@tributary/common/paths'
import { signalName } from '@tributary/common/signal'
import assert from 'node:assert/strict'
import type { FrozenMemtable, MemtableEntry } from '../memtable/memtable.ts'
import type { FlushPool } from './flush-pool.ts'
import type { FlushSettings, TableFile, TableJob, TableResult } from './table-writer.ts'

export interface FlusherOptions {
  readonly partition: PartitionId
  readonly writer: string
  readonly epoch: number
  readonly store: ObjectStore
  readonly chain: CommitChain
  readonly pool: FlushPool
  readonly settings: FlushSettings
  readonly clock: Clock
  readonly logger: Logger
  /** Ends the waiting for a store that does not come back. */
  readonly signal: AbortSignal
  /** Files of one commit; default COMMIT_FILES_MAX. */
  readonly commitFilesMax?: number
}

interface Table {
  readonly tenant: string
  readonly signal: TableJob['signal']
  readonly entries: readonly MemtableEntry[]
  /** Hour files that its share of a commit's files allows, beside the late one. */
  readonly hoursMax: number
}

interface WrittenTable extends Table {
  readonly result: TableResult
}

/** Entries that could not be encoded, with the reason. */
interface Poison {
  readonly entry: MemtableEntry
  readonly reason: string
}

const RETRY_DELAY_MS_MIN = 500
const RETRY_DELAY_MS_MAX = 30_000
const TEMPORARY = new Set(['store_unavailable', 'object_missing'])
/** One hour and the late rows: a commit takes half as many tables as files. */
const TABLE_FILES_MIN = 2

export class Flusher {
  readonly #options: FlusherOptions

  constructor(options: FlusherOptions) {
    this.#options = options
  }

  /**
   * Makes a frozen memtable durable in the store and commits it: in one commit, unless its tables
   * are more than the files of one, or its chunks more than a sidecar holds.
   *
   * A put of this writer that was under way when its process died may land later: then that commit
   * stands where ours should, with rows of the same log. What it holds is stored; the rest follows.
   *
   * @param holes offsets of the range that the log lost, with reasons
   * @returns the commits made, none where earlier ones turned out to hold everything
   * @throws AppError chain_broken when another writer has taken the range
   */
  async flush(frozen: FrozenMemtable, holes: readonly CommitHole[]): Promise<CommitRecord[]> {
    const { chain, writer } = this.#options
    const tablesMax = Math.floor(this.#commitFilesMax / TABLE_FILES_MIN)
    const records: CommitRecord[] = []
    for (let rest = frozen; rest.start < rest.end; rest = restOf(frozen, chain.end)) {
      const part = headOf(rest, tablesMax)
      const outcome = await this.#flushOnce(
        part,
        holes.filter(({ start, end }) => BigInt(start) >= part.start && BigInt(end) <= part.end),
      )
      if (!('conflict' in outcome)) {
        records.push(outcome)
        continue
      }
      const { conflict } = outcome
      if (conflict.writer !== writer || chain.end > frozen.end) {
        throw new AppError('chain_broken', 'another writer has committed this range', {
          details: { start: String(rest.start), winner: conflict.writer },
        })
      }
    }
    return records
  }

  get #commitFilesMax(): number {
    return this.#options.commitFilesMax ?? COMMIT_FILES_MAX
  }

  async #flushOnce(
    frozen: FrozenMemtable,
    holes: readonly CommitHole[],
  ): Promise<CommitRecord | { readonly conflict: CommitRecord }> {
    const poison: Poison[] = []
    const written: WrittenTable[] = []
    await Promise.all(
      tablesOf(frozen.entries, this.#commitFilesMax).map(async (table) => {
        written.push(...(await this.#writeTable(table, frozen, poison)))
      }),
    )
    const files = await this.#publish(written, frozen)
    const poisonHoles: CommitHole[] = []
    for (const { entry, reason } of poison) {
      poisonHoles.push(await this.quarantine(entry.offset, entry.space.bytes, reason))
    }
    await failpoint('flush:before-commit')
    const record = await this.#recordOf(frozen, written, files, [...holes, ...poisonHoles], poison)
    const outcome = await this.#untilStored('commit', () => this.#options.chain.append(record))
    await failpoint('flush:after-commit')
    return outcome === 'committed' ? record : outcome
  }

  async #writeTable(
    table: Table,
    frozen: FrozenMemtable,
    poison: Poison[],
  ): Promise<WrittenTable[]> {
    try {
      return [{ ...table, result: await this.#runTable(table, frozen) }]
    } catch (error) {
      if (this.#options.signal.aborted) throw error
      this.#options.logger.error({ err: error, tenant: table.tenant }, 'table failed to encode')
    }
    const bad = await this.#findPoison(table, frozen)
    // where no batch is bad the failure was of the moment: the table is tried once more as it is
    poison.push(...bad)
    const entries = table.entries.filter((entry) => bad.every((each) => each.entry !== entry))
    if (entries.length === 0) return []
    const rest = { ...table, entries }
    return [{ ...rest, result: await this.#runTable(rest, frozen) }]
  }

  #runTable(table: Table, frozen: FrozenMemtable): Promise<TableResult> {
    const { partition, pool, settings } = this.#options
    const job: TableJob = {
      tenant: table.tenant,
      signal: table.signal,
      topic: partition.topic,
      partition: partition.partition,
      start: String(frozen.start),
      end: String(frozen.end),
      entries: table.entries.map(({ space, suppressed }) => ({ bytes: space.bytes, suppressed })),
      settings: { ...settings, hoursMax: Math.min(settings.hoursMax, table.hoursMax) },
    }
    return this.#untilStored('encode', () => pool.run(job))
  }

  /** Encodes every batch alone: slow, and only after a table failed. */
  async #findPoison(table: Table, frozen: FrozenMemtable): Promise<Poison[]> {
    const bad: Poison[] = []
    for (const entry of table.entries) {
      try {
        const result = await this.#runTable({ ...table, entries: [entry] }, frozen)
        await Promise.all(result.files.map(({ path }) => unlink(path)))
      } catch (error) {
        if (this.#options.signal.aborted) throw error
        bad.push({ entry, reason: toAppError(error).message })
      }
    }
    return bad
  }

  /** Keeps the bytes of one offset aside with the reason; the hole goes into its commit. */
  async quarantine(offset: bigint, bytes: Uint8Array, reason: string): Promise<CommitHole> {
    const { partition, store, logger } = this.#options
    const range = { start: offset, end: offset + 1n }
    const body = Buffer.from(bytes)
    const key = quarantineKey(partition, range, hash('sha256', body))
    await this.#untilStored('quarantine', () => store.put(key, body))
    logger.error({ key, reason, bytes: body.length }, 'batch quarantined')
    return { start: String(range.start), end: String(range.end), reason: `quarantined: ${reason}` }
  }

  async #publish(written: readonly WrittenTable[], frozen: FrozenMemtable): Promise<CommitFile[]> {
    const files: CommitFile[] = []
    for (const { tenant, signal, result } of written) {
      for (const file of result.files) {
        files.push(await this.#publishFile(tenant, signal, file, frozen))
      }
    }
    return files.sort((left, right) => (left.key < right.key ? -1 : 1))
  }

  async #publishFile(
    tenant: string,
    signal: Table['signal'],
    file: TableFile,
    frozen: FrozenMemtable,
  ): Promise<CommitFile> {
    const { partition, store } = this.#options
    const { path, bytes, sha256, rows, hour, timeMin, timeMax } = file
    const range = { start: frozen.start, end: frozen.end }
    const key = dataKey({ ...partition, ...range, tenant, signal, hour, sha256 })
    await failpoint('flush:before-put')
    await this.#untilStored('put', () => store.putFile(key, path, bytes, sha256))
    await unlink(path)
    await failpoint('flush:after-put')
    return { key, bytes, sha256, rows, tenant, signal, hour, timeMin, timeMax }
  }

  async #recordOf(
    frozen: FrozenMemtable,
    written: readonly WrittenTable[],
    files: readonly CommitFile[],
    holes: readonly CommitHole[],
    poison: readonly Poison[],
  ): Promise<CommitRecord> {
    const { partition, writer, epoch, clock } = this.#options
    const bad = new Set(poison.map(({ entry }) => entry))
    return {
      formatVersion: COMMIT_FORMAT_VERSION,
      ...partition,
      start: String(frozen.start),
      end: String(frozen.end),
      epoch,
      writer,
      schemaVersions: Object.fromEntries(
        written.map(({ tenant, signal, result }) => [`${tenant}/${signal}`, result.schemaVersion]),
      ),
      files,
      counts: countsOf(frozen, written, bad),
      holes: [...holes].sort((left, right) => (BigInt(left.start) < BigInt(right.start) ? -1 : 1)),
      hashes: await this.#putSidecar(frozen, bad),
      committedAt: new Date(clock.nowUnixMs()).toISOString(),
    }
  }

  /** Stores the hashes of the chunks that this commit stores: the window of the next process. */
  async #putSidecar(
    frozen: FrozenMemtable,
    bad: ReadonlySet<MemtableEntry>,
  ): Promise<string | null> {
    const { partition, store } = this.#options
    const entries = frozen.entries.filter((entry) => !bad.has(entry))
    const chunks = entries.flatMap(({ stored, arrivalUnixNano }) =>
      stored.map((chunk) => ({
        hash: chunk.hash,
        appendUnixMs: Number(arrivalUnixNano / 1_000_000n),
      })),
    )
    if (chunks.length === 0) return null
    const range = { start: frozen.start, end: frozen.end }
    const body = serializeSidecar(partition, range, chunks)
    const key = hashesKey(partition, range, hash('sha256', body))
    await this.#untilStored('sidecar', () => store.put(key, body))
    return key
  }

  /** Tries until the store takes it; only errors that may pass are waited for. */
  async #untilStored<T>(what: string, action: () => Promise<T>): Promise<T> {
    const { logger, clock, signal } = this.#options
    for (let delayMs = RETRY_DELAY_MS_MIN; ; delayMs = Math.min(2 * delayMs, RETRY_DELAY_MS_MAX)) {
      try {
        return await action()
      } catch (error) {
        if (!TEMPORARY.has(toAppError(error).code) || signal.aborted) throw error
        logger.warn({ err: error, what, delayMs }, 'store unavailable, flush waits')
        await clock.sleep(delayMs, signal)
      }
    }
  }
}

/** What of a frozen memtable lies from an offset on. */
function restOf(frozen: FrozenMemtable, start: bigint): FrozenMemtable {
  const entries = frozen.entries.filter((entry) => entry.offset >= start)
  return partOf(entries, start, frozen.end)
}

/** The first entries of a frozen memtable, within the bounds of a commit: usually all. */
function headOf(frozen: FrozenMemtable, tablesMax: number): FrozenMemtable {
  const names = new Set<string>()
  let chunks = 0
  const past = frozen.entries.findIndex((entry) => {
    chunks += entry.stored.length
    return chunks > SIDECAR_CHUNKS_MAX || names.add(tableName(entry)).size > tablesMax
  })
  if (past < 0) return frozen
  assert(past > 0, 'one batch fits a commit')
  return partOf(frozen.entries.slice(0, past), frozen.start, frozen.entries[past]!.offset)
}

function partOf(entries: readonly MemtableEntry[], start: bigint, end: bigint): FrozenMemtable {
  return {
    entries,
    start,
    end,
    rows: entries.reduce((sum, { rowCount }) => sum + rowCount, 0),
    bytes: entries.reduce((sum, { space }) => sum + space.bytes.length, 0),
  }
}

function tableName({ tenant, signal }: MemtableEntry): string {
  return `${tenant}/${String(signal)}`
}

/** Groups entries by tenant and signal, each in log order; all of them fit one commit's files. */
function tablesOf(entries: readonly MemtableEntry[], commitFilesMax: number): Table[] {
  const tables = new Map<string, { tenant: string; signal: number; entries: MemtableEntry[] }>()
  for (const entry of entries) {
    const name = tableName(entry)
    const table = tables.get(name)
    if (table !== undefined) table.entries.push(entry)
    else tables.set(name, { tenant: entry.tenant, signal: entry.signal, entries: [entry] })
  }
  const hoursMax = Math.floor(commitFilesMax / tables.size) - 1
  return [...tables]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, table]) => {
      const signal = signalName(table.signal)
      assert(signal !== undefined, 'an envelope names a known signal')
      return { ...table, signal, hoursMax }
    })
}

function countsOf(
  frozen: FrozenMemtable,
  written: readonly WrittenTable[],
  bad: ReadonlySet<MemtableEntry>,
): CommitCounts {
  const sum = (values: readonly number[]): number => values.reduce((left, right) => left + right, 0)
  const rowsStored = sum(written.map(({ result }) => result.rowsStored))
  const rowsQuarantined = sum([...bad].map(({ rowCount }) => rowCount))
  const rowsIn = frozen.rows
  return {
    rowsIn,
    rowsStored,
    rowsQuarantined,
    rowsSuppressed: rowsIn - rowsStored - rowsQuarantined,
  }
}
