import type { ByteSink } from './byte-sink.ts'
import type { ColumnMetaData } from './thrift.ts'

/** The distinct values of a chunk, or at least all of its values, as their PLAIN bytes. */
export interface BloomInput {
  readonly data: Uint8Array
  /** count + 1 positions; undefined where every value is `width` bytes. */
  readonly offsets: Int32Array | undefined
  readonly width: number
  readonly count: number
}

export class BloomFilterWriter {
  constructor(input: BloomInput, metaData: ColumnMetaData) {
    void input
    void metaData
  }

  write(sink: ByteSink): void {
    void sink
  }
}
