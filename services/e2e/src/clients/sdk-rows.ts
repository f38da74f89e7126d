/**
 * Canonical rows from what the SDK for JavaScript hands to an exporter. It says what must stand in
 * the files; it knows nothing of OTLP bytes or of our columns.
 */
import { ValueType, type Attributes, type HrTime } from '@opentelemetry/api'
import type { ReadableLogRecord } from '@opentelemetry/sdk-logs'
import {
  AggregationTemporality,
  DataPointType,
  type DataPoint,
  type ExponentialHistogram,
  type Histogram,
  type MetricData,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import {
  canonicalDouble,
  canonicalInt,
  canonicalValue,
  sortKeys,
  type CanonicalRow,
} from './canonical-values.ts'

/** OTLP numbers kinds from 1, the SDK from 0. */
const KIND_OFFSET = 1

interface Scoped {
  readonly resource: { readonly attributes: Attributes }
  readonly scope: { readonly name: string; readonly version?: string }
  readonly attributes: Attributes
}

export function logRow(record: ReadableLogRecord): CanonicalRow {
  const { body, spanContext } = record
  return {
    ...common({ ...record, scope: record.instrumentationScope }),
    dropped: nonZero(record.droppedAttributesCount),
    time: nanos(record.hrTime),
    observed: nanos(record.hrTimeObserved),
    severityNumber: nonZero(record.severityNumber),
    severityText: text(record.severityText),
    body:
      typeof body === 'string'
        ? `s:${body}`
        : body === undefined || body === null
          ? null
          : { json: sortKeys(body) },
    traceId: text(spanContext?.traceId),
    spanId: text(spanContext?.spanId),
    eventName: text(record.eventName),
  }
}

export function spanRow(span: ReadableSpan): CanonicalRow {
  const { traceId, spanId, traceState } = span.spanContext()
  return {
    ...common({ ...span, scope: span.instrumentationScope }),
    dropped: nonZero(span.droppedAttributesCount),
    traceId: text(traceId),
    spanId: text(spanId),
    parentSpanId: text(span.parentSpanContext?.spanId),
    traceState: text(traceState?.serialize()),
    name: text(span.name),
    kind: canonicalInt(span.kind + KIND_OFFSET),
    start: nanos(span.startTime),
    end: nanos(span.endTime),
    statusCode: nonZero(span.status.code),
    statusMessage: text(span.status.message),
    events: span.events.map(({ time, name, attributes }) => ({
      time: nanos(time),
      name: text(name),
      attributes: sortKeys(attributes ?? {}),
    })),
    links: span.links.map(({ context, attributes }) => ({
      traceId: text(context.traceId),
      spanId: text(context.spanId),
      attributes: sortKeys(attributes ?? {}),
    })),
  }
}

export function pointRows({ resource, scopeMetrics }: ResourceMetrics): CanonicalRow[] {
  return scopeMetrics.flatMap(({ scope, metrics }) =>
    metrics.flatMap((metric) =>
      metric.dataPoints.map((point) => ({
        ...common({ resource, scope, attributes: point.attributes }),
        name: text(metric.descriptor.name),
        type: `s:${typeName(metric)}`,
        unit: text(metric.descriptor.unit),
        description: text(metric.descriptor.description),
        temporality:
          metric.dataPointType === DataPointType.GAUGE
            ? null
            : canonicalInt(metric.aggregationTemporality === AggregationTemporality.DELTA ? 1 : 2),
        isMonotonic: metric.dataPointType === DataPointType.SUM ? metric.isMonotonic : null,
        start: nanos(point.startTime),
        time: nanos(point.endTime),
        exemplars: [],
        ...valueOf(metric, point),
      })),
    ),
  )
}

function typeName(metric: MetricData): string {
  switch (metric.dataPointType) {
    case DataPointType.SUM:
      return 'sum'
    case DataPointType.GAUGE:
      return 'gauge'
    case DataPointType.HISTOGRAM:
      return 'histogram'
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return 'exponential_histogram'
  }
}

function valueOf(metric: MetricData, point: DataPoint<unknown>): CanonicalRow {
  if (metric.dataPointType === DataPointType.SUM || metric.dataPointType === DataPointType.GAUGE) {
    const value = point.value as number
    const isInt = metric.descriptor.valueType === ValueType.INT
    return { value: isInt ? canonicalInt(value) : canonicalDouble(value) }
  }
  const histogram = point.value as Histogram | ExponentialHistogram
  const shared = {
    count: canonicalInt(histogram.count),
    sum: optionalDouble(histogram.sum),
    min: optionalDouble(histogram.min),
    max: optionalDouble(histogram.max),
  }
  if ('buckets' in histogram) {
    return {
      ...shared,
      bounds: histogram.buckets.boundaries.map(canonicalDouble),
      buckets: histogram.buckets.counts.map(canonicalInt),
    }
  }
  return {
    ...shared,
    scale: canonicalInt(histogram.scale),
    zeroCount: canonicalInt(histogram.zeroCount),
    positiveOffset: canonicalInt(histogram.positive.offset),
    positive: counts(histogram.positive.bucketCounts),
    negativeOffset: canonicalInt(histogram.negative.offset),
    negative: counts(histogram.negative.bucketCounts),
  }
}

function common({ resource, scope, attributes }: Scoped): CanonicalRow {
  return {
    resource: canonicalAttributes(resource.attributes),
    scope: text(scope.name),
    scopeVersion: text(scope.version),
    attributes: canonicalAttributes(attributes),
  }
}

function canonicalAttributes(attributes: Attributes): CanonicalRow {
  return Object.fromEntries(
    Object.entries(attributes)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [key, canonicalValue(value)]),
  )
}

function nanos([seconds, nanoseconds]: HrTime): string {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds))
}

/** proto3 does not send empty strings of plain fields, and they are stored as null. */
function text(value: string | undefined): string | null {
  return value ? `s:${value}` : null
}

/** An empty repeated field is not sent, and is stored as null. */
function counts(buckets: readonly number[]): string[] | null {
  return buckets.length === 0 ? null : buckets.map(canonicalInt)
}

function optionalDouble(value: number | undefined): string | null {
  return value === undefined ? null : canonicalDouble(value)
}

/** proto3 does not send zeros of plain fields, and they are stored as null. */
function nonZero(value: number | undefined): string | null {
  return value ? canonicalInt(value) : null
}
