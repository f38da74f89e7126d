import type { LeafColumn, ListColumn } from './column-values.ts'
import type { Field } from './schema.ts'

export type Compression = 'zstd' | 'gzip' | 'brotli' | 'none'

export interface SortingColumn {
  readonly column: string
  readonly descending: boolean
  readonly nullsFirst: boolean
}

export interface ParquetFileOptions {
  readonly fields: readonly Field[]
  readonly sink: (bytes: Uint8Array) => void
  readonly sortingColumns: readonly SortingColumn[]
  readonly createdBy: string
  readonly compression?: Compression
  readonly zstdLevel?: number
  readonly pageRowsMax?: number
  readonly pageBytesMax?: number
}

export interface ParquetFileSummary {
  readonly rows: number
  readonly bytes: number
  readonly rowGroups: number
}

export class ParquetFileWriter {
  constructor(options: ParquetFileOptions) {
    void options
  }

  startRowGroup(rowCount: number): void {
    void rowCount
  }

  writeColumn(index: number, column: LeafColumn | ListColumn): void {
    void index
    void column
  }

  finishRowGroup(): void {
    throw new Error('not built yet')
  }

  finish(keyValues: readonly (readonly [string, string])[]): ParquetFileSummary {
    void keyValues
    throw new Error('not built yet')
  }
}
