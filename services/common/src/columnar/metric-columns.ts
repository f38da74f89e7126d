/** The fixed columns of metric data points, in the order of docs/format/batch.md. */
import { BytesColumn } from './bytes-column.ts'
import { BoolColumn, Fixed32Column, Fixed64Column, ListColumn } from './fixed-columns.ts'

export class MetricColumns {
  readonly metricName = new BytesColumn('metric_name', 'utf8', true)
  readonly description = new BytesColumn('description', 'utf8', true)
  readonly unit = new BytesColumn('unit', 'utf8', true)
  readonly metadata = new BytesColumn('metadata', 'binary', true)
  readonly metricType = new Fixed32Column('metric_type', 'int32')
  readonly temporality = new Fixed32Column('temporality', 'int32')
  readonly isMonotonic = new BoolColumn('is_monotonic')
  readonly startTime = new Fixed64Column('start_time_unix_nano', 'uint64')
  readonly time = new Fixed64Column('time_unix_nano', 'uint64')
  readonly flags = new Fixed32Column('flags', 'uint32')
  readonly valueInt = new Fixed64Column('value_int', 'int64')
  readonly valueDouble = new Fixed64Column('value_double', 'float64')
  readonly pointCount = new Fixed64Column('count', 'uint64')
  readonly sum = new Fixed64Column('sum', 'float64')
  readonly min = new Fixed64Column('min', 'float64')
  readonly max = new Fixed64Column('max', 'float64')
  readonly explicitBounds = new ListColumn('explicit_bounds', 'list_float64')
  readonly bucketCounts = new ListColumn('bucket_counts', 'list_uint64')
  readonly scale = new Fixed32Column('scale', 'int32')
  readonly zeroCount = new Fixed64Column('zero_count', 'uint64')
  readonly zeroThreshold = new Fixed64Column('zero_threshold', 'float64')
  readonly positiveOffset = new Fixed32Column('positive_offset', 'int32')
  readonly positiveBucketCounts = new ListColumn('positive_bucket_counts', 'list_uint64')
  readonly negativeOffset = new Fixed32Column('negative_offset', 'int32')
  readonly negativeBucketCounts = new ListColumn('negative_bucket_counts', 'list_uint64')
  readonly quantiles = new BytesColumn('quantiles', 'binary', false)
  readonly exemplars = new BytesColumn('exemplars', 'binary', false)

  readonly all = [
    this.metricName,
    this.description,
    this.unit,
    this.metadata,
    this.metricType,
    this.temporality,
    this.isMonotonic,
    this.startTime,
    this.time,
    this.flags,
    this.valueInt,
    this.valueDouble,
    this.pointCount,
    this.sum,
    this.min,
    this.max,
    this.explicitBounds,
    this.bucketCounts,
    this.scale,
    this.zeroCount,
    this.zeroThreshold,
    this.positiveOffset,
    this.positiveBucketCounts,
    this.negativeOffset,
    this.negativeBucketCounts,
    this.quantiles,
    this.exemplars,
  ] as const
}
