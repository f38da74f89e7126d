/**
 * The Parquet writers that JavaScript has, each fed with what it wants: plain values by column, an
 * Arrow stream, or rows. Development dependencies: nothing of the product writes through them.
 */
import { constants, zstdCompressSync } from 'node:zlib'
import { ParquetSchema, ParquetWriter } from '@dsnp/parquetjs'
import * as arrow from 'apache-arrow'
import { parquetWriteBuffer } from 'hyparquet-writer'
import * as rust from 'parquet-wasm'

export type RivalType = 'boolean' | 'int32' | 'int64' | 'double' | 'text' | 'dictionary'

export interface RivalColumn {
  readonly name: string
  /** `dictionary` is text of few distinct values, where a writer makes a difference. */
  readonly type: RivalType
  readonly rows: readonly (string | number | bigint | boolean | null)[]
}

function arrowType(type: RivalType): arrow.DataType {
  switch (type) {
    case 'int32':
      return new arrow.Int32()
    case 'int64':
      return new arrow.Int64()
    case 'double':
      return new arrow.Float64()
    case 'boolean':
      return new arrow.Bool()
    case 'text':
      return new arrow.Utf8()
    case 'dictionary':
      return new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32())
  }
}

/** The columns as an Arrow stream, built by apache-arrow. */
export function arrowStream(columns: readonly RivalColumn[]): Uint8Array {
  const vectors = columns.map(({ name, type, rows }) => [
    name,
    arrow.vectorFromArray(rows as unknown[], arrowType(type)),
  ])
  return arrow.tableToIPC(
    new arrow.Table(Object.fromEntries(vectors) as Record<string, arrow.Vector>),
    'stream',
  )
}

/** arrow-rs in WebAssembly. */
export function encodeRust(stream: Uint8Array, rows: number): Uint8Array {
  const properties = new rust.WriterPropertiesBuilder()
    .setCompression(rust.Compression.ZSTD)
    .setMaxRowGroupSize(rows)
    .build()
  return rust.writeParquet(rust.Table.fromIPCStream(stream), properties)
}

const HYPARQUET_TYPES = {
  boolean: 'BOOLEAN',
  int32: 'INT32',
  int64: 'INT64',
  double: 'DOUBLE',
  text: 'STRING',
  dictionary: 'STRING',
} as const

/** hyparquet-writer with Node's zstd at level 1, or with its own snappy. */
export function encodeHyparquet(
  columns: readonly RivalColumn[],
  rows: number,
  codec: 'zstd' | 'snappy',
): Uint8Array {
  const params = { [constants.ZSTD_c_compressionLevel]: 1 }
  const compressors = { ZSTD: (bytes: Uint8Array) => zstdCompressSync(bytes, { params }) }
  return new Uint8Array(
    parquetWriteBuffer({
      columnData: columns.map(({ name, type, rows: data }) => ({
        name,
        data: data as unknown[],
        type: HYPARQUET_TYPES[type],
        nullable: true,
      })),
      rowGroupSize: rows,
      ...(codec === 'zstd' ? { codec: 'ZSTD' as const, compressors } : {}),
    }),
  )
}

const PARQUETJS_TYPES = {
  boolean: 'BOOLEAN',
  int32: 'INT32',
  int64: 'INT64',
  double: 'DOUBLE',
  text: 'UTF8',
  dictionary: 'UTF8',
} as const

/** @dsnp/parquetjs with snappy, the best that it has; a dot in a name would be a path to it. */
export async function encodeParquetjs(
  columns: readonly RivalColumn[],
  rows: number,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  const stream = {
    write: (bytes: Uint8Array, callback: (error?: Error | null) => void) => {
      parts.push(bytes)
      callback()
    },
    end: (callback: (error?: Error | null) => void) => callback(),
  } as unknown as Parameters<typeof ParquetWriter.openStream>[1]
  const names = columns.map(({ name }) => name.replaceAll('.', '_'))
  const schema = new ParquetSchema(
    Object.fromEntries(
      columns.map(({ type }, i) => [
        names[i]!,
        { type: PARQUETJS_TYPES[type], optional: true, compression: 'SNAPPY' as const },
      ]),
    ),
  )
  const writer = await ParquetWriter.openStream(schema, stream)
  writer.setRowGroupSize(rows)
  for (let row = 0; row < rows; row++) {
    const values: Record<string, unknown> = {}
    for (const [i, name] of names.entries()) values[name] = columns[i]!.rows[row] ?? undefined
    await writer.appendRow(values)
  }
  await writer.close()
  return Buffer.concat(parts)
}

export type RustCodec = 'none' | 'snappy' | 'gzip' | 'lz4' | 'zstd'

const RUST_CODECS = {
  none: 'UNCOMPRESSED',
  snappy: 'SNAPPY',
  gzip: 'GZIP',
  lz4: 'LZ4_RAW',
  zstd: 'ZSTD',
} as const

/** Reads a Parquet file once; the result writes its rows again with arrow-rs and a codec. */
export function rustReencoder(file: Uint8Array): (codec: RustCodec) => Uint8Array {
  const stream = rust.readParquet(file).intoIPCStream()
  return (codec) => {
    const properties = new rust.WriterPropertiesBuilder()
      .setCompression(rust.Compression[RUST_CODECS[codec]])
      .setMaxRowGroupSize(131_072)
      .build()
    return rust.writeParquet(rust.Table.fromIPCStream(stream), properties)
  }
}
