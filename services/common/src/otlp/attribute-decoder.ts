/**
 * One attribute of an item into its column. Reads only the plain form of a KeyValue (key, then
 * value, each once); whatever else is legal is `odd`: the item is then undone, normalized and
 * decoded again, so that this code stays short.
 */
import type { AttributeColumns, AttributeKey } from '../columnar/attribute-columns.ts'
import { hashBytes, isValidUtf8 } from '../columnar/byte-kernels.ts'
import type { BytesColumn } from '../columnar/bytes-column.ts'
import { LIMITS } from '../limits.ts'
import type { DecodeTally } from './decode-tally.ts'
import { isNormalMessage } from './message-check.ts'
import { ANY_VALUE } from './message-schema.ts'
import { cursor, readLength, readVarint } from './protobuf-cursor.ts'

/** Decodes the KeyValue in [start, end) as attribute `index` of `row`; false when it is odd. */
export function decodeAttribute(
  attributes: AttributeColumns,
  row: number,
  index: number,
  start: number,
  end: number,
  tally: DecodeTally,
): boolean {
  const { bytes, view } = cursor
  let at = start
  let keyStart = start
  let keyEnd = start
  if (at < end && bytes[at] === 0x0a) {
    keyEnd = readLength(at + 1, end)
    keyStart = cursor.start
    at = keyEnd
  }
  const { touched } = attributes
  const before = index > 0 ? touched[index - 1]! : attributes.start
  let key = before.next
  if (key === undefined || !key.matches(view, keyStart, keyEnd)) {
    key = lookUpKey(attributes, keyStart, keyEnd, tally)
    if (key === undefined) return false
    before.next = key
  }
  if (index === touched.length) touched.push(key)
  else if (touched[index] !== key) touched[index] = key
  if (key.lastRow === row) return false
  let valueEnd = at
  let valueStart = at
  if (at < end) {
    if (bytes[at] !== 0x12) return false
    valueEnd = readLength(at + 1, end)
    valueStart = cursor.start
    if (valueEnd !== end) return false
  }
  if (!decodeValue(attributes, key, row, valueStart, valueEnd, tally)) return false
  key.lastRow = row
  return true
}

function lookUpKey(
  attributes: AttributeColumns,
  start: number,
  end: number,
  tally: DecodeTally,
): AttributeKey | undefined {
  const { bytes, view } = cursor
  const known = attributes.find(view, start, end)
  if (known !== undefined) return known
  if (end - start > LIMITS.attributeKeyBytesMax) return undefined
  if (!isValidUtf8(bytes, view, start, end)) return undefined
  tally.slowSteps += 1
  return attributes.key(bytes, view, start, end)
}

/** The AnyValue in [start, end) into the column of `key` for its type; false when it is odd. */
function decodeValue(
  attributes: AttributeColumns,
  key: AttributeKey,
  row: number,
  start: number,
  end: number,
  tally: DecodeTally,
): boolean {
  const { bytes, view } = cursor
  const tag = start < end ? bytes[start]! : 0
  switch (tag) {
    case 0x0a: {
      const stop = readLength(start + 1, end)
      const from = cursor.start
      if (stop !== end || stop - from > LIMITS.stringValueBytesMax) return false
      let column = key.string
      if (column === undefined || column.rows.count === 0) {
        if (!attributes.hasRoom(key, row))
          return decodeSparse(attributes, key, row, start, end, tally)
        column = attributes.stringColumn(key)
      }
      return column.append(row, bytes, view, from, stop, true)
    }
    case 0x10: {
      if (end - start !== 2 || bytes[start + 1]! > 1) return false
      let column = key.bool
      if (column === undefined || column.rows.count === 0) {
        if (!attributes.hasRoom(key, row))
          return decodeSparse(attributes, key, row, start, end, tally)
        column = attributes.boolColumn(key)
      }
      column.append(row, bytes[start + 1] === 1 ? 1 : 0)
      return true
    }
    case 0x18: {
      if (readVarint(start + 1, end) !== end) return false
      let column = key.int
      if (column === undefined || column.rows.count === 0) {
        if (!attributes.hasRoom(key, row))
          return decodeSparse(attributes, key, row, start, end, tally)
        column = attributes.intColumn(key)
      }
      column.append(row, cursor.low, cursor.high)
      return true
    }
    case 0x21: {
      if (end - start !== 9) return false
      let column = key.double
      if (column === undefined || column.rows.count === 0) {
        if (!attributes.hasRoom(key, row))
          return decodeSparse(attributes, key, row, start, end, tally)
        column = attributes.doubleColumn(key)
      }
      column.append(row, view.getInt32(start + 1, true), view.getInt32(start + 5, true))
      return true
    }
    default:
      return decodeRareValue(attributes, key, row, start, end, tally)
  }
}

function decodeRareValue(
  attributes: AttributeColumns,
  key: AttributeKey,
  row: number,
  start: number,
  end: number,
  tally: DecodeTally,
): boolean {
  const { bytes, view } = cursor
  if (start < end && bytes[start] === 0x3a) {
    if (readLength(start + 1, end) !== end) return false
    const from = cursor.start
    if (isNewColumn(key.binary) && !attributes.hasRoom(key, row)) {
      return decodeSparse(attributes, key, row, start, end, tally)
    }
    return attributes.bytesColumn(key).append(row, bytes, view, from, end, false)
  }
  if (isNewColumn(key.any) && !attributes.hasRoom(key, row)) {
    return decodeSparse(attributes, key, row, start, end, tally)
  }
  if (!isNormalMessage(ANY_VALUE, start, end, 0, tally)) return false
  return attributes.anyColumn(key).append(row, bytes, view, start, end, false)
}

function isNewColumn(column: BytesColumn | undefined): boolean {
  return column === undefined || column.rows.count === 0
}

/** The AnyValue in [start, end) without a column; false when it is odd. */
function decodeSparse(
  attributes: AttributeColumns,
  key: AttributeKey,
  row: number,
  start: number,
  end: number,
  tally: DecodeTally,
): boolean {
  const { bytes, view } = cursor
  const { sparse } = attributes
  const hash = hashBytes(view, start, end)
  let id = sparse.find(view, start, end, hash)
  // what is known has been checked, but values inside of values count in every item
  if (id < 0 || isNested(bytes, start, end)) {
    if (!isNormalMessage(ANY_VALUE, start, end, 0, tally)) return false
    if (id < 0) id = sparse.addValue(bytes, view, start, end, hash)
  }
  sparse.push(row, key, id)
  return true
}

/** Whether an AnyValue is an array or a map. */
function isNested(bytes: Uint8Array, start: number, end: number): boolean {
  return start < end && (bytes[start] === 0x2a || bytes[start] === 0x32)
}
