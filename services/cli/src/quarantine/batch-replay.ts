/**
 * Sends quarantined batches to the log again, so that nothing is lost or stored twice:
 *
 *  - The bytes are the same, with the same batch id: ingesters drop a second one within their window.
 *  - A claim is put before, a note after. Who finds a claim without a note looks into the commits and the
 *    log behind the place that the claim names, and sends only what is in neither.
 *  - A client may have sent the same rows again in another batch, which was stored. The sidecars around
 *    the commit that left the batch out tell: all of its rows stored is an end, some of them is refused.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { chunkEntries } from '@tributary/common/columnar/chunk-list'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { AppError } from '@tributary/common/errors'
import type { PartitionLog } from '@tributary/common/log/partition-log'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { PartitionId } from '@tributary/common/paths'

import { commitOf } from './chain-holes.ts'
import type { ChainOutlines } from './chain-holes.ts'
import { readBatch } from './quarantined-batches.ts'
import type { QuarantinedBatch } from './quarantined-batches.ts'
import { putClaim, putNote } from './replay-note.ts'

export interface BatchReplayOptions {
  readonly store: ObjectStore
  readonly log: PartitionLog
  readonly chains: ChainOutlines
  /** How long ingesters remember what they stored. */
  readonly retryWindowMs: number
  /** A claim older than this, without a note, is that of somebody who died. */
  readonly takeoverMs: number
  readonly nowUnixMs: () => number
}

export type ReplayOutcome =
  | { readonly kind: 'sent'; readonly partition: number; readonly offset: bigint }
  /** Whoever claimed it had sent it before. */
  | { readonly kind: 'found'; readonly partition: number; readonly offset: bigint }
  /** A retry of the client had stored its rows. */
  | { readonly kind: 'stored' }
  /** Nothing was done; the reason. */
  | { readonly kind: 'refused'; readonly reason: string }

const PRODUCE_TIMEOUT_MS = 30_000
const READ_TIMEOUT_MS = 60_000
/** A commit comes later than its records were appended: flush interval, outages. */
const COMMIT_DELAY_MS = 3_600_000

export class BatchReplay {
  readonly #options: BatchReplayOptions

  constructor(options: BatchReplayOptions) {
    this.#options = options
  }

  /** @throws AppError store_unavailable, log_unavailable: unknown, the next run finds out */
  async run(batch: QuarantinedBatch): Promise<ReplayOutcome> {
    const { header, problem, claim } = batch
    if (header === undefined) return { kind: 'refused', reason: `it can not be read: ${problem}` }
    if (claim !== undefined) return this.#resume(batch, header)
    const share = await this.#storedShare(batch, header)
    if (share === 'some') {
      const reason = 'a retry has stored a part of its rows: look at it with tributary inspect'
      return { kind: 'refused', reason }
    }
    const target = this.#targetOf(batch)
    if (share === 'all') {
      await this.#note(batch, target, undefined)
      return { kind: 'stored' }
    }
    if (!(await this.#claim(batch, target, false))) {
      return { kind: 'refused', reason: 'somebody else has begun to send it' }
    }
    return this.#send(batch, target)
  }

  /** Of somebody who died, or lives: what became of it decides. */
  async #resume(batch: QuarantinedBatch, header: EnvelopeHeader): Promise<ReplayOutcome> {
    const { nowUnixMs, takeoverMs, log } = this.#options
    const { target, from, claimedUnixMs } = batch.claim!
    const leftMs = claimedUnixMs + takeoverMs - nowUnixMs()
    if (leftMs > 0) {
      const seconds = Math.ceil(leftMs / 1000)
      const reason = `somebody else has begun to send it; if not, try again in ${seconds} s`
      return { kind: 'refused', reason }
    }
    const offset = await this.#find(target, from, header)
    if (offset !== undefined) {
      await this.#note(batch, target, offset < 0n ? undefined : offset)
      if (offset < 0n) return { kind: 'stored' }
      return { kind: 'found', partition: target.partition, offset }
    }
    // their place stays: what they sent may still come
    const isSameLog = target.logId === log.logId && target.topic === log.topic
    const place = isSameLog ? target : this.#targetOf(batch)
    await this.#claim(batch, place, true, isSameLog ? from : undefined)
    return this.#send(batch, place)
  }

  async #send(batch: QuarantinedBatch, target: PartitionId): Promise<ReplayOutcome> {
    const { store, log } = this.#options
    const body = await readBatch(store, batch.key)
    const offset = await log.produce(target.partition, [body], PRODUCE_TIMEOUT_MS)
    await this.#note(batch, target, offset)
    return { kind: 'sent', partition: target.partition, offset }
  }

  async #claim(
    { key }: QuarantinedBatch,
    target: PartitionId,
    isTakeover: boolean,
    from?: bigint,
  ): Promise<boolean> {
    const { store, log, nowUnixMs } = this.#options
    const end = from ?? (await log.bounds()).get(target.partition)?.end
    if (end === undefined) {
      throw new AppError('log_unavailable', 'the partition has no leader now', {
        details: { partition: target.partition },
      })
    }
    return putClaim(store, key, { target, from: end, claimedUnixMs: nowUnixMs() }, isTakeover)
  }

  #note({ key }: QuarantinedBatch, target: PartitionId, offset: bigint | undefined): Promise<void> {
    const { store, nowUnixMs } = this.#options
    return putNote(store, key, { target, offset, doneUnixMs: nowUnixMs() })
  }

  /** The same partition: there ingesters remember what they stored. */
  #targetOf({ place }: QuarantinedBatch): PartitionId {
    const { log } = this.#options
    const partition = place.partition % log.partitionCount
    return { logId: log.logId, topic: log.topic, partition }
  }

  /** How much of a batch was stored by others, as far as its chunks can be repeats. */
  async #storedShare(
    { place }: QuarantinedBatch,
    { batchId, chunks, rowCount }: EnvelopeHeader,
  ): Promise<'none' | 'some' | 'all'> {
    const { chains, retryWindowMs } = this.#options
    const chain = await chains.of(place)
    const atMs = commitOf(chain, place.start)?.committedUnixMs
    if (atMs === undefined) return 'none'
    const withinMs = retryWindowMs + COMMIT_DELAY_MS
    const near = chain.commits.filter((commit) => {
      return Math.abs(commit.committedUnixMs - atMs) <= withinMs
    })
    const stored = await chains.storedHashes(near)
    if (stored.has(hexOf(batchId))) return 'all'
    const rows = chunkEntries(chunks)
      .filter(({ hash, removable }) => removable && stored.has(hexOf(hash)))
      .reduce((sum, chunk) => sum + chunk.rowCount, 0)
    if (rows === 0) return 'none'
    return rows === rowCount ? 'all' : 'some'
  }

  /**
   * Where a batch lies behind an offset: in the log, or in quarantine again; -1 where its rows are
   * committed; undefined where it is nowhere.
   */
  async #find(
    target: PartitionId,
    from: bigint,
    { batchId }: EnvelopeHeader,
  ): Promise<bigint | undefined> {
    const { log, chains } = this.#options
    chains.clear()
    const chain = await chains.of(target)
    const since = chain.commits.filter(({ end }) => BigInt(end) > from)
    const id = hexOf(batchId)
    if ((await chains.storedHashes(since)).has(id)) return -1n
    if (target.logId !== log.logId || target.topic !== log.topic) return undefined
    return this.#findInLog(target.partition, from, id)
  }

  /** What Kafka still has of the partition from an offset on, up to its end. */
  async #findInLog(partition: number, from: bigint, id: string): Promise<bigint | undefined> {
    const { log } = this.#options
    const bounds = (await log.bounds()).get(partition)
    if (bounds === undefined)
      throw new AppError('log_unavailable', 'the partition has no leader now')
    const start = from < bounds.start ? bounds.start : from
    if (start >= bounds.end) return undefined
    const over = Promise.withResolvers<bigint | undefined>()
    const reader = await log.openReader({
      records: (_, records) => {
        for (const { offset, value } of records) {
          if (isBatch(value, id)) over.resolve(offset)
        }
        if ((records.at(-1)?.offset ?? 0n) + 1n >= bounds.end) over.resolve(undefined)
      },
      outOfRange: () => {
        over.reject(
          new AppError('log_unavailable', 'records were deleted while they were looked at'),
        )
      },
      trouble: () => undefined,
    })
    const ending = new AbortController()
    const late = sleep(READ_TIMEOUT_MS, undefined, { signal: ending.signal }).then(() => {
      throw new AppError('log_unavailable', 'the log was not read in time')
    })
    late.catch(() => undefined)
    try {
      reader.resume(partition, start)
      return await Promise.race([over.promise, late])
    } finally {
      ending.abort()
      await reader.close()
    }
  }
}

function isBatch(value: Uint8Array, id: string): boolean {
  try {
    return hexOf(decodeEnvelope(value).header.batchId) === id
  } catch {
    return false
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
