/**
 * One column out of two that never have a value in the same row: of an attribute that has a column
 * in some batches of a flush and stands among the pairs of others. That happens while a key becomes
 * rarer or more frequent, so this is short rather than quick.
 */
import type { LeafColumn, LeafValues } from '@tributary/common/parquet/column-values'
import assert from 'node:assert/strict'
import { BytesSink, Int64Sink } from './value-sinks.ts'

/** Merges the columns of a row group of `rowCount` rows; `pairs` has a dictionary of values. */
export function mergeColumns(column: LeafColumn, pairs: LeafColumn, rowCount: number): LeafColumn {
  if (pairs.count === 0) return column
  if (column.count === 0) return pairs
  const sink = sinkFor(column.values)
  let left = 0
  let right = 0
  const presence = new Uint8Array((rowCount + 7) >>> 3)
  for (let row = 0; row < rowCount; row++) {
    if (has(column, row)) sink.add(column.values, left++)
    else if (has(pairs, row)) sink.add(pairs.values, right++)
    else continue
    presence[row >>> 3]! |= 1 << (row & 7)
  }
  assert(left === column.count && right === pairs.count, 'a row has a key once')
  const count = left + right
  const values = sink.finish()
  return count === rowCount ? { values, count } : { values, count, presence }
}

function has({ presence }: LeafColumn, row: number): boolean {
  return presence === undefined || ((presence[row >>> 3]! >>> (row & 7)) & 1) === 1
}

interface ValueSink {
  /** Adds value `index` of some values of the sink's type. */
  add(values: LeafValues, index: number): void
  finish(): LeafValues
}

function sinkFor(values: LeafValues): ValueSink {
  switch (values.kind) {
    case 'int64':
    case 'double':
      return halvesSink(values.kind)
    case 'boolean':
      return booleanSink()
    case 'bytes':
    case 'dictionary':
      return bytesSink()
    default:
      assert.fail(`no attribute column has values of kind ${values.kind}`)
  }
}

function halvesSink(kind: 'int64' | 'double'): ValueSink {
  const sink = new Int64Sink()
  return {
    add(values, index) {
      const words =
        values.kind === 'int64'
          ? values.halves
          : values.kind === 'double'
            ? new Int32Array(values.values.buffer, values.values.byteOffset + 8 * index, 2)
            : wordsOf(entryOf(values, index))
      const at = values.kind === 'int64' ? 2 * index : 0
      sink.add(words[at]!, words[at + 1]!)
    },
    finish: () => (kind === 'int64' ? sink.int64Column() : sink.doubleColumn()).values,
  }
}

function booleanSink(): ValueSink {
  const flags: number[] = []
  return {
    add(values, index) {
      flags.push(values.kind === 'boolean' ? values.values[index]! : entryOf(values, index)[0]!)
    },
    finish: () => ({ kind: 'boolean', values: Uint8Array.from(flags) }),
  }
}

function bytesSink(): ValueSink {
  const sink = new BytesSink()
  return {
    add(values, index) {
      sink.add(entryOf(values, index))
    },
    finish: () => sink.column().values,
  }
}

/** The bytes of a value of a dictionary or of byte arrays. */
function entryOf(values: LeafValues, index: number): Uint8Array {
  if (values.kind === 'bytes') {
    return values.data.subarray(values.offsets[index], values.offsets[index + 1])
  }
  assert(values.kind === 'dictionary', 'values of both columns have one type')
  const id = values.ids[index]!
  const { data, offsets } = values.dictionary
  return data.subarray(offsets[id], offsets[id + 1])
}

function wordsOf(entry: Uint8Array): Int32Array {
  return new Int32Array(entry.slice().buffer)
}
