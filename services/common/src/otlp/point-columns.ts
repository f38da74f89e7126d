/** Stores the data point at hand, with the header of its metric, as a row. */
import type { BytesColumn } from '../columnar/bytes-column.ts'
import type { MetricColumns } from '../columnar/metric-columns.ts'
import { ValueType, point } from './data-point.ts'
import { MetricType, type MetricWalk } from './metric-walk.ts'
import { cursor, readLength, viewOf } from './protobuf-cursor.ts'
import { ProtobufWriter } from './protobuf-writer.ts'

/** Exemplars stand under the tag that they have in NumberDataPoint. */
const EXEMPLARS_FIELD = 5
const EXEMPLARS_TAG = 0x2a

/** Appends everything in `point`; its strings were checked when the header was read. */
export function storePoint(columns: MetricColumns, row: number, metric: MetricWalk): void {
  storeHeader(columns, row, metric)
  if (point.startLow !== 0 || point.startHigh !== 0) {
    columns.startTime.append(row, point.startLow, point.startHigh)
  }
  columns.time.append(row, point.timeLow, point.timeHigh)
  if (point.flags !== 0) columns.flags.append(row, point.flags)
  if (point.exemplars.start >= 0) storeExemplars(columns.exemplars, row)
  if (metric.type === MetricType.gauge || metric.type === MetricType.sum) {
    if (point.valueType === ValueType.int) {
      columns.valueInt.append(row, point.valueLow, point.valueHigh)
    } else if (point.valueType === ValueType.double) {
      columns.valueDouble.append(row, point.valueLow, point.valueHigh)
    }
    return
  }
  storeDistribution(columns, row)
  if (metric.type === MetricType.exponentialHistogram) storeExponential(columns, row)
}

function storeHeader(columns: MetricColumns, row: number, metric: MetricWalk): void {
  const { bytes, view } = metric
  if (metric.nameEnd > metric.nameStart) {
    columns.metricName.append(row, bytes, view, metric.nameStart, metric.nameEnd, false)
  }
  if (metric.descriptionEnd > metric.descriptionStart) {
    const { descriptionStart, descriptionEnd } = metric
    columns.description.append(row, bytes, view, descriptionStart, descriptionEnd, false)
  }
  if (metric.unitEnd > metric.unitStart) {
    columns.unit.append(row, bytes, view, metric.unitStart, metric.unitEnd, false)
  }
  if (metric.metadataEnd > metric.metadataStart) {
    columns.metadata.append(row, bytes, view, metric.metadataStart, metric.metadataEnd, false)
  }
  columns.metricType.append(row, metric.type)
  if (metric.temporality !== 0) columns.temporality.append(row, metric.temporality)
  // a sum that may go down says so; other types have no such property
  if (metric.type === MetricType.sum) columns.isMonotonic.append(row, metric.isMonotonic ? 1 : 0)
}

/** Histograms of both kinds and summaries. */
function storeDistribution(columns: MetricColumns, row: number): void {
  if (point.countLow !== 0 || point.countHigh !== 0) {
    columns.pointCount.append(row, point.countLow, point.countHigh)
  }
  if (point.hasSum) columns.sum.append(row, point.sumLow, point.sumHigh)
  if (point.hasMin) columns.min.append(row, point.minLow, point.minHigh)
  if (point.hasMax) columns.max.append(row, point.maxLow, point.maxHigh)
  if (point.boundCount > 0) columns.explicitBounds.append(row, point.boundCount)
  if (point.bucketCount > 0) columns.bucketCounts.append(row, point.bucketCount)
  const { quantiles } = point
  if (quantiles.start >= 0) {
    columns.quantiles.append(row, cursor.bytes, cursor.view, quantiles.start, quantiles.end, false)
  }
}

function storeExponential(columns: MetricColumns, row: number): void {
  if (point.scale !== 0) columns.scale.append(row, point.scale)
  if (point.zeroCountLow !== 0 || point.zeroCountHigh !== 0) {
    columns.zeroCount.append(row, point.zeroCountLow, point.zeroCountHigh)
  }
  if (point.zeroThresholdLow !== 0 || point.zeroThresholdHigh !== 0) {
    columns.zeroThreshold.append(row, point.zeroThresholdLow, point.zeroThresholdHigh)
  }
  if (point.hasPositive) columns.positiveOffset.append(row, point.positiveOffset)
  if (point.positiveCount > 0) columns.positiveBucketCounts.append(row, point.positiveCount)
  if (point.hasNegative) columns.negativeOffset.append(row, point.negativeOffset)
  if (point.negativeCount > 0) columns.negativeBucketCounts.append(row, point.negativeCount)
}

function storeExemplars(column: BytesColumn, row: number): void {
  const { bytes, view } = cursor
  const { start, end } = point.exemplars
  if (bytes[start] === EXEMPLARS_TAG) {
    column.append(row, bytes, view, start, end, false)
    return
  }
  const writer = new ProtobufWriter()
  for (let at = start; at < end;) {
    at = readLength(at + 1, end)
    writer.bytesField(EXEMPLARS_FIELD, bytes.subarray(cursor.start, at))
  }
  const exemplars = writer.written
  column.append(row, exemplars, viewOf(exemplars), 0, exemplars.length, false)
}
