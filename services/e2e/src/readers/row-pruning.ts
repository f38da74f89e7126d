/** How many rows a reader must decode for a query when it believes the page indexes of a file. */
import type { FileIndexes, PageIndex } from './page-indexes.ts'

/** A value's place in the order of its column: bytes for text, numbers for times. */
export interface Range {
  readonly column: string
  /** Whether a page with these bounds may hold a row of the range. */
  readonly overlaps: (min: string, max: string) => boolean
}

export interface Pruned {
  readonly rowGroups: number
  readonly rowGroupsRead: number
  readonly rows: number
  readonly rowsRead: number
}

/** A row is read when its page may match in every column that the query constrains. */
export function prune({ metadata, indexes }: FileIndexes, ranges: readonly Range[]): Pruned {
  let rowGroupsRead = 0
  let rowsRead = 0
  metadata.row_groups.forEach((group, groupIndex) => {
    const rows = Number(group.num_rows)
    const isRead = new Uint8Array(rows).fill(1)
    for (const { column, overlaps } of ranges) {
      const position = group.columns.findIndex(
        ({ meta_data }) => meta_data!.path_in_schema.join('.') === column,
      )
      skipPages(indexes[groupIndex]![position]!, rows, isRead, overlaps)
    }
    const read = isRead.reduce((sum, flag) => sum + flag, 0)
    rowsRead += read
    if (read > 0) rowGroupsRead++
  })
  return {
    rowGroups: metadata.row_groups.length,
    rowGroupsRead,
    rows: Number(metadata.num_rows),
    rowsRead,
  }
}

function skipPages(
  index: PageIndex,
  rows: number,
  isRead: Uint8Array,
  overlaps: Range['overlaps'],
): void {
  index.firstRows.forEach((start, page) => {
    if (!index.nullPages[page] && overlaps(index.mins[page]!, index.maxs[page]!)) return
    isRead.fill(0, start, index.firstRows[page + 1] ?? rows)
  })
}

export function textEquals(column: string, text: string): Range {
  // hex keeps the order of bytes
  const wanted = Buffer.from(text).toString('hex')
  return { column, overlaps: (min, max) => min <= wanted && wanted <= max }
}

/** Microseconds since 1970, the end excluded. */
export function microsBetween(column: string, start: bigint, end: bigint): Range {
  const micros = (hex: string): bigint => Buffer.from(hex, 'hex').readBigInt64LE()
  return { column, overlaps: (min, max) => micros(min) < end && start <= micros(max) }
}
