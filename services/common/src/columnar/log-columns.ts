/** The fixed columns of log records, in the order of docs/format/batch.md. */
import { BytesColumn } from './bytes-column.ts'
import { Fixed32Column, Fixed64Column, FixedBytesColumn } from './fixed-columns.ts'

export class LogColumns {
  readonly time = new Fixed64Column('time_unix_nano', 'uint64')
  readonly observedTime = new Fixed64Column('observed_time_unix_nano', 'uint64')
  readonly severityNumber = new Fixed32Column('severity_number', 'int32')
  readonly severityText = new BytesColumn('severity_text', 'utf8', true)
  readonly bodyString = new BytesColumn('body@string', 'utf8', true)
  readonly bodyAny = new BytesColumn('body@any', 'binary', false)
  readonly traceId = new FixedBytesColumn('trace_id', 'fixed16')
  readonly spanId = new FixedBytesColumn('span_id', 'fixed8')
  readonly flags = new Fixed32Column('flags', 'uint32')
  readonly eventName = new BytesColumn('event_name', 'utf8', true)
  readonly droppedAttributesCount = new Fixed32Column('dropped_attributes_count', 'uint32')

  readonly all = [
    this.time,
    this.observedTime,
    this.severityNumber,
    this.severityText,
    this.bodyString,
    this.bodyAny,
    this.traceId,
    this.spanId,
    this.flags,
    this.eventName,
    this.droppedAttributesCount,
  ] as const
}
