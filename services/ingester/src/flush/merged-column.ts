/**
 * One column out of two that never have a value in the same row: of an attribute that has a column
 * in some batches of a flush and stands among the pairs of others. So it is with every sparse key of
 * a process that has just started, and while a key becomes rarer or more frequent.
 */
import type {
  LeafColumn,
  LeafValues,
  ValueDictionary,
} from '@tributary/common/parquet/column-values'
import assert from 'node:assert/strict'
import { takeBytes, takeInt32 } from './column-scratch.ts'
import { DictionaryUnion } from './dictionary-union.ts'

type DictionaryIds = Extract<LeafValues, { readonly kind: 'dictionary' }>

/** Merges the columns of a row group; `pairs` has a dictionary of values. */
export function mergeColumns(column: LeafColumn, pairs: LeafColumn): LeafColumn {
  if (pairs.count === 0) return column
  if (column.count === 0) return pairs
  const left = column.presence
  const right = pairs.presence
  assert(left !== undefined && right !== undefined, 'a row has a key once')
  assert(pairs.values.kind === 'dictionary', 'pairs have a dictionary')
  const count = column.count + pairs.count
  const sources = takeInt32(count)
  assert.equal(interleave(left, right, sources), count, 'a row has a key once')
  const presence = takeBytes(left.length)
  for (let index = 0; index < left.length; index++) presence[index] = left[index]! | right[index]!
  return { values: mergeValues(column.values, pairs.values, sources), count, presence }
}

/**
 * For each value of the merged column the one that it is: n of the left column, or ~n of the right
 * one. Returns how many there are.
 */
function interleave(left: Uint8Array, right: Uint8Array, sources: Int32Array): number {
  let count = 0
  let leftAt = 0
  let rightAt = 0
  for (let index = 0; index < left.length; index++) {
    const ofLeft = left[index]!
    const ofRight = right[index]!
    for (let bits = ofLeft | ofRight; bits !== 0; bits &= bits - 1) {
      const bit = bits & -bits
      if ((ofLeft & bit) !== 0) sources[count++] = leftAt++
      if ((ofRight & bit) !== 0) sources[count++] = ~rightAt++
    }
  }
  return count
}

function mergeValues(left: LeafValues, right: DictionaryIds, sources: Int32Array): LeafValues {
  switch (left.kind) {
    case 'dictionary':
      return mergeDictionaries(left, right, sources)
    case 'bytes':
      return mergeBytes(left, right, sources)
    case 'int64':
      return { kind: 'int64', halves: mergeWords(left.halves, right, sources) }
    case 'double': {
      const { buffer, byteOffset, length } = left.values
      const words = mergeWords(new Int32Array(buffer, byteOffset, 2 * length), right, sources)
      const values = new Float64Array(words.buffer, words.byteOffset, sources.length)
      return { kind: 'double', values }
    }
    case 'boolean':
      return { kind: 'boolean', values: mergeBooleans(left.values, right, sources) }
    default:
      assert.fail(`no attribute column has values of kind ${left.kind}`)
  }
}

/** One dictionary for both: a value stands in it once. */
function mergeDictionaries(
  left: DictionaryIds,
  right: DictionaryIds,
  sources: Int32Array,
): LeafValues {
  const union = new DictionaryUnion()
  const ofLeft = unite(union, left.dictionary)
  const ofRight = unite(union, right.dictionary)
  const ids = takeInt32(sources.length)
  for (let index = 0; index < ids.length; index++) {
    const source = sources[index]!
    ids[index] = source >= 0 ? ofLeft[left.ids[source]!]! : ofRight[right.ids[~source]!]!
  }
  return { kind: 'dictionary', ids, dictionary: union.finish() }
}

function unite(union: DictionaryUnion, { data, offsets }: ValueDictionary): Int32Array {
  const remap = takeInt32(offsets.length - 1)
  for (let id = 0; id < remap.length; id++) {
    remap[id] = union.add(data, offsets[id]!, offsets[id + 1]!)
  }
  return remap
}

function mergeBytes(
  left: Extract<LeafValues, { readonly kind: 'bytes' }>,
  right: DictionaryIds,
  sources: Int32Array,
): LeafValues {
  const { ids, dictionary } = right
  const offsets = takeInt32(sources.length + 1)
  offsets[0] = 0
  for (let index = 0; index < sources.length; index++) {
    const source = sources[index]!
    const bounds = source >= 0 ? left.offsets : dictionary.offsets
    const at = source >= 0 ? source : ids[~source]!
    offsets[index + 1] = offsets[index]! + bounds[at + 1]! - bounds[at]!
  }
  const data = takeBytes(offsets[sources.length]!)
  for (let index = 0; index < sources.length; index++) {
    const source = sources[index]!
    const from = source >= 0 ? left.data : dictionary.data
    const start = source >= 0 ? left.offsets[source]! : dictionary.offsets[ids[~source]!]!
    const at = offsets[index]!
    const length = offsets[index + 1]! - at
    for (let byte = 0; byte < length; byte++) data[at + byte] = from[start + byte]!
  }
  return { kind: 'bytes', data, offsets }
}

/** Values of 64 bits, as they are. */
function mergeWords(
  left: Int32Array,
  right: DictionaryIds,
  sources: Int32Array,
): Int32Array<ArrayBuffer> {
  const { data } = right.dictionary
  const entries = new Int32Array(data.buffer, data.byteOffset, data.length >>> 2)
  const words = takeInt32(2 * sources.length)
  for (let index = 0; index < sources.length; index++) {
    const source = sources[index]!
    const from = source >= 0 ? left : entries
    const at = 2 * (source >= 0 ? source : right.ids[~source]!)
    words[2 * index] = from[at]!
    words[2 * index + 1] = from[at + 1]!
  }
  return words
}

function mergeBooleans(
  left: Uint8Array,
  { ids, dictionary }: DictionaryIds,
  sources: Int32Array,
): Uint8Array {
  const values = takeBytes(sources.length)
  for (let index = 0; index < sources.length; index++) {
    const source = sources[index]!
    values[index] = source >= 0 ? left[source]! : dictionary.data[ids[~source]!]!
  }
  return values
}
