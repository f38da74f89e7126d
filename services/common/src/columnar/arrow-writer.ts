/**
 * Writes the columns of a batch as an Arrow IPC stream, in one allocation: first every size is
 * computed (`planBatch`), then every byte is written to where it stays. Equal builders give equal
 * bytes. The builder is only read, but for `finish`, which chooses the form of its columns.
 *
 *     schema message | dictionary batch, one per dictionary column | record batch | end mark
 */
import assert from 'node:assert/strict'

import { CONTINUATION, MESSAGE_PREFIX_BYTES } from './arrow-format.ts'
import {
  BatchMessage,
  DICTIONARY_METADATA_BYTES,
  recordMetadataBytes,
} from './arrow-message-writer.ts'
import { schemaMessage } from './arrow-schema-writer.ts'
import type { BatchBuilder } from './batch-builder.ts'
import { planColumn, type ColumnWriting } from './column-writing.ts'
import { ColumnSink } from './column-sink.ts'

/** Positions are signed 32-bit; batches close some thousand times earlier (limits.ts). */
const STREAM_BYTES_MAX = 0x7000_0000

/** What `writePlannedBatch` will write: its length, and how each column goes in. */
export interface BatchPlan {
  readonly byteCount: number
  readonly rowCount: number
  readonly schema: Uint8Array
  readonly columns: readonly ColumnWriting[]
  readonly nodeCount: number
  readonly bufferCount: number
  readonly bodyBytes: number
}

/** The Arrow IPC stream of the rows in `builder` (docs/format/batch.md). */
export function writeBatch(builder: BatchBuilder): Uint8Array {
  const plan = planBatch(builder)
  const bytes = new Uint8Array(plan.byteCount)
  writePlannedBatch(plan, bytes, 0)
  return bytes
}

/** Computes the sizes of a batch; the builder must not change before it is written. */
export function planBatch(builder: BatchBuilder): BatchPlan {
  const { rowCount } = builder
  const columns = builder.finish().map((column) => planColumn(column, rowCount))
  const schema = schemaMessage(columns)
  let byteCount = schema.byteLength + MESSAGE_PREFIX_BYTES
  let nodeCount = 0
  let bufferCount = 0
  let bodyBytes = 0
  for (const column of columns) {
    if (column.indexBytes > 0) byteCount += DICTIONARY_METADATA_BYTES + column.dictionaryBytes
    nodeCount += column.nodeCount
    bufferCount += column.bufferCount
    bodyBytes += column.bodyBytes
  }
  byteCount += recordMetadataBytes(nodeCount, bufferCount) + bodyBytes
  assert.ok(byteCount <= STREAM_BYTES_MAX)
  return { byteCount, rowCount, schema, columns, nodeCount, bufferCount, bodyBytes }
}

/**
 * Writes a planned batch into `out` from `at`, a multiple of 8. `out` must start its buffer and hold
 * zeros there: what a null row or padding leaves open is not written.
 */
export function writePlannedBatch(plan: BatchPlan, out: Uint8Array, at: number): void {
  assert.equal(out.byteOffset % 8, 0)
  assert.equal(at % 8, 0)
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength)
  const message = new BatchMessage(view)
  const sink = new ColumnSink(out, message)
  out.set(plan.schema, at)
  let next = at + plan.schema.byteLength
  let dictionaryId = 0
  for (const column of plan.columns) {
    if (column.indexBytes === 0) continue
    const { size } = column.entries!
    message.startDictionary(out, next, dictionaryId++, size, column.dictionaryBytes)
    sink.dictionary(column.entries!)
    next = message.end
  }
  const { rowCount, nodeCount, bufferCount, bodyBytes } = plan
  message.startRecordBatch(out, next, rowCount, nodeCount, bufferCount, bodyBytes)
  for (const column of plan.columns) sink.column(column, rowCount)
  view.setUint32(message.end, CONTINUATION, true)
  assert.equal(message.end + MESSAGE_PREFIX_BYTES, at + plan.byteCount)
}
