/**
 * The first rows of a batch as any Arrow reader sees them: apache-arrow opens the stream, not our
 * own reader, so what the two say can be held against each other.
 */
import { tableFromIPC } from 'apache-arrow'

/** Enough to recognise a batch by. */
const ROWS_MAX = 3
const CELL_LENGTH_MAX = 160

/** A paragraph per row with its values that are not null; '' for an empty batch. */
export function firstRowsText(stream: Uint8Array): string {
  const table = tableFromIPC(stream)
  const rows: string[] = []
  for (let row = 0; row < Math.min(ROWS_MAX, table.numRows); row++) {
    const cells = table.schema.fields.flatMap(({ name }, column) => {
      const value: unknown = table.getChildAt(column)?.get(row)
      return value === null || value === undefined ? [] : [`  ${name}: ${cellText(value)}\n`]
    })
    rows.push(`Row ${String(row)}\n${cells.join('')}`)
  }
  return rows.join('\n')
}

/** Binary as hex, since it is ids and nested protobuf; lists by their elements. */
function cellText(value: unknown): string {
  const text =
    value instanceof Uint8Array
      ? Buffer.from(value).toString('hex')
      : typeof value === 'string'
        ? JSON.stringify(value)
        : String(value)
  return text.length > CELL_LENGTH_MAX ? `${text.slice(0, CELL_LENGTH_MAX)}...` : text
}
