import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { tableText } from '../../src/query/table-text.ts'

describe('tableText', () => {
  it('aligns text to the left, numbers to the right, and wide characters by their width', () => {
    const table = {
      columns: ['name', 'n'],
      rows: [
        ['日本', '1'],
        ['ab', '200'],
      ],
      isNumeric: [false, true],
    }
    assert.equal(tableText(table), 'name    n\n────  ───\n日本    1\nab    200\n')
  })

  it('shows control characters instead of obeying them', () => {
    const table = { columns: ['x'], rows: [['a\u001b[2J\nb']], isNumeric: [false] }
    assert.ok(!tableText(table).includes('\u001b'))
    assert.match(tableText(table), /a\\u001b\[2J\\nb/)
  })

  it('cuts long cells and long lines', () => {
    const table = {
      columns: ['x', 'y'],
      rows: [['a'.repeat(100), 'b'.repeat(50)]],
      isNumeric: [false, false],
    }
    const lines = tableText(table, 80).trimEnd().split('\n')
    assert.ok(lines.every((line) => [...line].length <= 80))
    assert.match(lines[2] ?? '', /^a{59}… {2}b{17}…$/)
  })

  it('shows names when there are no rows', () => {
    assert.equal(tableText({ columns: ['a'], rows: [], isNumeric: [false] }), 'a\n─\n')
  })
})
