/**
 * The Thrift structures of the Parquet format: the generated classes of @dsnp/parquetjs, written
 * by our own compact protocol (theirs allocates a Buffer per byte and patches PageLocation).
 */
import generated, {
  JsonType,
  ListType,
  LogicalType,
  MicroSeconds,
  type Statistics,
  StringType,
  TimestampType,
  TimeUnit,
} from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js'
import type * as Parquet from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js'
import { CompactProtocol } from './compact-protocol.ts'

export {
  BloomFilterAlgorithm,
  BloomFilterCompression,
  BloomFilterHash,
  BloomFilterHeader,
  ColumnChunk,
  ColumnIndex,
  ColumnMetaData,
  ColumnOrder,
  DataPageHeader,
  DictionaryPageHeader,
  FileMetaData,
  KeyValue,
  OffsetIndex,
  PageEncodingStats,
  PageHeader,
  PageLocation,
  RowGroup,
  SchemaElement,
  SortingColumn as ThriftSortingColumn,
  SplitBlockAlgorithm,
  Statistics,
  TypeDefinedOrder,
  Uncompressed,
  XxHash,
} from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js'

// enums are assigned to module.exports in a way that Node can't see as named exports
export const BoundaryOrder = generated.BoundaryOrder
export type BoundaryOrder = Parquet.BoundaryOrder
export const CompressionCodec = generated.CompressionCodec
export type CompressionCodec = Parquet.CompressionCodec
export const ConvertedType = generated.ConvertedType
export type ConvertedType = Parquet.ConvertedType
export const Encoding = generated.Encoding
export type Encoding = Parquet.Encoding
export const FieldRepetitionType = generated.FieldRepetitionType
export type FieldRepetitionType = Parquet.FieldRepetitionType
export const PageType = generated.PageType
export type PageType = Parquet.PageType
export const Type = generated.Type
export type Type = Parquet.Type

type Int64 = NonNullable<Statistics['null_count']>

const WRITE = Symbol.for('write')
const protocol = new CompactProtocol()

interface ThriftStruct {
  [WRITE](output: CompactProtocol): void
}

/** The compact-protocol bytes of a generated structure, in a buffer of their own. */
export function serializeThrift(struct: object): Uint8Array {
  protocol.reset()
  // the generated declarations leave the read and write methods out
  ;(struct as ThriftStruct)[WRITE](protocol)
  return protocol.take()
}

/**
 * Sets fields of a blank structure. The generated constructors copy nested structures, so what is
 * learnt later (index positions, bloom filters) would never reach the footer.
 */
export function filled<T extends object>(blank: T, fields: Partial<T>): T {
  return Object.assign(blank, fields)
}

/**
 * A count or position for an i64 field: the generated classes declare node-int64 objects, our
 * protocol takes safe integers.
 */
export function int64(value: number): Int64 {
  return value as unknown as Int64
}

/** Bytes for a binary field: declared as Buffer, only ever read as a Uint8Array. */
export function binary(bytes: Uint8Array): Buffer {
  return bytes as Buffer
}

export function stringType(): LogicalType {
  return new LogicalType({ STRING: new StringType() })
}

export function jsonType(): LogicalType {
  return new LogicalType({ JSON: new JsonType() })
}

export function listType(): LogicalType {
  return new LogicalType({ LIST: new ListType() })
}

export function timestampMicrosType(): LogicalType {
  const unit = new TimeUnit({ MICROS: new MicroSeconds() })
  return new LogicalType({ TIMESTAMP: new TimestampType({ isAdjustedToUTC: true, unit }) })
}
