/** No cell of a query's answer is wider: the rest is a query with fewer columns away. */
const CELL_WIDTH_MAX = 60
const GAP = '  '

export interface TableText {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Numbers are set to the right. */
  readonly isNumeric: readonly boolean[]
  /** Default 60 characters. */
  readonly cellWidthMax?: number
}

/**
 * A table for a terminal: names, a rule, rows. Cells are cut at `cellWidthMax` and lines at
 * `lineWidthMax`, both with an ellipsis; control characters are shown as escapes.
 */
export function tableText(table: TableText, lineWidthMax = Infinity): string {
  const { cellWidthMax = CELL_WIDTH_MAX } = table
  const cells = [table.columns, ...table.rows].map((row) =>
    row.map((text) => cellText(text, cellWidthMax)),
  )
  const widths = table.columns.map((_, column) =>
    Math.max(1, ...cells.map((row) => displayWidth(row[column] ?? ''))),
  )
  const lines = cells.map((row) =>
    row
      .map((cell, column) => {
        const padding = ' '.repeat((widths[column] ?? 0) - displayWidth(cell))
        return table.isNumeric[column] === true ? padding + cell : cell + padding
      })
      .join(GAP)
      .trimEnd(),
  )
  const rule = widths.map((width) => '─'.repeat(width)).join(GAP)
  const [head = '', ...body] = lines
  return [head, rule, ...body].map((line) => `${cut(line, lineWidthMax)}\n`).join('')
}

function cellText(text: string, widthMax: number): string {
  // they would move the terminal's cursor
  const shown = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (control) =>
    JSON.stringify(control).slice(1, -1),
  )
  return cut(shown, widthMax)
}

function cut(text: string, widthMax: number): string {
  if (displayWidth(text) <= widthMax) return text
  let kept = ''
  let width = 0
  for (const character of text) {
    width += characterWidth(character)
    if (width > widthMax - 1) break
    kept += character
  }
  return `${kept}…`
}

function displayWidth(text: string): number {
  let width = 0
  for (const character of text) width += characterWidth(character)
  return width
}

/** Columns of a terminal that a character takes: two for East Asian wide ones and emoji. */
function characterWidth(character: string): number {
  if (/\p{Mark}|\u200d|\ufe0f/u.test(character)) return 0
  return /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
    character,
  )
    ? 2
    : 1
}
