/**
 * The numbers of Arrow's IPC format that a column batch uses (Arrow specification, Schema.fbs and
 * Message.fbs, metadata version 5): table slots in the order of the .fbs files.
 */

/** What stands before every message; a zero length after it ends the stream. */
export const CONTINUATION = 0xffffffff
export const METADATA_VERSION_5 = 4
export const ENDIANNESS_LITTLE = 0
/** Messages, bodies and buffers all start at multiples of this. */
export const ALIGNMENT_BYTES = 8
/** The continuation mark and the length of the metadata. */
export const MESSAGE_PREFIX_BYTES = 8

export const MessageHeader = { schema: 1, dictionaryBatch: 2, recordBatch: 3 } as const

export const ArrowType = {
  int: 2,
  floatingPoint: 3,
  binary: 4,
  utf8: 5,
  bool: 6,
  list: 12,
  fixedSizeBinary: 15,
} as const
export type ArrowType = (typeof ArrowType)[keyof typeof ArrowType]

export const FLOAT_PRECISION_DOUBLE = 2
export const DICTIONARY_KIND_DENSE = 0

export const MessageSlot = { version: 0, headerType: 1, header: 2, bodyLength: 3 } as const
export const SchemaSlot = { endianness: 0, fields: 1 } as const
export const FieldSlot = {
  name: 0,
  nullable: 1,
  typeType: 2,
  type: 3,
  dictionary: 4,
  children: 5,
} as const
export const DictionaryEncodingSlot = { id: 0, indexType: 1, isOrdered: 2, kind: 3 } as const
export const IntSlot = { bitWidth: 0, isSigned: 1 } as const
export const FloatingPointSlot = { precision: 0 } as const
export const FixedSizeBinarySlot = { byteWidth: 0 } as const
export const RecordBatchSlot = { length: 0, nodes: 1, buffers: 2, compression: 3 } as const
export const DictionaryBatchSlot = { id: 0, data: 1, isDelta: 2 } as const

/** A key of 1 KiB of which every byte became a replacement character, with prefix and type: 3.1 KiB. */
export const COLUMN_NAME_BYTES_MAX = 8 * 1024

/** FieldNode { length: i64, null_count: i64 } and Buffer { offset: i64, length: i64 }. */
export const FIELD_NODE_BYTES = 16
export const BUFFER_BYTES = 16

/** The next multiple of 8. */
export function padded(byteCount: number): number {
  // not `& ~7`: sums of sizes may pass 2^31
  const rest = byteCount % ALIGNMENT_BYTES
  return rest === 0 ? byteCount : byteCount + ALIGNMENT_BYTES - rest
}
