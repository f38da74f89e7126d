/**
 * What lies in quarantine, and what became of it since. One batch may lie there several times: a router
 * that missed an answer produced it twice, or it was sent again before it could be stored. Its batch
 * id, which is in its bytes, tells.
 */
import { createHash } from 'node:crypto'

import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { mapOrdered } from '@tributary/common/commit/ordered-map'
import { toAppError } from '@tributary/common/errors'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { QUARANTINE_PREFIX, parseQuarantineKey } from '@tributary/common/paths'
import type { ParsedRangeKey } from '@tributary/common/paths'
import { signalName } from '@tributary/common/signal'

import { commitOf, holeReason } from './chain-holes.ts'
import type { ChainOutlines } from './chain-holes.ts'
import { readClaim, readNote } from './replay-note.ts'
import type { ReplayClaim, ReplayNote } from './replay-note.ts'

/**
 * held: its rows are in no file; sent: it was sent again; claimed: somebody sends it, or died over it;
 * copy: another one of the same batch stands for it; pending: its commit is still to come; unneeded: the
 * commit of its offset has its rows, or has left it out for another reason.
 */
export type QuarantineState = 'held' | 'sent' | 'claimed' | 'copy' | 'pending' | 'unneeded'

export interface QuarantinedBatch {
  readonly key: string
  readonly place: ParsedRangeKey
  readonly bytes: number
  readonly state: QuarantineState
  /** Why it was put aside, as its commit says; '' before that. */
  readonly reason: string
  readonly quarantinedUnixMs: number
  /** Undefined where this version can not read it either; then `problem` says why. */
  readonly header: EnvelopeHeader | undefined
  readonly problem: string
  readonly claim: ReplayClaim | undefined
  readonly note: ReplayNote | undefined
}

const READS_MAX = 8
/** A record of the log is smaller than its topic's bound, which is 4 MiB by our own. */
const BATCH_BYTES_MAX = 64 * 1024 * 1024

/** The bytes of a batch. @throws AppError */
export async function readBatch(store: ObjectStore, key: string): Promise<Uint8Array> {
  return new Uint8Array(await store.get(key, { bytesMax: BATCH_BYTES_MAX }))
}

/** All of it, by log, partition and offset. @throws AppError store_unavailable, chain_broken */
export async function readQuarantine(
  store: ObjectStore,
  chains: ChainOutlines,
): Promise<readonly QuarantinedBatch[]> {
  const found: QuarantinedBatch[] = []
  const entries = store.list(QUARANTINE_PREFIX)
  const batches = mapOrdered(entries, READS_MAX, async ({ key, bytes, lastModifiedMs }) => {
    const place = parseQuarantineKey(key)
    if (place === undefined) return undefined
    return readOne(store, chains, { key, place, bytes, quarantinedUnixMs: lastModifiedMs })
  })
  for await (const batch of batches) if (batch !== undefined) found.push(batch)
  return withCopies(found)
}

type BatchHead = Pick<QuarantinedBatch, 'key' | 'place' | 'bytes' | 'quarantinedUnixMs'>

async function readOne(
  store: ObjectStore,
  chains: ChainOutlines,
  head: BatchHead,
): Promise<QuarantinedBatch> {
  const { key, place } = head
  const [content, chain, claim, note] = await Promise.all([
    readHeader(store, head),
    chains.of(place),
    readClaim(store, key),
    readNote(store, key),
  ])
  const commit = commitOf(chain, place.start)
  const reason = commit === undefined ? '' : (holeReason(commit, place.start) ?? '')
  const isHeld = reason.startsWith('quarantined')
  const state = ((): QuarantineState => {
    if (commit === undefined) return 'pending'
    if (note !== undefined) return 'sent'
    if (claim !== undefined) return 'claimed'
    return isHeld ? 'held' : 'unneeded'
  })()
  return { ...head, ...content, state, reason, claim, note }
}

async function readHeader(
  store: ObjectStore,
  { key, place }: BatchHead,
): Promise<Pick<QuarantinedBatch, 'header' | 'problem'>> {
  const body = await readBatch(store, key)
  const content = createHash('sha256').update(body).digest('hex').slice(0, place.content.length)
  if (content !== place.content) return { header: undefined, problem: 'its bytes have changed' }
  try {
    return { header: decodeEnvelope(body).header, problem: '' }
  } catch (error) {
    return { header: undefined, problem: toAppError(error).message }
  }
}

/** Of several of one batch at most one stays held: the one that was quarantined last. */
function withCopies(batches: readonly QuarantinedBatch[]): readonly QuarantinedBatch[] {
  const groups = Map.groupBy(
    batches.filter(({ header }) => header !== undefined),
    ({ header }) => Buffer.from(header!.batchId).toString('hex'),
  )
  const copies = new Set<QuarantinedBatch>()
  for (const group of groups.values()) {
    const candidate = candidateOf(group)
    for (const batch of group) {
      if (batch !== candidate && batch.state === 'held') copies.add(batch)
    }
  }
  return batches.map((batch) => (copies.has(batch) ? { ...batch, state: 'copy' as const } : batch))
}

/**
 * The one of a batch's appearances that has to be sent: the first one where none was; where one was sent
 * and is quarantined again at its new place, that; none where one that was sent is not.
 */
function candidateOf(group: readonly QuarantinedBatch[]): QuarantinedBatch | undefined {
  const sent = group.filter(({ state }) => state === 'sent' || state === 'claimed')
  if (sent.length === 0) return group.find(({ state }) => state === 'held')
  const ends = sent.map((batch) => nextOf(group, batch))
  if (ends.includes(undefined)) return undefined
  return ends.find((batch) => batch?.state === 'held')
}

/** Where a batch that was sent is quarantined again. */
function nextOf(
  group: readonly QuarantinedBatch[],
  { note }: QuarantinedBatch,
): QuarantinedBatch | undefined {
  if (note?.offset === undefined) return undefined
  const { target, offset } = note
  return group.find(
    ({ place, state }) =>
      place.start === offset &&
      place.logId === target.logId &&
      place.topic === target.topic &&
      place.partition === target.partition &&
      state !== 'unneeded',
  )
}

/** Plain JSON, as `--json` writes it. */
export function describeBatch(batch: QuarantinedBatch): Readonly<Record<string, unknown>> {
  const { key, place, bytes, state, reason, quarantinedUnixMs, header, problem, note } = batch
  return {
    key,
    state,
    logId: place.logId,
    topic: place.topic,
    partition: place.partition,
    offset: String(place.start),
    bytes,
    reason,
    quarantinedAt: new Date(quarantinedUnixMs).toISOString(),
    ...(header === undefined
      ? { problem }
      : { tenant: header.tenant, signal: signalName(header.signal), rows: header.rowCount }),
    ...(note === undefined
      ? {}
      : {
          sentTo:
            note.offset === undefined
              ? 'committed files have its rows'
              : `${note.target.topic}/${note.target.partition} offset ${note.offset}`,
        }),
  }
}
