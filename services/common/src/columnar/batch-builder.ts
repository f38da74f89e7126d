/**
 * An open column batch of one tenant and one signal: the columns of docs/format/batch.md while they
 * fill, with what the envelope says about them (chunks, times, sizes). The decoder appends values
 * and calls `endRow`; whatever happened since a savepoint can be undone by cutting rows, because
 * every dictionary entry and every column knows the row or value that brought it: nothing has to be
 * saved per column. After `rollback` the builder equals one that never saw the undone rows.
 * `reset` empties it for the next batch and keeps its memory. What the values mean, and which rows
 * may come in at all, is the decoder's business; bytes on the wire are the Arrow writer's.
 */
import { Signal } from '../signal.ts'
import { AttributeColumns, type AttributeColumn } from './attribute-columns.ts'
import { ChunkList } from './chunk-list.ts'
import { LogColumns } from './log-columns.ts'
import { MetricColumns } from './metric-columns.ts'
import { RunColumn } from './run-column.ts'
import { SpanColumns } from './span-columns.ts'
import type { BytesColumn } from './bytes-column.ts'
import type { IdListColumn } from './sparse-attributes.ts'
import type {
  BoolColumn,
  Fixed32Column,
  Fixed64Column,
  FixedBytesColumn,
  ListColumn,
} from './fixed-columns.ts'

/** A column with values; `kind` tells the class, `rows` which rows have one. */
export type ValueColumn =
  BytesColumn | Fixed64Column | Fixed32Column | BoolColumn | FixedBytesColumn | ListColumn
export type ColumnBuilder = RunColumn | ValueColumn | IdListColumn

/** Schema field, field node, buffers and padding of a column in an Arrow stream. */
const COLUMN_OVERHEAD_BYTES = 130
/** Schema, record batch and end marker of an Arrow stream, the two run columns, the envelope. */
const BATCH_OVERHEAD_BYTES = 800
/** A chunk in the header of the envelope. */
const CHUNK_ENTRY_BYTES = 28

export interface Savepoint {
  readonly rowCount: number
  readonly otlpBytes: number
  readonly itemBytes: number
  readonly minTimeUnixNano: bigint
  readonly maxTimeUnixNano: bigint
}

export class BatchBuilder {
  readonly signal: Signal
  readonly resource = new RunColumn('resource')
  readonly scope = new RunColumn('scope')
  /** The one of the three that belongs to `signal` is filled, the others stay empty. */
  readonly logs: LogColumns
  readonly spans: SpanColumns
  readonly metrics: MetricColumns
  readonly attributes = new AttributeColumns('attributes.')
  readonly chunks = new ChunkList()
  rowCount = 0
  /** OTLP bytes of the chunks in this batch. */
  otlpBytes = 0
  /** Least and greatest effective event time (time, else observed, else arrival); 0 without rows. */
  minTimeUnixNano = 0n
  maxTimeUnixNano = 0n
  readonly #fixed: readonly ValueColumn[]

  constructor(signal: Signal) {
    this.signal = signal
    this.logs = signal === Signal.logs ? new LogColumns() : NO_LOGS
    this.spans = signal === Signal.spans ? new SpanColumns() : NO_SPANS
    this.metrics = signal === Signal.metrics ? new MetricColumns() : NO_METRICS
    this.#fixed = this.#fixedColumns()
  }

  /** The fixed columns of the signal, filled or not, in order; `resource` and `scope` not among. */
  get fixedColumns(): readonly ValueColumn[] {
    return this.#fixed
  }

  /** The attribute columns with values, in order of first appearance. */
  get attributeColumns(): readonly AttributeColumn[] {
    return this.attributes.columns
  }

  /**
   * Chooses the final form of every column and returns those with values, in the order of the
   * format. For the writer; rows may still be added after it.
   */
  finish(): readonly ColumnBuilder[] {
    const columns: ColumnBuilder[] = [this.resource, this.scope]
    for (const column of this.#fixed) if (column.count > 0) columns.push(column)
    const { sparse } = this.attributes
    for (const column of this.attributes.columns) columns.push(column)
    if (sparse.count > 0) columns.push(sparse.keys, sparse.values)
    for (const column of columns) if (column.kind === 'bytes') column.finish(this.rowCount)
    return columns
  }

  savepoint(): Savepoint {
    const { rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano } = this
    const { itemBytes } = this.attributes
    return { rowCount, otlpBytes, itemBytes, minTimeUnixNano, maxTimeUnixNano }
  }

  /** Undoes everything since `savepoint`. */
  rollback(savepoint: Savepoint): void {
    this.rowCount = savepoint.rowCount
    this.otlpBytes = savepoint.otlpBytes
    this.minTimeUnixNano = savepoint.minTimeUnixNano
    this.maxTimeUnixNano = savepoint.maxTimeUnixNano
    for (const column of this.#fixed) column.truncateRows(savepoint.rowCount)
    this.attributes.truncateRows(savepoint.rowCount)
    this.attributes.itemBytes = savepoint.itemBytes
    this.chunks.truncateRows(savepoint.rowCount)
    this.dropUnusedRuns()
  }

  /** Undoes the values of the row at hand, whose record has keys at the first `touched` positions. */
  undoRow(touched: number): void {
    for (const column of this.#fixed) column.truncateRows(this.rowCount)
    this.attributes.undoRow(this.rowCount, touched)
  }

  /** Forgets resources and scopes that were begun and got no row. */
  dropUnusedRuns(): void {
    this.resource.truncateRows(this.rowCount)
    this.scope.truncateRows(this.rowCount)
  }

  /** At the end of a request: gives up dictionaries that do not pay. */
  settle(): void {
    for (const column of this.#fixed) if (column.kind === 'bytes') column.settle(this.rowCount)
    for (const column of this.attributes.columns)
      if (column.kind === 'bytes') column.settle(this.rowCount)
  }

  /** Bytes that the batch takes in memory and as an Arrow stream, within some percent. */
  estimatedBytes(): number {
    const { rowCount } = this
    let bytes = BATCH_OVERHEAD_BYTES + this.chunks.count * CHUNK_ENTRY_BYTES
    bytes += this.resource.byteSize(rowCount) + this.scope.byteSize(rowCount)
    for (const column of this.#fixed) bytes += arrowBytes(column, rowCount)
    bytes += this.attributes.sparse.byteSize(rowCount)
    for (const column of this.attributes.columns) bytes += arrowBytes(column, rowCount)
    return bytes
  }

  reset(): void {
    this.attributes.reset(this.rowCount)
    this.rowCount = 0
    this.otlpBytes = 0
    this.minTimeUnixNano = 0n
    this.maxTimeUnixNano = 0n
    this.resource.reset()
    this.scope.reset()
    for (const column of this.#fixed) column.reset()
    this.chunks.reset()
  }

  #fixedColumns(): readonly ValueColumn[] {
    switch (this.signal) {
      case Signal.logs:
        return this.logs.all
      case Signal.spans:
        return this.spans.all
      case Signal.metrics:
        return this.metrics.all
    }
  }
}

function arrowBytes(column: ValueColumn, rowCount: number): number {
  const { count } = column
  if (count === 0) return 0
  const bitmapBytes = count === rowCount ? 0 : (rowCount + 7) >> 3
  return COLUMN_OVERHEAD_BYTES + bitmapBytes + column.byteSize(rowCount)
}

const NO_LOGS = new LogColumns()
const NO_SPANS = new SpanColumns()
const NO_METRICS = new MetricColumns()
