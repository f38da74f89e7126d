/**
 * The Thrift structures of the Parquet format: the generated classes of @dsnp/parquetjs, written
 * by our own compact protocol (theirs allocates a Buffer per byte and patches PageLocation).
 */
import type Int64 from 'node-int64'
import {
  JsonType,
  ListType,
  LogicalType,
  MicroSeconds,
  StringType,
  TimestampType,
  TimeUnit,
} from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js'
import { CompactProtocol } from './compact-protocol.ts'

export {
  BloomFilterAlgorithm,
  BloomFilterCompression,
  BloomFilterHash,
  BloomFilterHeader,
  BoundaryOrder,
  ColumnChunk,
  ColumnIndex,
  ColumnMetaData,
  ColumnOrder,
  CompressionCodec,
  ConvertedType,
  DataPageHeader,
  DictionaryPageHeader,
  Encoding,
  FieldRepetitionType,
  FileMetaData,
  KeyValue,
  OffsetIndex,
  PageEncodingStats,
  PageHeader,
  PageLocation,
  PageType,
  RowGroup,
  SchemaElement,
  SortingColumn as ThriftSortingColumn,
  SplitBlockAlgorithm,
  Statistics,
  Type,
  TypeDefinedOrder,
  Uncompressed,
  XxHash,
} from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js'

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
