/**
 * How far a partition is, as a small object that its owner overwrites: everything that the log took
 * before `validThrough` is in committed files. For people, dashboards and schedulers; nothing that must
 * be right rests on it (docs/format/commit.md).
 */
import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import { AppError } from '../errors.ts'
import { JsonReader } from '../object-store/json-reader.ts'
import { freshnessKey } from '../paths.ts'

const FORMAT_VERSION = 1
const BYTES_MAX = 4096

export interface Freshness {
  /** Unix milliseconds. */
  readonly validThroughUnixMs: number
  /** The end of the chain at that time. */
  readonly end: bigint
}

export async function writeFreshness(
  store: ObjectStore,
  id: PartitionId,
  { validThroughUnixMs, end }: Freshness,
): Promise<void> {
  const document = {
    formatVersion: FORMAT_VERSION,
    logId: id.logId,
    topic: id.topic,
    partition: id.partition,
    validThrough: new Date(validThroughUnixMs).toISOString(),
    end: String(end),
  }
  const body = Buffer.from(JSON.stringify(document))
  await store.put(freshnessKey(id), body, { contentType: 'application/json' })
}

/**
 * Undefined where nobody wrote it, or it can't be understood.
 * @throws AppError store_unavailable
 */
export async function readFreshness(
  store: ObjectStore,
  id: PartitionId,
): Promise<Freshness | undefined> {
  try {
    const bytes = await store.get(freshnessKey(id), { bytesMax: BYTES_MAX })
    const json = JsonReader.parse(bytes, BYTES_MAX, 'commit_damaged')
    const validThroughUnixMs = Date.parse(json.text('validThrough', 64))
    if (Number.isNaN(validThroughUnixMs)) return undefined
    return { validThroughUnixMs, end: BigInt(json.offset('end')) }
  } catch (error) {
    const isNone =
      error instanceof AppError &&
      ['object_missing', 'object_too_large', 'commit_damaged'].includes(error.code)
    if (isNone) return undefined
    throw error
  }
}
