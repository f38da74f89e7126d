/** Sample tables written to bytes or to files that live as long as the test process. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ParquetFileWriter, type ParquetFileOptions } from '../../src/parquet/file-writer.ts'
import { buildColumn, type SampleColumn } from './column-builder.ts'

export interface SampleFile {
  readonly columns: readonly SampleColumn[]
  /** Rows of each row group but the last; default: one row group. */
  readonly rowGroupRows?: number
  readonly options?: Partial<ParquetFileOptions>
  readonly keyValues?: readonly (readonly [string, string])[]
}

export function writeSample(sample: SampleFile): Uint8Array {
  const parts: Uint8Array[] = []
  const writer = new ParquetFileWriter({
    fields: sample.columns.map((column) => column.field),
    sink: (bytes) => parts.push(bytes),
    sortingColumns: [],
    createdBy: 'tributary test',
    ...sample.options,
  })
  const rows = sample.columns[0]?.rows.length ?? 0
  const step = Math.max(1, sample.rowGroupRows ?? rows)
  for (let from = 0; from < rows; from += step) {
    const to = Math.min(rows, from + step)
    writer.startRowGroup(to - from)
    for (const [i, column] of sample.columns.entries()) {
      writer.writeColumn(i, buildColumn(column, from, to))
    }
    writer.finishRowGroup()
  }
  writer.finish(sample.keyValues ?? [])
  return new Uint8Array(Buffer.concat(parts))
}

let folder: string | undefined

/** A path below a folder that is removed at exit. */
export function samplePath(name: string): string {
  if (folder === undefined) {
    const created = mkdtempSync(join(tmpdir(), 'tributary-parquet-'))
    process.once('exit', () => rmSync(created, { recursive: true, force: true }))
    folder = created
  }
  return join(folder, name)
}

export function writeSampleFile(name: string, sample: SampleFile): string {
  const path = samplePath(name)
  writeFileSync(path, writeSample(sample))
  return path
}
