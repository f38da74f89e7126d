/**
 * Turns one tenant's batches of one signal into sorted Parquet files. The result is a function of
 * the batches, the range, the settings, the schema and WRITER_VERSION alone: a flush that is tried
 * again writes the same bytes.
 */
import { ParquetFileWriter, type SortingColumn } from '@tributary/common/parquet/file-writer'
import type { SchemaState } from '@tributary/common/schema/schema-state'
import type { SignalName } from '@tributary/common/signal'
import { planAttributes, type TableAttribute } from './attribute-plan.ts'
import { attributeProducers, type AttributeProducers } from './attribute-producers.ts'
import { fixedProducer, type ColumnProducer } from './column-producers.ts'
import { freeColumnScratch } from './column-scratch.ts'
import { findGroupRuns } from './group-columns.ts'
import { splitByHour, type HourRows } from './hour-split.ts'
import { orderRows } from './row-order.ts'
import { batchOfRows, pickRows, positionsOf } from './row-picks.ts'
import { timeRange } from './row-times.ts'
import type { SeriesIds } from './series-id.ts'
import type { SortGroups } from './sort-groups.ts'
import { removeSpooled, type SpoolFile, type SpooledFile } from './spool-file.ts'
import { TABLE_COLUMNS } from './table-columns.ts'
import { openTable, type FlushEntry, type TableContext } from './table-context.ts'

/** Raised with every change of the bytes that the same batches give. */
export const WRITER_VERSION = 3

export interface FlushSettings {
  readonly rowGroupRowsMax: number
  readonly rowGroupBytesMax: number
  readonly fileRowsMax: number
  readonly fileBytesMax: number
  readonly hoursMax: number
  readonly attributeColumnsMax: number
  readonly zstdLevel: number
}

export interface TableJob {
  readonly tenant: string
  readonly signal: SignalName
  readonly topic: string
  readonly partition: number
  /** First offset of the flushed range and the one behind its last, decimal. */
  readonly start: string
  readonly end: string
  readonly entries: readonly FlushEntry[]
  readonly settings: FlushSettings
}

export interface TableFile extends SpooledFile {
  readonly rows: number
  readonly hour: string
  /** Nanoseconds since 1970, decimal. */
  readonly timeMin: string
  readonly timeMax: string
}

export interface TableResult {
  readonly files: readonly TableFile[]
  readonly rowsIn: number
  readonly rowsStored: number
  readonly schemaVersion: number
  /** Distinct resources. */
  readonly streams: number
}

/** What a table needs from outside: the column names of its attributes and files to write to. */
export interface TableServices {
  schemaOf(wanted: readonly TableAttribute[]): Promise<SchemaState>
  createFile(): SpoolFile
}

/** Writes all files of a table, or none. */
export async function writeTable(job: TableJob, services: TableServices): Promise<TableResult> {
  const context = openTable(job.entries)
  const { attributeColumnsMax, hoursMax } = job.settings
  const plan = planAttributes(
    context.source,
    context.resources,
    context.scopes,
    context.sparse,
    attributeColumnsMax,
  )
  const schema = await services.schemaOf(plan.columns)
  const series =
    job.signal === 'metrics' ? context.seriesIds([...plan.columns, ...plan.overflow]) : undefined
  const attributes = attributeProducers(plan, schema, context)
  const writer = new TableWriter(job, context, schema, attributes, series)
  const files: TableFile[] = []
  try {
    for (const hourRows of splitByHour(context, hoursMax)) {
      if (hourRows.rows.length > 0) writer.writeHour(hourRows, services, files)
    }
  } catch (error) {
    // on a full disk every try would leave what fits
    removeSpooled(files)
    throw error
  }
  return {
    files,
    rowsIn: context.source.rowCount,
    rowsStored: files.reduce((sum, file) => sum + file.rows, 0),
    schemaVersion: schema.version,
    streams: context.resources.count,
  }
}

class TableWriter {
  readonly #job: TableJob
  readonly #context: TableContext
  readonly #schemaVersion: number
  readonly #columnMap: string
  readonly #producers: readonly ColumnProducer[]
  readonly #sortGroups: SortGroups
  readonly #sortingColumns: readonly SortingColumn[]
  readonly #batchOf: Int32Array
  readonly #bytesPerRow: Float64Array
  /** Of the hour at hand. */
  #positionOfRow: Int32Array = new Int32Array(0)

  constructor(
    job: TableJob,
    context: TableContext,
    schema: SchemaState,
    attributes: AttributeProducers,
    series: SeriesIds | undefined,
  ) {
    this.#job = job
    this.#context = context
    this.#schemaVersion = schema.version
    this.#columnMap = JSON.stringify(attributes.columnMap)
    const fixed = TABLE_COLUMNS[job.signal].map((column) => fixedProducer(column, context, series))
    this.#producers = [...fixed, ...attributes.producers]
    const names = new Set(this.#producers.map(({ field }) => field.name))
    const service = schema.resolve('resource', 'service.name', 'string')
    const byService = service !== undefined && names.has(service)
    this.#sortGroups = context.sortGroups(byService, series)
    this.#sortingColumns = sortingColumns(job.signal, byService ? service : undefined)
    this.#batchOf = batchOfRows(context.source)
    this.#bytesPerRow = Float64Array.from(
      job.entries,
      (entry, index) => entry.bytes.length / context.source.batches[index]!.view.rowCount,
    )
  }

  /** Adds the files of one hour: one, unless it grows past the bounds of a file. */
  writeHour(hourRows: HourRows, services: TableServices, files: TableFile[]): void {
    const order = orderRows(
      hourRows.rows,
      this.#sortGroups.groupOfRow,
      this.#sortGroups.rankOfGroup,
      this.#sortGroups.rankCount,
      this.#context.times,
    )
    this.#positionOfRow = positionsOf(this.#context.source, order)
    let start = 0
    while (start < order.length) {
      const spool = services.createFile()
      try {
        const end = this.#writeFile(spool, order, start, hourRows.hour, files)
        start = end
      } catch (error) {
        spool.discard()
        throw error
      }
    }
  }

  /** Writes row groups from `start` until a bound of the file is reached; returns where it ended. */
  #writeFile(
    spool: SpoolFile,
    order: Int32Array,
    start: number,
    hour: string,
    files: TableFile[],
  ): number {
    const { settings } = this.#job
    const writer = new ParquetFileWriter({
      fields: this.#producers.map(({ field }) => field),
      sink: (bytes) => spool.write(bytes),
      sortingColumns: this.#sortingColumns,
      createdBy: `tributary version ${String(WRITER_VERSION)}`,
      zstdLevel: settings.zstdLevel,
    })
    let end = start
    while (end < order.length) {
      const next = this.#rowGroupEnd(order, end)
      if (end > start && next - start > settings.fileRowsMax) break
      this.#writeRowGroup(writer, order, end, next)
      end = next
      if (spool.bytes >= settings.fileBytesMax) break
    }
    const times = this.#timeRange(order, start, end)
    writer.finish(this.#keyValues(end - start, times.timeMin, times.timeMax))
    files.push({ ...spool.finish(), rows: end - start, hour, ...times })
    return end
  }

  /** A row group ends at its bound of rows, or of bytes by the mean row size of each batch. */
  #rowGroupEnd(order: Int32Array, start: number): number {
    const { rowGroupRowsMax, rowGroupBytesMax } = this.#job.settings
    const last = Math.min(order.length, start + rowGroupRowsMax)
    let bytes = 0
    for (let index = start; index < last; index++) {
      bytes += this.#bytesPerRow[this.#batchOf[order[index]!]!]!
      if (bytes > rowGroupBytesMax && index > start) return index
    }
    return last
  }

  #writeRowGroup(writer: ParquetFileWriter, order: Int32Array, start: number, end: number): void {
    const { source } = this.#context
    const rows = {
      picks: pickRows(source, this.#batchOf, order, this.#positionOfRow, start, end),
      order,
      start,
      end,
      resourceRuns: findGroupRuns(this.#context.resources, order, start, end),
      scopeRuns: findGroupRuns(this.#context.scopes, order, start, end),
    }
    writer.startRowGroup(end - start)
    this.#producers.forEach((producer, index) => {
      freeColumnScratch()
      writer.writeColumn(index, producer.produce(rows))
    })
    writer.finishRowGroup()
  }

  #timeRange(order: Int32Array, start: number, end: number): { timeMin: string; timeMax: string } {
    const { times } = this.#context
    const { high, low } = times
    const { least, greatest } = timeRange(order, start, end, times)
    const nanos = (row: number): string => String((BigInt(high[row]!) << 32n) | BigInt(low[row]!))
    return { timeMin: nanos(least), timeMax: nanos(greatest) }
  }

  #keyValues(rows: number, timeMin: string, timeMax: string): [string, string][] {
    const { tenant, signal, topic, partition, start, end } = this.#job
    return [
      ['tributary.format_version', '1'],
      ['tributary.tenant', tenant],
      ['tributary.signal', signal],
      ['tributary.topic', topic],
      ['tributary.partition', String(partition)],
      ['tributary.start', start],
      ['tributary.end', end],
      ['tributary.rows', String(rows)],
      ['tributary.time_min', timeMin],
      ['tributary.time_max', timeMax],
      ['tributary.schema_version', String(this.#schemaVersion)],
      ['tributary.columns', this.#columnMap],
      ['tributary.writer_version', String(WRITER_VERSION)],
    ]
  }
}

function sortingColumns(signal: SignalName, service: string | undefined): SortingColumn[] {
  const columns = signal === 'metrics' ? ['metric_name'] : []
  if (service !== undefined) columns.push(service)
  columns.push(signal === 'metrics' ? 'series_id' : 'resource_hash')
  columns.push('timestamp', 'timestamp_nanos')
  return columns.map((column) => ({ column, descending: false, nullsFirst: true }))
}
