/** The pairs of one batch: keys and values of the attributes that have no column there. */
import type {
  BatchView,
  ColumnView,
  DictionaryIndices,
} from '@tributary/common/columnar/batch-view'
import { envelopeDamage } from '@tributary/common/columnar/envelope-damage'

export interface BatchPairs {
  /** Bounds of every row's pairs, and the entries of all pairs. */
  readonly lists: Int32Array
  readonly keys: Int32Array
  readonly values: Int32Array
  /** The dictionaries: keys as UTF-8, values as AnyValue messages in normal form. */
  readonly keyEntries: ColumnView
  readonly valueEntries: ColumnView
}

/** The pairs of a batch, undefined where it has none. */
export function openedPairs(view: BatchView): BatchPairs | undefined {
  const keys = view.column('sparse_keys')
  const values = view.column('sparse_values')
  if (keys === undefined && values === undefined) return undefined
  const isPaired =
    keys?.type === 'list_utf8' &&
    values?.type === 'list_binary' &&
    haveEqualBounds(keys.lists!, values.lists!)
  if (!isPaired) throw envelopeDamage('sparse keys without their values')
  return {
    lists: keys.lists!,
    keys: widened(keys.indices!),
    values: widened(values.indices!),
    keyEntries: keys,
    valueEntries: values,
  }
}

function haveEqualBounds(left: Int32Array, right: Int32Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false
  return true
}

/** Ids of one width, so that the loops over them see one type of array. */
function widened(ids: DictionaryIndices): Int32Array {
  return ids instanceof Int32Array ? ids : Int32Array.from(ids)
}
