/**
 * What stands beside a quarantined batch about sending it again (docs/format/commit.md): a claim before it
 * is sent, with the place in the log from which on it may be found; a note when it was. A claim without
 * a note says that whoever made it died or is at work: the log and the commits tell what became of it.
 */
import { AppError } from '@tributary/common/errors'
import { JsonReader } from '@tributary/common/object-store/json-reader'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { replayKey } from '@tributary/common/paths'
import type { PartitionId, ReplayStep } from '@tributary/common/paths'

export interface ReplayClaim {
  /** Where it is sent to. */
  readonly target: PartitionId
  /** No record of it lies there below this offset. */
  readonly from: bigint
  readonly claimedUnixMs: number
}

export interface ReplayNote {
  readonly target: PartitionId
  /** Where the batch lies now; undefined: a client had sent its rows again, they were stored. */
  readonly offset: bigint | undefined
  readonly doneUnixMs: number
}

const FORMAT_VERSION = 1
const BYTES_MAX = 4096
const TEXT_LENGTH_MAX = 256
const JSON_TYPE = 'application/json'

/** @returns false where somebody has claimed it before; with `isTakeover` their claim is replaced */
export async function putClaim(
  store: ObjectStore,
  quarantined: string,
  { target, from, claimedUnixMs }: ReplayClaim,
  isTakeover: boolean,
): Promise<boolean> {
  const body = bodyOf(target, { from: String(from), at: timeText(claimedUnixMs) })
  const key = replayKey(quarantined, 'claim')
  try {
    await store.put(key, body, { onlyIfAbsent: !isTakeover, contentType: JSON_TYPE })
    return true
  } catch (error) {
    if (error instanceof AppError && error.code === 'object_exists') return false
    throw error
  }
}

export async function putNote(
  store: ObjectStore,
  quarantined: string,
  { target, offset, doneUnixMs }: ReplayNote,
): Promise<void> {
  const at = timeText(doneUnixMs)
  const body = bodyOf(target, offset === undefined ? { at } : { offset: String(offset), at })
  await store.put(replayKey(quarantined, 'done'), body, { contentType: JSON_TYPE })
}

/** @throws AppError commit_damaged for one that can not be read */
export async function readClaim(
  store: ObjectStore,
  quarantined: string,
): Promise<ReplayClaim | undefined> {
  const json = await read(store, quarantined, 'claim')
  if (json === undefined) return undefined
  return { target: targetOf(json), from: BigInt(json.offset('from')), claimedUnixMs: timeOf(json) }
}

/** @throws AppError commit_damaged for one that can not be read */
export async function readNote(
  store: ObjectStore,
  quarantined: string,
): Promise<ReplayNote | undefined> {
  const json = await read(store, quarantined, 'done')
  if (json === undefined) return undefined
  const offset = json.has('offset') ? BigInt(json.offset('offset')) : undefined
  return { target: targetOf(json), offset, doneUnixMs: timeOf(json) }
}

function bodyOf(
  { logId, topic, partition }: PartitionId,
  rest: Readonly<Record<string, string>>,
): Uint8Array {
  const document = { formatVersion: FORMAT_VERSION, logId, topic, partition, ...rest }
  return Buffer.from(JSON.stringify(document))
}

async function read(
  store: ObjectStore,
  quarantined: string,
  step: ReplayStep,
): Promise<JsonReader | undefined> {
  try {
    const bytes = await store.get(replayKey(quarantined, step), { bytesMax: BYTES_MAX })
    const json = JsonReader.parse(bytes, BYTES_MAX, 'commit_damaged')
    json.integer('formatVersion', 1, FORMAT_VERSION)
    return json
  } catch (error) {
    if (error instanceof AppError && error.code === 'object_missing') return undefined
    throw error
  }
}

function targetOf(json: JsonReader): PartitionId {
  return {
    logId: json.text('logId', TEXT_LENGTH_MAX),
    topic: json.text('topic', TEXT_LENGTH_MAX),
    partition: json.integer('partition', 0, 2 ** 31 - 1),
  }
}

function timeOf(json: JsonReader): number {
  const unixMs = Date.parse(json.text('at', TEXT_LENGTH_MAX))
  if (Number.isNaN(unixMs)) throw json.problem('at', 'is no time')
  return unixMs
}

function timeText(unixMs: number): string {
  return new Date(unixMs).toISOString()
}
