/** Decides, from real counts, how the values of one column chunk are encoded. */
import assert from 'node:assert/strict'
import { countDistinctValues } from './bloom-filter.ts'
import type { ChunkValues } from './chunk-values.ts'
import type { LeafValues, ValueDictionary } from './column-values.ts'
import { deltaBytesMax, writeDeltaInt32, writeDeltaInt64 } from './delta-encoder.ts'
import { numberByteArrays, numberWords, type NumberedValues } from './dictionary-attempt.ts'
import { DictionaryValues, RunValues, takeEntries, type UsedEntries } from './dictionary-values.ts'
import { bitWidthOf } from './hybrid-encoder.ts'
import { takeIds } from './id-scratch.ts'
import { PageBuffer } from './page-buffer.ts'
import {
  BooleanValues,
  haveOneLength,
  PlainByteArrayValues,
  PlainDoubleValues,
  PlainInt32Values,
  PlainInt64Values,
} from './plain-values.ts'
import type { PhysicalType } from './schema.ts'

/** Values that a delta encoding is measured on, before an int column becomes a dictionary. */
const DELTA_SAMPLE = 4096
const sample = new PageBuffer()

/** `distinct` where the caller happens to know it, by hashes at least. */
export function planValues(
  physical: PhysicalType,
  values: LeafValues,
  count: number,
  distinct?: number,
): ChunkValues {
  if (count === 0) return noValues(physical)
  switch (values.kind) {
    case 'int32':
      assert(physical === 'INT32' && values.values.length >= count, 'an INT32 column')
      return planInt32(values.values.subarray(0, count))
    case 'int64':
      assert(physical === 'INT64' && values.halves.length >= 2 * count, 'an INT64 column')
      return planInt64(values.halves.subarray(0, 2 * count))
    case 'double':
      assert(physical === 'DOUBLE' && values.values.length >= count, 'a DOUBLE column')
      return planDouble(values.values.subarray(0, count))
    case 'boolean':
      assert(physical === 'BOOLEAN' && values.values.length >= count, 'a BOOLEAN column')
      return new BooleanValues(values.values.subarray(0, count))
    case 'bytes':
      assert(physical === 'BYTE_ARRAY' && values.offsets.length > count, 'a BYTE_ARRAY column')
      return planByteArrays(values.data, values.offsets, count, distinct)
    case 'dictionary':
      assert(values.ids.length >= count, 'an id per value')
      return planDictionary(physical, values.dictionary, values.ids.subarray(0, count))
    case 'runs':
      return planRuns(physical, values.dictionary, values.runLengths, values.runIds, count)
  }
}

/** A chunk of nulls only: no dictionary page. */
function noValues(physical: PhysicalType): ChunkValues {
  if (physical === 'BOOLEAN') return new BooleanValues(new Uint8Array(0))
  if (physical === 'BYTE_ARRAY') {
    return new PlainByteArrayValues(new Uint8Array(0), new Int32Array(1), 0)
  }
  return plainFixed(physical, new Uint8Array(0))
}

function planInt32(values: Int32Array): ChunkValues {
  const numbered = numberWords(values, 1, values.length)
  if (numbered !== undefined && paysForInts(numbered, values, 4)) {
    return new DictionaryValues('INT32', firstsOf(values, 1, numbered), numbered.ids)
  }
  return new PlainInt32Values(values)
}

function planInt64(halves: Int32Array): ChunkValues {
  const numbered = numberWords(halves, 2, halves.length / 2)
  if (numbered !== undefined && paysForInts(numbered, halves, 8)) {
    return new DictionaryValues('INT64', firstsOf(halves, 2, numbered), numbered.ids)
  }
  return new PlainInt64Values(halves)
}

function planDouble(values: Float64Array): ChunkValues {
  // numbered by their bits: -0.0 stays apart from 0.0, and every NaN keeps its payload
  const words = new Int32Array(values.buffer, values.byteOffset, 2 * values.length)
  const numbered = numberWords(words, 2, values.length)
  if (numbered !== undefined && paysForFixed(numbered, 8)) {
    return new DictionaryValues('DOUBLE', firstsOf(words, 2, numbered), numbered.ids)
  }
  return new PlainDoubleValues(values)
}

function paysForFixed(numbered: NumberedValues, width: number): boolean {
  const { ids, count } = numbered
  return dictionaryFits(count, ids, width * count, (width * ids.length) / 2)
}

/** Also below what a delta encoding takes: times are often few, rising and close. */
function paysForInts(numbered: NumberedValues, words: Int32Array, width: 4 | 8): boolean {
  const { ids, count } = numbered
  const plainBytes = width * ids.length
  if (!dictionaryFits(count, ids, width * count, plainBytes / 2)) return false
  const sampled = Math.min(ids.length, DELTA_SAMPLE)
  sample.reset()
  sample.reserve(deltaBytesMax(sampled, width))
  if (width === 4) writeDeltaInt32(sample, words, 0, sampled)
  else writeDeltaInt64(sample, words, 0, sampled)
  const deltaBytes = (sample.length * ids.length) / sampled
  return dictionaryFits(count, ids, width * count, deltaBytes)
}

/** A run's header and id, about. */
const RUN_BYTES = 4

/** Whether entries and ids, packed or as runs, stay within so many bytes. */
function dictionaryFits(
  entries: number,
  ids: Int32Array,
  entryBytes: number,
  bytesMax: number,
): boolean {
  const packedBytes = (ids.length * bitWidthOf(Math.max(0, entries - 1))) / 8
  if (entryBytes + packedBytes <= bytesMax) return true
  return entryBytes < bytesMax && entryBytes + RUN_BYTES * countRuns(ids) <= bytesMax
}

function countRuns(ids: Int32Array): number {
  let runs = 1
  for (let i = 1; i < ids.length; i++) if (ids[i] !== ids[i - 1]) runs++
  return runs
}

function firstsOf(words: Int32Array, wordsPerValue: 1 | 2, numbered: NumberedValues): UsedEntries {
  const { count, firsts } = numbered
  const taken = new Int32Array(count * wordsPerValue)
  const offsets = new Int32Array(count + 1)
  for (let id = 0; id < count; id++) {
    const first = firsts[id]! * wordsPerValue
    taken[id * wordsPerValue] = words[first]!
    if (wordsPerValue === 2) taken[2 * id + 1] = words[first + 1]!
    offsets[id + 1] = (id + 1) * 4 * wordsPerValue
  }
  return { data: new Uint8Array(taken.buffer), offsets, count }
}

function planByteArrays(
  data: Uint8Array,
  offsets: Int32Array,
  count: number,
  distinct: number | undefined,
): ChunkValues {
  const known = distinct ?? countIds(data, offsets, count)
  const numbered = numberByteArrays(data, offsets, count, known)
  if (numbered !== undefined) {
    const entries = takeEntries({ data, offsets }, numbered.firsts, numbered.count)
    if (paysForByteArrays(entries, numbered.ids, () => offsets[count]! - offsets[0]!)) {
      return new DictionaryValues('BYTE_ARRAY', entries, numbered.ids)
    }
  }
  return new PlainByteArrayValues(data, offsets, count)
}

/** Lengths of hexadecimal ids and of UUIDs, up to what is rather a text. */
const ID_BYTES_MIN = 16
const ID_BYTES_MAX = 40
/** Fewer values are not worth the calls. */
const COUNTED_IDS_MIN = 4096

/**
 * How many of the values are distinct, where all look like ids: parents repeat in other services
 * than where they are first seen, thousands of rows apart.
 */
function countIds(data: Uint8Array, offsets: Int32Array, count: number): number | undefined {
  const length = offsets[1]! - offsets[0]!
  if (count < COUNTED_IDS_MIN || length < ID_BYTES_MIN || length > ID_BYTES_MAX) return undefined
  if (!haveOneLength(offsets, count)) return undefined
  return countDistinctValues({ data, offsets, width: 0, count })
}

function paysForByteArrays(
  entries: UsedEntries,
  ids: Int32Array,
  valueBytes: () => number,
): boolean {
  if (2 * entries.count > ids.length + 1) return false
  const entryBytes = entries.data.length + 4 * entries.count
  const lengthBytes = 4 * ids.length
  // most dictionaries pay by the lengths alone, without a look at how long the values are
  return (
    dictionaryFits(entries.count, ids, entryBytes, lengthBytes) ||
    dictionaryFits(entries.count, ids, entryBytes, lengthBytes + valueBytes())
  )
}

function planDictionary(
  physical: PhysicalType,
  dictionary: ValueDictionary,
  ids: Int32Array,
): ChunkValues {
  if (physical === 'BOOLEAN') return new BooleanValues(booleansOf(dictionary, ids))
  const entryCount = dictionary.offsets.length - 1
  const numbered = takeIds(ids.length)
  const used = new Int32Array(Math.min(entryCount, ids.length))
  const usedCount = renumber(ids, numbered, new Int32Array(entryCount), used)
  if (physical === 'BYTE_ARRAY') {
    const entries = takeEntries(dictionary, used, usedCount)
    if (paysForByteArrays(entries, numbered, () => bytesBehind(dictionary, ids))) {
      return new DictionaryValues(physical, entries, numbered)
    }
    const gathered = takeEntries(dictionary, ids, ids.length)
    return new PlainByteArrayValues(gathered.data, gathered.offsets, ids.length)
  }
  const width = physical === 'INT32' ? 4 : 8
  const counted = { ids: numbered, firsts: used, count: usedCount }
  if (paysForFixed(counted, width)) {
    return new DictionaryValues(physical, takeEntries(dictionary, used, usedCount), numbered)
  }
  return plainFixed(physical, takeEntries(dictionary, ids, ids.length).data)
}

function plainFixed(physical: PhysicalType, data: Uint8Array): ChunkValues {
  const { buffer } = data
  if (physical === 'DOUBLE') return new PlainDoubleValues(new Float64Array(buffer))
  const words = new Int32Array(buffer)
  return physical === 'INT64' ? new PlainInt64Values(words) : new PlainInt32Values(words)
}

/** New ids in the order of first use; `seen` holds new id + 1 by old id. Returns how many. */
function renumber(
  ids: Int32Array,
  numbered: Int32Array,
  seen: Int32Array,
  used: Int32Array,
): number {
  let count = 0
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!
    const known = seen[id]!
    if (known > 0) {
      numbered[i] = known - 1
      continue
    }
    assert(known === 0, 'every id is one of the dictionary')
    used[count] = id
    numbered[i] = count++
    seen[id] = count
  }
  return count
}

function bytesBehind(dictionary: ValueDictionary, ids: Int32Array): number {
  const { offsets } = dictionary
  let bytes = 0
  for (let i = 0; i < ids.length; i++) bytes += offsets[ids[i]! + 1]! - offsets[ids[i]!]!
  return bytes
}

function booleansOf(dictionary: ValueDictionary, ids: Int32Array): Uint8Array {
  const values = new Uint8Array(ids.length)
  for (let i = 0; i < ids.length; i++) values[i] = dictionary.data[dictionary.offsets[ids[i]!]!]!
  return values
}

/** Shorter runs than this on average are cheaper as an id per value. */
const RUN_LENGTH_MIN = 8

function planRuns(
  physical: PhysicalType,
  dictionary: ValueDictionary,
  runLengths: Int32Array,
  runIds: Int32Array,
  count: number,
): ChunkValues {
  const ids = new Int32Array(runIds.length)
  const starts = new Int32Array(runIds.length + 1)
  let runs = 0
  for (let run = 0; run < runIds.length; run++) {
    if (runIds[run]! < 0 || runLengths[run] === 0) continue
    ids[runs] = runIds[run]!
    starts[runs + 1] = starts[runs]! + runLengths[run]!
    runs++
  }
  assert.equal(starts[runs], count, 'runs hold as many values as the column says')
  if (physical === 'BOOLEAN' || runs * RUN_LENGTH_MIN > count) {
    return planDictionary(physical, dictionary, spreadRuns(ids, starts, runs, count))
  }
  const numbered = new Int32Array(runs)
  const entryCount = dictionary.offsets.length - 1
  const used = new Int32Array(Math.min(entryCount, runs))
  const usedCount = renumber(ids.subarray(0, runs), numbered, new Int32Array(entryCount), used)
  const entries = takeEntries(dictionary, used, usedCount)
  return new RunValues(physical, entries, numbered, starts.subarray(0, runs + 1))
}

function spreadRuns(ids: Int32Array, starts: Int32Array, runs: number, count: number): Int32Array {
  const spread = new Int32Array(count)
  for (let run = 0; run < runs; run++) spread.fill(ids[run]!, starts[run], starts[run + 1])
  return spread
}
