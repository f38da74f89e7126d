/** The fixed columns of spans, in the order of docs/format/batch.md. */
import { BytesColumn } from './bytes-column.ts'
import { Fixed32Column, Fixed64Column, FixedBytesColumn } from './fixed-columns.ts'

export class SpanColumns {
  readonly traceId = new FixedBytesColumn('trace_id', 'fixed16')
  readonly spanId = new FixedBytesColumn('span_id', 'fixed8')
  readonly parentSpanId = new FixedBytesColumn('parent_span_id', 'fixed8')
  readonly traceState = new BytesColumn('trace_state', 'utf8', true)
  readonly flags = new Fixed32Column('flags', 'uint32')
  readonly spanName = new BytesColumn('name', 'utf8', true)
  readonly spanKind = new Fixed32Column('kind', 'int32')
  readonly startTime = new Fixed64Column('start_time_unix_nano', 'uint64')
  readonly endTime = new Fixed64Column('end_time_unix_nano', 'uint64')
  readonly droppedAttributesCount = new Fixed32Column('dropped_attributes_count', 'uint32')
  readonly droppedEventsCount = new Fixed32Column('dropped_events_count', 'uint32')
  readonly droppedLinksCount = new Fixed32Column('dropped_links_count', 'uint32')
  readonly statusCode = new Fixed32Column('status_code', 'int32')
  readonly statusMessage = new BytesColumn('status_message', 'utf8', true)
  readonly events = new BytesColumn('events', 'binary', false)
  readonly links = new BytesColumn('links', 'binary', false)

  readonly all = [
    this.traceId,
    this.spanId,
    this.parentSpanId,
    this.traceState,
    this.flags,
    this.spanName,
    this.spanKind,
    this.startTime,
    this.endTime,
    this.droppedAttributesCount,
    this.droppedEventsCount,
    this.droppedLinksCount,
    this.statusCode,
    this.statusMessage,
    this.events,
    this.links,
  ] as const
}
