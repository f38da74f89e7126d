/** What ARCHITECTURE.md calls by name is there: a reader follows it from file to file. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { filesEndingWith, readText, type SourceFile } from './source-tree.ts'

const text = readText('ARCHITECTURE.md')
const sources = filesEndingWith('.ts', '.mjs')

/** The words in backticks, without patterns. */
function named(pattern: RegExp): string[] {
  const words = [...text.matchAll(/`([^`\n]+)`/g)].map(([, word]) => word!)
  return [...new Set(words.filter((word) => pattern.test(word) && !word.includes('*')))]
}

function withPath(end: string): SourceFile[] {
  return sources.filter(({ path }) => path === end || path.endsWith(`/${end}`))
}

describe('the tour of ARCHITECTURE.md', () => {
  it('names files that exist', () => {
    const names = named(/^[\w./-]+\.ts$/)
    assert.ok(names.length > 100)
    assert.deepEqual(
      names.filter((name) => withPath(name).length === 0),
      [],
    )
  })

  it('names members that their classes have', () => {
    const names = named(/^[A-Z]\w+\.[a-z]\w+$/).filter((name) => !name.endsWith('.md'))
    assert.ok(names.length > 5)
    const missing = names.filter((name) => {
      const [type, member] = name.split('.') as [string, string]
      const declaration = new RegExp(`^export (abstract )?class ${type}\\b`, 'm')
      const classes = sources.filter((source) => declaration.test(source.text))
      return !classes.some((source) => new RegExp(`\\b${member}\\b`).test(source.text))
    })
    assert.deepEqual(missing, [])
  })

  it('names functions that stand in the file named with them', () => {
    const pairs = [...text.matchAll(/`(\w+)` in `([\w./-]+\.ts)`/g)]
    assert.ok(pairs.length > 3)
    const missing = pairs.filter(
      ([, name, path]) => !withPath(path!).some((found) => found.text.includes(name!)),
    )
    assert.deepEqual(
      missing.map(([whole]) => whole),
      [],
    )
  })
})
