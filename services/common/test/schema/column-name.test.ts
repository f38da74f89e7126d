import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'

import {
  ATTRIBUTE_TYPES,
  NAMESPACES,
  foldKey,
  formatColumnName,
  parseColumnName,
} from '../../src/schema/column-name.ts'
import type { ColumnName } from '../../src/schema/column-name.ts'

const plain = (key: string): ColumnName => ({
  namespace: 'attributes',
  key,
  ordinal: 1,
  type: undefined,
})

/** Keys made of what the escape is about, and any text at all. */
const keys = fc.oneof(
  fc
    .array(
      fc.constantFrom(
        ...[
          '@',
          '@@',
          '_',
          'a',
          'A',
          'x',
          '0',
          '@x0041',
          '@2',
          '@string',
          '@empty',
          '.',
          '\0',
          '\u0085',
        ],
        ...['\ud800', '\udc00', '😀', 'İ', 'ı', 'ß', '%', ' ', '"', "'", '`', '\n', 'é', 'e\u0301'],
      ),
      { maxLength: 6 },
    )
    .map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ maxLength: 20 }),
)
const names = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  key: keys,
  ordinal: fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 9_999_999 })),
  type: fc.option(fc.constantFrom(...ATTRIBUTE_TYPES), { nil: undefined }),
})

describe('column name', () => {
  it('is the key as sent, after its namespace', () => {
    for (const key of [
      'http.method',
      'Content-Type',
      'a b',
      'ключ',
      '😀',
      'a_b',
      '%41',
      '"',
      'a.',
    ]) {
      assert.equal(formatColumnName(plain(key)), `attributes.${key}`)
    }
  })

  it('escapes what would collide', () => {
    const cases: [string, string][] = [
      ['user@host', 'attributes.user@@host'],
      ['code@string', 'attributes.code@@string'],
      ['_overflow', 'attributes.@_overflow'],
      ['', 'attributes.@empty'],
      ['@empty', 'attributes.@@empty'],
      ['a\0b', 'attributes.a@x0000b'],
      ['tab\t', 'attributes.tab@x0009'],
      ['\u009f', 'attributes.@x009f'],
      ['\ud800', 'attributes.@xd800'],
      ['@x0041', 'attributes.@@x0041'],
    ]
    for (const [key, column] of cases) assert.equal(formatColumnName(plain(key)), column)
    const sibling = { ...plain('Code'), ordinal: 2, type: 'any' } as const
    assert.equal(formatColumnName(sibling), 'attributes.Code@2@json')
  })

  it('reads back as what it was made of, whatever the key', () => {
    fc.assert(
      fc.property(names, (name) => {
        assert.deepEqual(parseColumnName(formatColumnName(name)), { ...name })
      }),
      { numRuns: 3000 },
    )
  })

  it('is the only name of what it reads as', () => {
    const columns = fc.oneof(
      keys.map((key) => `attributes.${key}`),
      fc.tuple(keys, keys).map(([a, b]) => `${a}.${b}`),
      keys,
    )
    fc.assert(
      fc.property(columns, (column) => {
        const name = parseColumnName(column)
        if (name !== undefined) assert.equal(formatColumnName(name), column)
      }),
      { numRuns: 3000 },
    )
  })

  it('is well-formed Unicode without control characters', () => {
    fc.assert(
      fc.property(names, (name) => {
        const column = formatColumnName(name)
        assert.ok(column.isWellFormed())
        for (const character of column) {
          const code = character.codePointAt(0)!
          assert.ok(code >= 0x20 && !(code >= 0x7f && code <= 0x9f), column)
        }
      }),
    )
  })
})

describe('foldKey', () => {
  it('is equal for any two characters that a mapping of case makes equal', () => {
    for (let code = 0; code < 0x1_0000; code++) {
      if (code >= 0xd800 && code < 0xe000) continue
      const character = String.fromCharCode(code)
      const folded = foldKey(character)
      assert.equal(foldKey(character.toLowerCase()), folded, code.toString(16))
      assert.equal(foldKey(character.toUpperCase()), folded, code.toString(16))
      assert.equal(foldKey(folded), folded, code.toString(16))
    }
    // Java compares the capital I with a dot with i, and the dotless i with I
    for (const key of ['i', 'I', 'İ', 'ı']) assert.equal(foldKey(key), 'i')
    assert.equal(foldKey('ΟΔΟΣ'), foldKey('οδος'))
    assert.notEqual(foldKey('a'), foldKey('b'))
  })
})
