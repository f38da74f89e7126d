/**
 * One dictionary out of the dictionaries of many batches. Entries keep their first-seen order (by
 * position in the log), so the result depends on the batches alone.
 */
import type { ColumnView } from '@tributary/common/columnar/batch-view'
import { DictionaryUnion } from './dictionary-union.ts'
import type { TableColumnViews } from './source-table.ts'

export interface UnitedDictionary {
  /**
   * Per batch: united id of each dictionary entry (dictionary-encoded view) or of each row (plain
   * view; -1 where null). Undefined where the batch lacks the column.
   */
  readonly remaps: readonly (Int32Array | undefined)[]
  readonly data: Uint8Array
  readonly offsets: Int32Array
  readonly count: number
}

/** A plain column is given up as a dictionary after this many values when half are distinct. */
const PROBE_VALUES = 256

/** Unites a utf8 or binary column over all batches, whatever its cardinality. */
export function uniteAll(views: TableColumnViews): UnitedDictionary {
  const builder = new DictionaryUnion()
  const remaps = views.map((view) => (view === undefined ? view : addEntries(builder, view)))
  return { remaps, ...builder.finish() }
}

/**
 * Unites a utf8 or binary column over all batches where that pays.
 *
 * @returns undefined where batches hold it plain and its values are mostly distinct: such a column
 *   is written as plain bytes, and a dictionary would cost a hash per value for nothing
 */
export function uniteDictionaries(views: TableColumnViews): UnitedDictionary | undefined {
  const builder = new DictionaryUnion()
  const remaps: (Int32Array | undefined)[] = []
  let plainValues = 0
  let plainDistinct = 0
  for (const view of views) {
    if (view === undefined) {
      remaps.push(undefined)
      continue
    }
    const before = builder.count
    remaps.push(addEntries(builder, view))
    if (view.indices !== undefined) continue
    plainValues += view.length - view.nullCount
    plainDistinct += builder.count - before
    if (plainValues >= PROBE_VALUES && plainDistinct * 2 >= plainValues) return undefined
  }
  return { remaps, ...builder.finish() }
}

function addEntries(union: DictionaryUnion, view: ColumnView): Int32Array {
  const remap = new Int32Array(view.length)
  const offsets = view.offsets!
  const isPlain = view.indices === undefined
  const validity = isPlain ? view.validity : undefined
  for (let entry = 0; entry < view.length; entry++) {
    if (validity !== undefined && (validity[entry >>> 3]! & (1 << (entry & 7))) === 0) {
      remap[entry] = -1
      continue
    }
    remap[entry] = union.add(view.values, offsets[entry]!, offsets[entry + 1]!)
  }
  return remap
}
