/** A data point into the columns of its batch. Field numbers: proto/opentelemetry/proto/metrics/v1. */
import type { BatchBuilder } from '../columnar/batch-builder.ts'
import { LIMITS } from '../limits.ts'
import { decodeAttribute } from './attribute-decoder.ts'
import { Reason, type DecodeTally } from './decode-tally.ts'
import { point } from './data-point.ts'
import { readExponentialField, readHistogramField } from './histogram-fields.ts'
import { ItemStatus } from './item-status.ts'
import { hasSubSecondPart, type TimeWindow } from './item-times.ts'
import {
  EXPONENTIAL_HISTOGRAM_DATA_POINT,
  HISTOGRAM_DATA_POINT,
  NUMBER_DATA_POINT,
  SUMMARY_DATA_POINT,
  type MessageSchema,
} from './message-schema.ts'
import { MetricType, type MetricWalk } from './metric-walk.ts'
import { readNumberField, readSummaryField } from './number-fields.ts'
import { storePoint } from './point-columns.ts'
import { cursor, readLength } from './protobuf-cursor.ts'

export function pointSchema(type: number): MessageSchema {
  switch (type) {
    case MetricType.histogram:
      return HISTOGRAM_DATA_POINT
    case MetricType.exponentialHistogram:
      return EXPONENTIAL_HISTOGRAM_DATA_POINT
    case MetricType.summary:
      return SUMMARY_DATA_POINT
    default:
      return NUMBER_DATA_POINT
  }
}

/** Tag of the attributes in the points of a metric type. */
function attributesTag(type: number): number {
  if (type === MetricType.histogram) return 0x4a
  return type === MetricType.exponentialHistogram ? 0x0a : 0x3a
}

/** Decodes the point in [start, end) of the source as the next row, as `decodeLogRecord` does. */
export function decodeDataPoint(
  builder: BatchBuilder,
  start: number,
  end: number,
  window: TimeWindow,
  tally: DecodeTally,
  metric: MetricWalk,
): number {
  const { bytes } = cursor
  const row = builder.rowCount
  const { type } = metric
  const keyValueTag = attributesTag(type)
  let attributeCount = 0
  tally.touched = 0
  if (metric.reason !== Reason.none) return ItemStatus.rejected + metric.reason
  point.clear()
  let at = start
  while (at < end) {
    const tag = bytes[at]!
    if (tag === keyValueTag) {
      at = readLength(at + 1, end)
      if (attributeCount === LIMITS.attributesPerItemMax) {
        return ItemStatus.rejected + Reason.tooManyAttributes
      }
      const from = cursor.start
      if (!decodeAttribute(builder.attributes, row, attributeCount, from, at, tally)) {
        return ItemStatus.odd
      }
      attributeCount += 1
      tally.touched = attributeCount
      continue
    }
    if (type === MetricType.gauge || type === MetricType.sum) {
      at = readNumberField(tag, at, end, tally)
    } else if (type === MetricType.histogram) {
      at = readHistogramField(builder.metrics, tag, at, end, tally)
    } else if (type === MetricType.exponentialHistogram) {
      at = readExponentialField(builder.metrics, tag, at, end, tally)
    } else {
      at = readSummaryField(tag, at, end, tally)
    }
    if (at < 0) return ItemStatus.odd
  }
  tally.valueCount += attributeCount
  const reason = window.admit(point.timeLow, point.timeHigh, tally)
  if (reason !== Reason.none) return ItemStatus.rejected + reason
  tally.isRemovable = hasSubSecondPart(point.timeLow, point.timeHigh)
  storePoint(builder.metrics, row, metric)
  return ItemStatus.stored
}
