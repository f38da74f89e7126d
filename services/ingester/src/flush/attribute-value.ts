/** A key and its typed value, read from a normalized KeyValue message. */
import type { AttributeType } from '@tributary/common/schema/column-name'
import type { MessageReader } from './message-reader.ts'

export interface AttributeEntry {
  readonly key: string
  readonly type: AttributeType
  /** Content of a string or bytes value, or the AnyValue message of an `any`. */
  readonly bytes: Uint8Array
  /** Bits of an int or double; low is 0 or 1 for a bool. */
  readonly low: number
  readonly high: number
}

const NO_BYTES = new Uint8Array(0)

/** Types by the field number of the AnyValue oneof; 5 and 6 are array and map. */
const TYPE_OF_FIELD: readonly (AttributeType | undefined)[] = [
  undefined,
  'string',
  'bool',
  'int',
  'double',
  'any',
  'any',
  'bytes',
]

/** The type of an AnyValue whose first field has this number. */
export function typeOfField(field: number): AttributeType {
  return TYPE_OF_FIELD[field] ?? 'any'
}

/** Reads the KeyValue message that `reader` stands on. */
export function readAttribute(reader: MessageReader): AttributeEntry {
  let key = ''
  let value: AttributeEntry | undefined
  const entry = reader.child()
  while (entry.next()) {
    if (entry.field === 1) key = Buffer.from(entry.content()).toString('utf8')
    else if (entry.field === 2) value = readValue(entry)
  }
  return value === undefined
    ? { key, type: 'any', bytes: NO_BYTES, low: 0, high: 0 }
    : { ...value, key }
}

function readValue(reader: MessageReader): AttributeEntry {
  const value = reader.child()
  if (!value.next()) return { key: '', type: 'any', bytes: NO_BYTES, low: 0, high: 0 }
  const type = typeOfField(value.field)
  if (type === 'any') return { key: '', type, bytes: reader.content(), low: 0, high: 0 }
  if (type === 'string' || type === 'bytes') {
    return { key: '', type, bytes: value.content(), low: 0, high: 0 }
  }
  return { key: '', type, bytes: NO_BYTES, low: value.low, high: value.high }
}
