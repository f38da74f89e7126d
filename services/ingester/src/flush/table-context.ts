/**
 * Everything about one tenant's rows of one signal that its columns are made from, each part built
 * once per flush: times, resources, scopes, united dictionaries, series, the sort groups.
 */
import { signalName, type SignalName } from '@tributary/common/signal'
import { openBatch } from '@tributary/common/columnar/batch-view'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import assert from 'node:assert/strict'
import { buildGroupTable, type GroupTable } from './group-table.ts'
import { readRowTimes, type RowTimes } from './row-times.ts'
import { computeSeriesIds, type SeriesColumn, type SeriesIds } from './series-id.ts'
import { resourceSortGroups, seriesSortGroups, type SortGroups } from './sort-groups.ts'
import {
  columnViews,
  type SourceBatch,
  type SourceTable,
  type TableColumnViews,
} from './source-table.ts'
import { buildSparseTable, type SparseTable } from './sparse-table.ts'
import { uniteAll, uniteDictionaries, type UnitedDictionary } from './united-dictionary.ts'
import { arrowName, type TableAttribute } from './attribute-plan.ts'

/** One envelope of the log with the row ranges that were stored before. */
export interface FlushEntry {
  readonly bytes: Uint8Array
  readonly suppressed: Int32Array
}

export class TableContext {
  readonly signal: SignalName
  readonly source: SourceTable
  readonly times: RowTimes
  readonly resources: GroupTable
  readonly scopes: GroupTable
  /** The attributes that stand as pairs in their batches; undefined where no batch has any. */
  readonly sparse: SparseTable | undefined
  readonly #united = new Map<string, UnitedDictionary | undefined>()

  constructor(signal: SignalName, source: SourceTable) {
    this.signal = signal
    this.source = source
    this.times = readRowTimes(source.batches, source.rowCount, signal)
    this.resources = buildGroupTable(source, 'resource')
    this.scopes = buildGroupTable(source, 'scope')
    this.sparse = buildSparseTable(source)
  }

  /** The dictionary of a column over all batches, or undefined where it is written plain. */
  united(name: string, views: TableColumnViews): UnitedDictionary | undefined {
    if (!this.#united.has(name)) this.#united.set(name, uniteDictionaries(views))
    return this.#united.get(name)
  }

  /** Series ids of metric points; all attributes count, overflowing ones too. */
  seriesIds(attributes: readonly TableAttribute[]): SeriesIds {
    const columns = attributes
      .filter(({ namespace }) => namespace === 'attributes')
      .map((attribute) => this.#seriesColumn(arrowName(attribute)))
      .filter((column) => column !== undefined)
    return computeSeriesIds(
      this.source,
      this.#seriesColumn('metric_name'),
      columns,
      this.sparse?.columns ?? [],
      this.resources,
      this.scopes,
    )
  }

  /** What the rows are sorted by before time. */
  sortGroups(byService: boolean, series: SeriesIds | undefined): SortGroups {
    if (series === undefined) return resourceSortGroups(this.resources, byService)
    const names = columnViews(this.source, 'metric_name')
    const united = names && this.#unitedFully('metric_name', names)
    return seriesSortGroups(
      this.resources,
      byService,
      united,
      this.#rowNames(names, united),
      series,
    )
  }

  #rowNames(views: TableColumnViews | undefined, united: UnitedDictionary | undefined): Int32Array {
    const nameOfRow = new Int32Array(this.source.rowCount).fill(-1)
    if (views === undefined || united === undefined) return nameOfRow
    this.source.batches.forEach((batch, index) => {
      const view = views[index]
      const remap = united.remaps[index]
      if (view === undefined || remap === undefined) return
      const { indices, validity } = view
      for (let row = 0; row < batch.view.rowCount; row++) {
        if (validity !== undefined && (validity[row >>> 3]! & (1 << (row & 7))) === 0) continue
        nameOfRow[batch.rowBase + row] = remap[indices === undefined ? row : indices[row]!]!
      }
    })
    return nameOfRow
  }

  #seriesColumn(name: string): SeriesColumn | undefined {
    const views = columnViews(this.source, name)
    if (views === undefined) return undefined
    const hasBytes = views.some((view) => view?.offsets !== undefined)
    return { name, views, united: hasBytes ? this.#unitedFully(name, views) : undefined }
  }

  /** Labels and metric names are dictionaries whatever their cardinality: series hash each value. */
  #unitedFully(name: string, views: TableColumnViews): UnitedDictionary {
    const known = this.#united.get(name)
    if (known !== undefined) return known
    const united = uniteAll(views)
    this.#united.set(name, united)
    return united
  }
}

/** Opens the envelopes of one tenant and signal; the order of `entries` is the log's. */
export function openTable(entries: readonly FlushEntry[]): TableContext {
  const batches: SourceBatch[] = []
  let rowBase = 0
  let signal: SignalName | undefined
  for (const entry of entries) {
    const { header, arrow } = decodeEnvelope(entry.bytes)
    signal ??= signalName(header.signal)
    const view = openBatch(arrow)
    assert.equal(view.rowCount, header.rowCount, 'an envelope counts the rows of its batch')
    batches.push({
      view,
      rowBase,
      arrivalHigh: Number(header.arrivalUnixNano >> 32n),
      arrivalLow: Number(header.arrivalUnixNano & 0xffff_ffffn),
      suppressed: entry.suppressed,
    })
    rowBase += view.rowCount
  }
  assert(signal !== undefined, 'a table has at least one batch')
  return new TableContext(signal, { batches, rowCount: rowBase })
}
