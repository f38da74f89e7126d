/**
 * One item of any signal: the plain decode and, where the item is odd, undo, normalize and decode
 * again. After it the batch holds the values of the item or nothing of it.
 */
import { strict as assert } from 'node:assert'
import type { BatchBuilder } from '../columnar/batch-builder.ts'
import { Signal } from '../signal.ts'
import { Reason, type DecodeTally } from './decode-tally.ts'
import { ItemStatus } from './item-status.ts'
import type { TimeWindow } from './item-times.ts'
import { decodeLogRecord } from './log-decoder.ts'
import { LOG_RECORD, SPAN, type MessageSchema } from './message-schema.ts'
import { normalizeMessage } from './message-normalizer.ts'
import { decodeDataPoint, pointSchema } from './metric-decoder.ts'
import type { MetricWalk } from './metric-walk.ts'
import { cursor, openSource, viewOf } from './protobuf-cursor.ts'
import { decodeSpan } from './span-decoder.ts'

/** Decodes the item in [start, end) as the next row, which the caller counts on Reason.none. */
export function decodeItem(
  builder: BatchBuilder,
  signal: Signal,
  start: number,
  end: number,
  window: TimeWindow,
  tally: DecodeTally,
  metric: MetricWalk,
): Reason {
  const { valueCount, invalidIds } = tally
  const status = decodePlain(builder, signal, start, end, window, tally, metric)
  if (status === ItemStatus.stored) return Reason.none
  builder.undoRow(tally.touched)
  tally.invalidIds = invalidIds
  if (status !== ItemStatus.odd) return (status - ItemStatus.rejected) as Reason
  tally.valueCount = valueCount
  tally.slowSteps += 1
  return decodeOdd(builder, signal, start, end, window, tally, metric)
}

function decodePlain(
  builder: BatchBuilder,
  signal: Signal,
  start: number,
  end: number,
  window: TimeWindow,
  tally: DecodeTally,
  metric: MetricWalk,
): number {
  switch (signal) {
    case Signal.logs:
      return decodeLogRecord(builder, start, end, window, tally)
    case Signal.spans:
      return decodeSpan(builder, start, end, window, tally)
    case Signal.metrics:
      return decodeDataPoint(builder, start, end, window, tally, metric)
  }
}

function decodeOdd(
  builder: BatchBuilder,
  signal: Signal,
  start: number,
  end: number,
  window: TimeWindow,
  tally: DecodeTally,
  metric: MetricWalk,
): Reason {
  const { bytes, view, baseOffset } = cursor
  const item = bytes.subarray(start, end)
  const normalized = normalizeMessage(schemaOf(signal, metric), item, baseOffset + start, tally)
  if (normalized.reason !== Reason.none) return normalized.reason
  const { valueCount } = tally
  const message = normalized.bytes
  openSource(message, viewOf(message), baseOffset + start)
  const status = decodePlain(builder, signal, 0, message.length, window, tally, metric)
  openSource(bytes, view, baseOffset)
  tally.valueCount = valueCount
  assert(status !== ItemStatus.odd, 'a normalized item is still odd')
  if (status === ItemStatus.stored) return Reason.none
  builder.undoRow(tally.touched)
  return (status - ItemStatus.rejected) as Reason
}

function schemaOf(signal: Signal, metric: MetricWalk): MessageSchema {
  switch (signal) {
    case Signal.logs:
      return LOG_RECORD
    case Signal.spans:
      return SPAN
    case Signal.metrics:
      return pointSchema(metric.type)
  }
}
