/**
 * Resources and scopes: gathers the fields of a Resource* or Scope* message that are not its items
 * and finds or makes their entry in the batch's dictionary. Entries are normalized, so bytes that
 * equal one need no look at what is in them.
 */
import type { RunColumn } from '../columnar/run-column.ts'
import type { ChunkRoute } from './chunk-route.ts'
import { hashBytes } from '../columnar/byte-kernels.ts'
import { LIMITS } from '../limits.ts'
import { Reason, type DecodeTally } from './decode-tally.ts'
import { isNormalMessage } from './message-check.ts'
import type { MessageSchema } from './message-schema.ts'
import { normalizeMessage } from './message-normalizer.ts'
import { cursor, openSource, readLength, readTag, skipValue, viewOf } from './protobuf-cursor.ts'
import { ProtobufWriter } from './protobuf-writer.ts'

const CHILD_TAG = 0x0a
const SCHEMA_URL_TAG = 0x1a
/** Scopes of a resource, items of a scope: nearly all of the fields. */
const ITEM_TAG = 0x12

/** Shared: used and done with within one call. */
const gathered = new ProtobufWriter()

/** What `internPart` returns for a part over the limits: its items are rejected. */
export const REJECTED_PART = -1

/** The dictionary id of the part in [start, end) of the source, whose rows begin at `row`. */
export function internPart(
  column: RunColumn,
  schema: MessageSchema,
  start: number,
  end: number,
  row: number,
  tally: DecodeTally,
): number {
  gatherPart(start, end)
  if (gathered.length > LIMITS.itemBytesMax) return REJECTED_PART
  const { view, length } = gathered
  const hash = hashBytes(view, 0, length)
  const known = column.entries.find(view, 0, length, hash)
  if (known >= 0) return known
  if (isNormalPart(schema, tally)) {
    return column.entries.add(gathered.buffer, view, 0, length, hash, row)
  }
  return normalizeGathered(schema, start, tally) ? internGathered(column, row) : REJECTED_PART
}

/**
 * The partition of the stream whose resource is the part in [start, end) of the source, or
 * REJECTED_PART. The part stays at hand for `internGathered`.
 */
export function routePart(
  route: ChunkRoute,
  schema: MessageSchema,
  start: number,
  end: number,
  tally: DecodeTally,
): number {
  gatherPart(start, end)
  if (gathered.length > LIMITS.itemBytesMax) return REJECTED_PART
  const { view, length } = gathered
  const hash = hashBytes(view, 0, length)
  const partBytes = end - start
  const known = route.find(view, length, hash, partBytes)
  if (known >= 0) return known
  if (isNormalPart(schema, tally)) return route.add(gathered.buffer, view, length, hash, partBytes)
  if (!normalizeGathered(schema, start, tally)) return REJECTED_PART
  const { buffer, view: normalView, length: normalLength } = gathered
  const normalHash = hashBytes(normalView, 0, normalLength)
  const routed = route.find(normalView, normalLength, normalHash, partBytes)
  return routed >= 0 ? routed : route.add(buffer, normalView, normalLength, normalHash, partBytes)
}

/** The dictionary id of the part that was gathered last and is known to be normal. */
export function internGathered(column: RunColumn, row: number): number {
  return internRange(column, gathered.buffer, gathered.view, gathered.length, row)
}

/** The dictionary id of bytes that are known to be normal. */
export function internBytes(column: RunColumn, bytes: Uint8Array, row: number): number {
  return internRange(column, bytes, viewOf(bytes), bytes.length, row)
}

function internRange(
  column: RunColumn,
  bytes: Uint8Array,
  view: DataView,
  length: number,
  row: number,
): number {
  const hash = hashBytes(view, 0, length)
  const known = column.entries.find(view, 0, length, hash)
  return known >= 0 ? known : column.entries.add(bytes, view, 0, length, hash, row)
}

/** Brings what was gathered into normal form; false where it is over the limits. */
function normalizeGathered(schema: MessageSchema, start: number, tally: DecodeTally): boolean {
  const { valueCount } = tally
  const normalized = normalizeMessage(schema, gathered.take(), cursor.baseOffset + start, tally)
  tally.valueCount = valueCount
  gathered.clear()
  gathered.raw(normalized.bytes)
  return normalized.reason === Reason.none
}

/** Writes all fields 1 and 3 in [start, end) to `gathered`, in their order there. */
function gatherPart(start: number, end: number): void {
  gathered.clear()
  const { bytes } = cursor
  let at = start
  while (at < end) {
    if (bytes[at] === ITEM_TAG) {
      at = readLength(at + 1, end)
      continue
    }
    at = readTag(at, end)
    const tag = cursor.low >>> 0
    if (tag !== CHILD_TAG && tag !== SCHEMA_URL_TAG) {
      at = skipValue(tag, at, end)
      continue
    }
    at = readLength(at, end)
    gathered.byte(tag)
    gathered.varint(at - cursor.start)
    gathered.range(bytes, cursor.view, cursor.start, at)
  }
}

/** Whether what was gathered is in normal form. */
function isNormalPart(schema: MessageSchema, tally: DecodeTally): boolean {
  const outer = cursor.bytes
  const outerView = cursor.view
  const { valueCount } = tally
  openSource(gathered.buffer, gathered.view, cursor.baseOffset)
  const isNormal = isNormalMessage(schema, 0, gathered.length, 0, tally)
  tally.valueCount = valueCount
  openSource(outer, outerView, cursor.baseOffset)
  return isNormal
}
