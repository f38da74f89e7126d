/** Data points and the metrics around them back from rows (docs/format/tables.md). */
import { AppError } from '../errors.ts'
import type { OutputBuffer } from '../otlp/output-buffer.ts'
import {
  appendFixed64,
  appendVarint,
  writeBytes,
  writeFixed64,
  writeOptionalFixed64,
  writePresentMessage,
  writeVarint,
  writeZigzag,
} from './field-writer.ts'
import { eventTimeOf, idOf } from './item-replay.ts'
import type { RowAttributes } from './row-attributes.ts'
import { writeJsonAttributes } from './row-attributes.ts'
import type { ReplayRow } from './row-value.ts'
import {
  booleanOf,
  doubleBitsListOf,
  doubleBitsOf,
  integerListOf,
  integerOf,
  stringOf,
  structListOf,
  textOf,
  timeOf,
} from './row-value.ts'

interface MetricType {
  /** Member of the oneof in Metric. */
  readonly field: number
  writePoint(out: OutputBuffer, row: ReplayRow, attributes: RowAttributes): void
}

const METRIC_TYPES: ReadonlyMap<string, MetricType> = new Map([
  ['gauge', { field: 5, writePoint: writeNumberPoint }],
  ['sum', { field: 7, writePoint: writeNumberPoint }],
  ['histogram', { field: 9, writePoint: writeHistogramPoint }],
  ['exponential_histogram', { field: 10, writePoint: writeExponentialPoint }],
  ['summary', { field: 11, writePoint: writeSummaryPoint }],
])

/** @throws AppError invalid_file for a type that is none of OTLP's */
export function metricTypeOf(row: ReplayRow): MetricType {
  const name = stringOf(row, 'metric_type') ?? ''
  const type = METRIC_TYPES.get(name)
  if (type === undefined) {
    throw new AppError('invalid_file', 'unknown metric type', { details: { name } })
  }
  return type
}

/** Appends what stands beside the data of the row's Metric. */
export function writeMetricFields(out: OutputBuffer, row: ReplayRow): void {
  writeBytes(out, 1, textOf(row, 'metric_name'))
  writeBytes(out, 2, textOf(row, 'description'))
  writeBytes(out, 3, textOf(row, 'unit'))
  writeJsonAttributes(out, 12, textOf(row, 'metadata'))
}

/** Appends what stands beside the points of the row's Sum or histogram. */
export function writeDataFields(out: OutputBuffer, row: ReplayRow): void {
  writeVarint(out, 2, integerOf(row, 'temporality'))
  writeVarint(out, 3, booleanOf(row, 'is_monotonic') === true ? 1n : 0n)
}

function writeNumberPoint(out: OutputBuffer, row: ReplayRow, attributes: RowAttributes): void {
  writeFixed64(out, 2, timeOf(row, 'start_timestamp'))
  writeFixed64(out, 3, eventTimeOf(row))
  writeOptionalFixed64(out, 4, doubleBitsOf(row, 'value_double'))
  writeExemplars(out, 5, row)
  writeOptionalFixed64(out, 6, integerOf(row, 'value_int'))
  attributes.write(out, 7, 'attributes', row)
  writeVarint(out, 8, integerOf(row, 'flags'))
}

/** A plain double: +0.0 has no bits and is left out, -0.0 has one and stays. */
function writeDouble(out: OutputBuffer, field: number, bits: bigint | undefined): void {
  writeFixed64(out, field, bits)
}

function writePackedFixed64(out: OutputBuffer, field: number, values: readonly bigint[]): void {
  if (values.length === 0) return
  writePresentMessage(out, field, () => {
    for (const value of values) appendFixed64(out, value)
  })
}

function writeHistogramPoint(out: OutputBuffer, row: ReplayRow, attributes: RowAttributes): void {
  writeFixed64(out, 2, timeOf(row, 'start_timestamp'))
  writeFixed64(out, 3, eventTimeOf(row))
  writeFixed64(out, 4, integerOf(row, 'count'))
  writeOptionalFixed64(out, 5, doubleBitsOf(row, 'sum'))
  writePackedFixed64(out, 6, integerListOf(row, 'bucket_counts'))
  writePackedFixed64(out, 7, doubleBitsListOf(row, 'explicit_bounds'))
  writeExemplars(out, 8, row)
  attributes.write(out, 9, 'attributes', row)
  writeVarint(out, 10, integerOf(row, 'flags'))
  writeOptionalFixed64(out, 11, doubleBitsOf(row, 'min'))
  writeOptionalFixed64(out, 12, doubleBitsOf(row, 'max'))
}

function writeExponentialPoint(out: OutputBuffer, row: ReplayRow, attributes: RowAttributes): void {
  attributes.write(out, 1, 'attributes', row)
  writeFixed64(out, 2, timeOf(row, 'start_timestamp'))
  writeFixed64(out, 3, eventTimeOf(row))
  writeFixed64(out, 4, integerOf(row, 'count'))
  writeOptionalFixed64(out, 5, doubleBitsOf(row, 'sum'))
  writeZigzag(out, 6, integerOf(row, 'scale'))
  writeFixed64(out, 7, integerOf(row, 'zero_count'))
  writeBuckets(out, 8, row, 'positive')
  writeBuckets(out, 9, row, 'negative')
  writeVarint(out, 10, integerOf(row, 'flags'))
  writeExemplars(out, 11, row)
  writeOptionalFixed64(out, 12, doubleBitsOf(row, 'min'))
  writeOptionalFixed64(out, 13, doubleBitsOf(row, 'max'))
  writeDouble(out, 14, doubleBitsOf(row, 'zero_threshold'))
}

/** An offset that is null says that the Buckets message was absent, not empty. */
function writeBuckets(out: OutputBuffer, field: number, row: ReplayRow, side: string): void {
  const offset = integerOf(row, `${side}_offset`)
  if (offset === undefined) return
  const counts = integerListOf(row, `${side}_bucket_counts`)
  writePresentMessage(out, field, () => {
    writeZigzag(out, 1, offset)
    if (counts.length === 0) return
    writePresentMessage(out, 2, () => {
      for (const count of counts) appendVarint(out, count)
    })
  })
}

function writeSummaryPoint(out: OutputBuffer, row: ReplayRow, attributes: RowAttributes): void {
  writeFixed64(out, 2, timeOf(row, 'start_timestamp'))
  writeFixed64(out, 3, eventTimeOf(row))
  writeFixed64(out, 4, integerOf(row, 'count'))
  writeDouble(out, 5, doubleBitsOf(row, 'sum'))
  for (const quantile of structListOf(row, 'quantiles')) {
    writePresentMessage(out, 6, () => {
      writeDouble(out, 1, doubleBitsOf(quantile, 'quantile'))
      writeDouble(out, 2, doubleBitsOf(quantile, 'value'))
    })
  }
  attributes.write(out, 7, 'attributes', row)
  writeVarint(out, 8, integerOf(row, 'flags'))
}

function writeExemplars(out: OutputBuffer, field: number, row: ReplayRow): void {
  for (const exemplar of structListOf(row, 'exemplars')) {
    writePresentMessage(out, field, () => {
      writeFixed64(out, 2, timeOf(exemplar, 'timestamp'))
      writeOptionalFixed64(out, 3, doubleBitsOf(exemplar, 'value_double'))
      writeBytes(out, 4, idOf(exemplar, 'span_id'))
      writeBytes(out, 5, idOf(exemplar, 'trace_id'))
      writeOptionalFixed64(out, 6, integerOf(exemplar, 'value_int'))
      writeJsonAttributes(out, 7, textOf(exemplar, 'attributes'))
    })
  }
}
