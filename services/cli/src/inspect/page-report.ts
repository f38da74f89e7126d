/** The pages of a Parquet file as its own page indexes tell of them: what a reader may skip by. */
import { open } from 'node:fs/promises'

import { readPageIndexes } from '@tributary/common/verify/parquet-footer'
import type { IndexedColumn } from '@tributary/common/verify/parquet-footer'

import { sectionText, sizeText } from './report-text.ts'

/** Bounds are cut at 64 bytes in the file already. */
const BOUND_CHARACTERS_MAX = 40
const PhysicalType = { boolean: 0, int32: 1, int64: 2, double: 5 } as const

/** The columns of each row group, in the order of the file. */
export async function readPages(path: string): Promise<IndexedColumn[][]> {
  const handle = await open(path)
  try {
    const { size } = await handle.stat()
    const groups: IndexedColumn[][] = []
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset)
      return buffer.subarray(0, bytesRead)
    }
    for await (const column of readPageIndexes(size, read)) {
      const group = (groups[column.group] ??= [])
      group.push(column)
    }
    return groups
  } finally {
    await handle.close()
  }
}

/** A line per page. `timeColumns`: those whose bounds are microseconds since 1970. */
export function pagesText(
  title: string,
  columns: readonly IndexedColumn[],
  timeColumns: ReadonlySet<string>,
): string {
  const rows = columns.flatMap(({ path, physicalType, pages = [] }) => {
    const bound = (bytes: Uint8Array | undefined): string =>
      bytes === undefined ? '' : boundText(Buffer.from(bytes), physicalType, timeColumns.has(path))
    return pages.map(({ firstRow, rows: count, bytes, nulls, min, max }, page) => [
      page === 0 ? path : '',
      String(firstRow),
      String(count),
      sizeText(bytes),
      nulls === undefined ? '?' : String(nulls),
      bound(min),
      bound(max),
    ])
  })
  return sectionText(title, ['column', 'first row', 'rows', 'stored', 'nulls', 'min', 'max'], rows)
}

/** A bound that has not the size of its type is shown as bytes: the file is not ours, or damaged. */
function boundText(bytes: Buffer, physicalType: number, isTime: boolean): string {
  if (physicalType === PhysicalType.boolean && bytes.length === 1) return String(bytes[0] === 1)
  if (physicalType === PhysicalType.int32 && bytes.length === 4) return String(bytes.readInt32LE())
  if (physicalType === PhysicalType.double && bytes.length === 8)
    return String(bytes.readDoubleLE())
  if (physicalType === PhysicalType.int64 && bytes.length === 8) {
    const value = bytes.readBigInt64LE()
    return isTime ? microsText(value) : String(value)
  }
  const text = bytes.toString()
  const isText = Buffer.from(text).equals(bytes) && !/\p{Cc}/u.test(text)
  const shown = isText ? text : `0x${bytes.toString('hex')}`
  const characters = [...shown]
  return characters.length > BOUND_CHARACTERS_MAX
    ? `${characters.slice(0, BOUND_CHARACTERS_MAX).join('')}…`
    : shown
}

function microsText(micros: bigint): string {
  const millis = micros >= 0n ? micros / 1000n : (micros - 999n) / 1000n
  const date = new Date(Number(millis))
  if (Number.isNaN(date.getTime())) return `${micros} us since 1970`
  const below = String(micros - millis * 1000n).padStart(3, '0')
  return date.toISOString().replace('Z', `${below}Z`)
}
