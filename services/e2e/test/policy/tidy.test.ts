/** What a reviewer should not have to say twice. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'

import ts from 'typescript'

import { filesEndingWith, isTestCode, nodesOf, parse, placeOf, ROOT } from './source-tree.ts'
import type { SourceFile } from './source-tree.ts'

const FILE_LINES_MAX = 500
const FUNCTION_LINES_MAX = 70
/** Files with one longer function, and why it is one. */
const LONG_FUNCTIONS: Readonly<Record<string, string>> = {
  'services/common/src/otlp/log-decoder.ts':
    'one switch on the tag byte: its parts would hand fifteen numbers to each other for every record',
}
/** services/<name>/src/<folder>/<folder>/<file>: the tree stays readable at a glance. */
const FOLDERS_DEEP_MAX = 2

/** File names that say nothing, and what to call the file instead. */
const BANNED_FILE_NAMES: Readonly<Record<string, string>> = {
  utils: 'the noun that the functions are about',
  util: 'the noun that the functions are about',
  helpers: 'the noun that the functions are about',
  helper: 'the noun that the functions are about',
  misc: 'one file per concept',
  common: 'one file per concept',
  types: 'types stand beside the code that makes the values',
  index: 'import the file itself',
}

// Spelt in halves so that this file does not contain them.
const BANNED_WORDS: Readonly<Record<string, string>> = {
  ['TO' + 'DO']: 'finish it or open an issue',
  ['FIX' + 'ME']: 'finish it or open an issue',
  ['X' + 'XX']: 'say what is wrong',
  ['HA' + 'CK']: 'say why it must be so',
}

/** Places of one machine, which mean nothing on another. */
const MACHINE_PATHS = /(?<![\w.])\/(?:work|farm|root|Users)\/(?!\*)|\/home\/[a-z]+\//

const code = filesEndingWith('.ts', '.mjs', '.js')
const typescript = filesEndingWith('.ts')
const sources = typescript.filter(({ path }) => /^services\/[^/]+\/src\//.test(path))
const markdown = filesEndingWith('.md')

describe('tidy', () => {
  it('names files in kebab-case after their noun', () => {
    const problems = code.flatMap(({ path }) => {
      const name = path.split('/').at(-1) ?? ''
      const stem = name.replace(
        /(\.(test|int\.test|fuzz\.test|kubernetes|bench|config))?\.(ts|mjs|js)$/,
        '',
      )
      const better = BANNED_FILE_NAMES[stem]
      if (better !== undefined) return [`${path}: name it after ${better}`]
      return /^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem) ? [] : [`${path}: not kebab-case`]
    })
    assert.deepEqual(problems, [])
  })

  it('keeps folders shallow', () => {
    const problems = sources
      .filter(({ path }) => path.split('/').length - 4 > FOLDERS_DEEP_MAX)
      .map(({ path }) => path)
    assert.deepEqual(problems, [])
  })

  it(`keeps files at ${FILE_LINES_MAX} lines`, () => {
    const problems = code
      .map((file) => ({ path: file.path, lines: file.text.trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > FILE_LINES_MAX)
      .map(({ path, lines }) => `${path} has ${lines} lines`)
    assert.deepEqual(problems, [])
  })

  it(`keeps functions at ${FUNCTION_LINES_MAX} lines`, () => {
    const long = sources.map((file) => ({ path: file.path, functions: [...longFunctions(file)] }))
    const problems = long.filter(({ path }) => LONG_FUNCTIONS[path] === undefined)
    assert.deepEqual(
      problems.flatMap(({ functions }) => functions),
      [],
    )
    const excused = long.filter(({ functions }) => functions.length === 1).map(({ path }) => path)
    assert.deepEqual(excused, Object.keys(LONG_FUNCTIONS), 'an excuse that nothing needs')
  })

  it('has no word that postpones work', () => {
    const words = Object.keys(BANNED_WORDS)
    const pattern = new RegExp(`\\b(${words.join('|')})\\b`)
    const problems = [...code, ...markdown, ...filesEndingWith('.proto', '.yml', '/run')].flatMap(
      (file) => matchingLines(file, pattern).map((place) => `${place}: ${adviceFor(place)}`),
    )
    assert.deepEqual(problems, [])
  })

  it('names no place of one machine', () => {
    const problems = filesEndingWith('').flatMap((file) => matchingLines(file, MACHINE_PATHS))
    assert.deepEqual(
      problems.filter((place) => !place.startsWith('services/e2e/test/policy/tidy.test.ts')),
      [],
    )
  })

  it('reads the environment only in files named config.ts', () => {
    const problems = sources
      .filter(({ path }) => !path.endsWith('/config.ts'))
      .filter(({ path }) => !isTestCode(path))
      .flatMap((file) => [...placesOf(file, isEnvironmentAccess)])
    assert.deepEqual(problems, [])
  })

  it('writes to the console only in the command line tool', () => {
    const problems = sources
      .filter(({ path }) => !path.startsWith('services/cli/') && !isTestCode(path))
      .flatMap((file) => [...placesOf(file, (node) => isProperty(node, 'console'))])
    assert.deepEqual(problems, [])
  })

  it('skips no test', () => {
    const problems = typescript
      .filter(({ path }) => path.endsWith('.test.ts'))
      .flatMap((file) => [...placesOf(file, isSkip)])
    assert.deepEqual(problems, [])
  })

  it('gives every test file a mirrored source, or a place in e2e', () => {
    const paths = new Set(sources.map(({ path }) => path))
    const folders = new Set(sources.map(({ path }) => dirname(path)))
    const problems = typescript
      .filter(({ path }) => /^services\/(?!e2e)[^/]+\/test\/.*\.test\.ts$/.test(path))
      .filter(({ path }) => {
        const mirrored = path
          .replace('/test/', '/src/')
          .replace(/(\.fuzz|\.int)?\.test\.ts$/, '.ts')
        return !paths.has(mirrored) && !folders.has(dirname(mirrored))
      })
      .map(({ path }) => path)
    assert.deepEqual(problems, [])
  })

  it('gives every markdown file one title', () => {
    const problems = markdown.flatMap((file) => {
      const titles = withoutFences(file.text).filter((line) => /^# /.test(line))
      return titles.length === 1 ? [] : [`${file.path} has ${titles.length} titles`]
    })
    assert.deepEqual(problems, [])
  })

  it('links only to files that exist', () => {
    const problems = markdown.flatMap((file) =>
      [
        ...withoutFences(file.text)
          .join('\n')
          .matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g),
      ]
        .map((match) => match[1] ?? '')
        .filter((link) => !/^[a-z]+:/.test(link))
        .filter((link) => !existsSync(join(ROOT, dirname(file.path), link)))
        .map((link) => `${file.path} links to ${link}`),
    )
    assert.deepEqual(problems, [])
  })
})

function adviceFor(place: string): string {
  return Object.entries(BANNED_WORDS).find(([word]) => place.includes(word))?.[1] ?? ''
}

function matchingLines(file: SourceFile, pattern: RegExp): string[] {
  return file.text
    .split('\n')
    .flatMap((line, index) =>
      pattern.test(line) ? [`${file.path}:${index + 1} ${line.trim().slice(0, 80)}`] : [],
    )
}

function withoutFences(text: string): string[] {
  let isFenced = false
  return text.split('\n').filter((line) => {
    const isFence = /^\s*(```|~~~)/.test(line)
    if (isFence) isFenced = !isFenced
    return !isFenced && !isFence
  })
}

function* longFunctions(file: SourceFile): Generator<string> {
  const tree = parse(file)
  for (const node of nodesOf(tree)) {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) continue
    const first = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line
    const lines = tree.getLineAndCharacterOfPosition(node.getEnd()).line - first + 1
    if (lines > FUNCTION_LINES_MAX) yield `${placeOf(file, node)} is ${lines} lines long`
  }
}

function* placesOf(file: SourceFile, isMatch: (node: ts.Node) => boolean): Generator<string> {
  for (const node of nodesOf(parse(file))) if (isMatch(node)) yield placeOf(file, node)
}

function isProperty(node: ts.Node, object: string, property?: string): boolean {
  return (
    ts.isPropertyAccessExpression(node) &&
    ts.isIdentifier(node.expression) &&
    node.expression.text === object &&
    (property === undefined || node.name.text === property)
  )
}

/** `process.env`, or `env` imported from node:process. */
function isEnvironmentAccess(node: ts.Node): boolean {
  if (isProperty(node, 'process', 'env')) return true
  return (
    ts.isImportSpecifier(node) &&
    (node.propertyName ?? node.name).text === 'env' &&
    /['"](node:)?process['"]/.test(node.parent.parent.parent.getText())
  )
}

/** The words skip, only and todo, called on a test or a context or given as an option. */
function isSkip(node: ts.Node): boolean {
  const words = ['skip', 'only', 'todo']
  if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name)) {
    const call = node.parent.parent
    const isTest =
      ts.isCallExpression(call) && /^(it|test|describe|suite)$/.test(call.expression.getText())
    return isTest && words.includes(node.name.text)
  }
  return ['it', 'test', 'describe', 'suite', 't', 'context'].some((name) =>
    words.some((word) => isProperty(node, name, word)),
  )
}
