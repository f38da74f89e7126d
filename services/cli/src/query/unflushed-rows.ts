/**
 * Rows that are in no committed file yet, from the ingesters that hold them. Each owner says from which
 * offset on it answers; the commits that end there or before hold the rest, whatever is flushed
 * meanwhile. So owners are asked first and commits are read afterwards, never the other way round.
 */
import { createWriteStream } from 'node:fs'
import type { WriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import type { FileSelection } from '@tributary/common/catalogue/file-index'
import { AppError, toAppError } from '@tributary/common/errors'
import type { UnflushedFile, UnflushedRange } from '@tributary/common/ingester-service'
import type { ClusterView } from '@tributary/common/metadata/cluster-metadata'
import { SIGNAL_NAMES } from '@tributary/common/signal'

import type { ClusterAccess } from '../cluster/cluster-view.ts'
import { writeText } from '../terminal.ts'
import type { PartitionCut } from './catalogue-source.ts'
import type { LocalFile } from './telemetry-database.ts'

export interface UnflushedRows {
  /** In a temporary folder, until `remove`. */
  readonly files: readonly LocalFile[]
  readonly rows: number
  readonly cuts: readonly PartitionCut[]
  /** Partitions whose rows could not be had, and why. */
  readonly missing: ReadonlyMap<number, string>
  /** Partitions whose owner has not fetched all that was acknowledged: how much, for people. */
  readonly behind: ReadonlyMap<number, string>
  remove(): Promise<void>
}

/** Of one partition: encoding its memory takes a second or two. */
const READ_TIMEOUT_MS = 120_000
/** At least: a partition that changes hands is asked for again, and an ingester with other readers too. */
const TRIES_MAX = 6
const PAUSE_MS = 500

/**
 * @param waitMs how long to wait in all until owners have fetched what was acknowledged before; 0: not at all
 * @throws AppError metadata_unavailable; other failures are in `missing`
 */
export async function fetchUnflushed(
  access: ClusterAccess,
  selection: FileSelection,
  waitMs: number,
): Promise<UnflushedRows> {
  const question = { selection, waitMs, untilMs: performance.now() + waitMs }
  const folder = await mkdtemp(join(tmpdir(), 'tributary-unflushed-'))
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    const fetched: FetchedPartition[] = []
    let missing = new Map<number, string>()
    const mayTry = (tries: number): boolean =>
      tries <= TRIES_MAX || performance.now() < question.untilMs
    for (let tries = 1; tries === 1 || (missing.size > 0 && mayTry(tries)); tries++) {
      if (tries > 1) await sleep(PAUSE_MS)
      const done = new Set(fetched.map(({ cut }) => cut.id.partition))
      const round = await askOwners(access, question, join(folder, String(tries)), done)
      fetched.push(...round.fetched)
      missing = round.missing
    }
    return {
      files: fetched.flatMap(({ files }) => files),
      rows: fetched.reduce((sum, { rows }) => sum + rows, 0),
      cuts: fetched.map(({ cut }) => cut),
      missing,
      behind: new Map(fetched.flatMap(({ cut, behind }) => behindOf(cut, behind))),
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

interface Question {
  readonly selection: FileSelection
  readonly waitMs: number
  readonly untilMs: number
}

interface FetchedPartition {
  readonly cut: PartitionCut
  readonly files: readonly LocalFile[]
  readonly rows: number
  /** '': all was fetched, or nobody waited for it. */
  readonly behind: string
}

interface Round {
  readonly fetched: FetchedPartition[]
  readonly missing: Map<number, string>
}

/** Ingesters side by side, the partitions of each one after the other: that is what they allow. */
async function askOwners(
  access: ClusterAccess,
  question: Question,
  prefix: string,
  done: ReadonlySet<number>,
): Promise<Round> {
  const view = await access.view()
  const { leases, members } = view
  const addresses = new Map(members.map(({ id, address }) => [id, address]))
  const round: Round = { fetched: [], missing: new Map() }
  // anew at each try: an ingester that has just started may be the first to say how many there are
  const all = [...partitionsOf(view, await access.partitionCount(view))]
  const left = all.filter((partition) => !done.has(partition))
  const byOwner = Map.groupBy(left, (partition) => {
    const owner = leases.get(partition)?.owner
    return owner === undefined ? undefined : addresses.get(owner)
  })
  const asked = [...byOwner].map(async ([address, owned]) => {
    for (const partition of owned) {
      if (address === undefined) {
        round.missing.set(partition, 'nobody owns it')
        continue
      }
      const path = `${prefix}-${partition}`
      const outcome = await readPartition(access, address, partition, question, path)
      if (typeof outcome === 'string') round.missing.set(partition, outcome)
      else round.fetched.push(outcome)
    }
  })
  await Promise.all(asked)
  return round
}

/** All there are: rows may have come to one that nobody has owned yet. A topic has one at least. */
function partitionsOf({ leases }: ClusterView, count: number): ReadonlySet<number> {
  const numbers = Array.from({ length: Math.max(1, count) }, (_, partition) => partition)
  return new Set([...numbers, ...leases.keys()])
}

/** Why it could not be read, where it could not. */
async function readPartition(
  access: ClusterAccess,
  address: string,
  partition: number,
  { selection, waitMs, untilMs }: Question,
  prefix: string,
): Promise<FetchedPartition | string> {
  const request = {
    partition,
    tenant: selection.tenant ?? '',
    signal: selection.signal ?? '',
    // where no time is left it still says how far it is
    waitMs: waitMs === 0 ? 0 : Math.max(1, Math.round(untilMs - performance.now())),
  }
  const sink = new FileSink(prefix, selection)
  let range: UnflushedRange | undefined
  try {
    const messages = access
      .clientOf(address)
      .readUnflushed(request, READ_TIMEOUT_MS + request.waitMs)
    for await (const message of messages) {
      if (message.range) range = message.range
      if (message.file) await sink.begin(message.file)
      if (message.data) await sink.write(message.data)
    }
    await sink.end()
  } catch (error) {
    await sink.abandon()
    const failure = toAppError(error)
    if (failure.code === 'internal') throw error
    const { answer } = failure.details
    return `${failure.message} (${typeof answer === 'string' ? answer : address})`
  }
  if (range === undefined) return 'the answer has no range'
  const { logId, topic, start } = range
  const cut = { id: { logId, topic, partition }, start: BigInt(start) }
  const behind = waitMs === 0 ? '' : behindText(range)
  return { cut, files: sink.files, rows: sink.rows, behind }
}

function behindText({ end, logEnd }: UnflushedRange): string {
  // an ingester of an older version does not know the question
  if (logEnd === undefined) return 'how far the log goes is not known'
  const count = BigInt(logEnd) - BigInt(end)
  return count > 0n ? `${count} records of the log are not fetched` : ''
}

function behindOf({ id }: PartitionCut, behind: string): [number, string][] {
  return behind === '' ? [] : [[id.partition, behind]]
}

/** Writes the files of one answer, one after the other, as the selection wants them. */
class FileSink {
  readonly files: LocalFile[] = []
  rows = 0
  readonly #prefix: string
  readonly #selection: FileSelection
  #stream: WriteStream | undefined

  constructor(prefix: string, selection: FileSelection) {
    this.#prefix = prefix
    this.#selection = selection
  }

  async begin({ tenant, signal, hour, rows }: UnflushedFile): Promise<void> {
    await this.end()
    const name = SIGNAL_NAMES.find((known) => known === signal)
    if (name === undefined) {
      throw new AppError('invalid_file', 'an ingester names a signal that is none', {
        details: { signal },
      })
    }
    const { fromHour = '', toHour = '~' } = this.#selection
    if (hour !== 'late' && (hour < fromHour || hour > toHour)) return
    const path = `${this.#prefix}-${this.files.length}.parquet`
    this.#stream = createWriteStream(path)
    // awaited at the end of the file
    this.#stream.on('error', () => undefined)
    this.files.push({ path, tenant, signal: name })
    this.rows += Number(rows)
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#stream === undefined) return
    await writeText(this.#stream, bytes)
  }

  async end(): Promise<void> {
    const stream = this.#stream
    this.#stream = undefined
    if (stream === undefined) return
    stream.end()
    await finished(stream)
  }

  async abandon(): Promise<void> {
    await this.end().catch(() => undefined)
    for (const { path } of this.files) await rm(path, { force: true })
    this.files.length = 0
  }
}
