/** Imports point one way: from the services to common, and inside common from the outside inwards. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { filesEndingWith, importsOf, isTestCode } from './source-tree.ts'
import type { SourceFile } from './source-tree.ts'

/**
 * Which services the source of a service may import: standalone and cli only wire, and `inspect` reads
 * WAL segments with the reader of the ingester. e2e and tests may import all.
 */
const ALLOWED_SERVICES: Readonly<Record<string, readonly string[]>> = {
  common: [],
  router: ['common'],
  ingester: ['common'],
  controller: ['common'],
  standalone: ['common', 'router', 'ingester'],
  cli: ['common', 'router', 'ingester', 'controller', 'standalone'],
  e2e: ['common', 'router', 'ingester', 'controller', 'standalone', 'cli'],
}

/**
 * The folders of common from the inside out: each may import itself and those before it. The files
 * at its root and config/ are one innermost layer, `base`.
 */
const COMMON_ORDER = [
  'base',
  'log',
  'metadata',
  'object-store',
  'routing',
  'tenants',
  'columnar',
  'commit',
  'catalogue',
  'schema',
  'otlp',
  'parquet',
  'verify',
  'replay',
  'local-servers',
  'testing',
]

const sources = filesEndingWith('.ts').filter((file) => /^services\/[^/]+\/src\//.test(file.path))

/** The service, or the folder beside services/. */
function serviceOf(path: string): string {
  const [top = '', service = ''] = path.split('/')
  return top === 'services' ? service : top
}

function commonFolderOf(path: string): string {
  const [, , , folder, rest] = path.split('/')
  return rest === undefined || folder === 'config' ? 'base' : (folder ?? 'base')
}

describe('layers', () => {
  it('has sources to look at', () => {
    assert.ok(sources.length > 10)
  })

  it('imports only services that the layer allows', () => {
    const problems = sources.flatMap((file) =>
      importsOf(file)
        .filter(({ target }) => target !== undefined && serviceOf(target) !== serviceOf(file.path))
        .filter(({ target }) => {
          const allowed = ALLOWED_SERVICES[serviceOf(file.path)] ?? []
          return !allowed.includes(serviceOf(target ?? ''))
        })
        .map(({ specifier }) => `${file.path} must not import ${specifier}`),
    )
    assert.deepEqual(problems, [])
  })

  it('crosses packages by name, never by a relative path', () => {
    const problems = filesEndingWith('.ts').flatMap((file) =>
      importsOf(file)
        .filter(({ specifier }) => specifier.startsWith('.'))
        .filter(({ target }) => serviceOf(target ?? '') !== serviceOf(file.path))
        .map(({ specifier }) => `${file.path} imports ${specifier}: use @tributary/...`),
    )
    assert.deepEqual(problems, [])
  })

  it('keeps test code out of what runs in production', () => {
    const problems = sources
      .filter(({ path }) => !isTestCode(path))
      .flatMap((file) =>
        importsOf(file)
          .filter(({ target }) => /\/(test|bench|testing)\//.test(target ?? ''))
          .map(({ specifier }) => `${file.path} must not import ${specifier}`),
      )
    assert.deepEqual(problems, [])
  })

  it('orders the folders of common', () => {
    const problems = sources
      .filter(({ path }) => serviceOf(path) === 'common')
      .flatMap((file) => [...misorderedImports(file)])
    assert.deepEqual(problems, [])
  })

  it('has no import cycle', () => {
    assert.deepEqual(findCycle(), [])
  })
})

function* misorderedImports(file: SourceFile): Generator<string> {
  const rank = COMMON_ORDER.indexOf(commonFolderOf(file.path))
  if (rank === -1) {
    yield `${file.path} is in a folder without a place in COMMON_ORDER`
    return
  }
  for (const { target, specifier } of importsOf(file)) {
    if (target === undefined || serviceOf(target) !== 'common') continue
    if (COMMON_ORDER.indexOf(commonFolderOf(target)) > rank) {
      yield `${file.path} must not import ${specifier}: ${COMMON_ORDER.join(' <- ')}`
    }
  }
}

/** The first cycle of imports that exist at run time, as a list of paths, or an empty list. */
function findCycle(): readonly string[] {
  const targets = new Map(
    sources.map((file) => [
      file.path,
      importsOf(file)
        .filter(({ isTypeOnly }) => !isTypeOnly)
        .flatMap(({ target }) => (target === undefined ? [] : [target])),
    ]),
  )
  const done = new Set<string>()
  const trail: string[] = []
  const visit = (path: string): readonly string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return []
    trail.push(path)
    for (const target of targets.get(path) ?? []) {
      const cycle = visit(target)
      if (cycle.length > 0) return cycle
    }
    trail.pop()
    done.add(path)
    return []
  }
  for (const path of targets.keys()) {
    const cycle = visit(path)
    if (cycle.length > 0) return cycle
  }
  return []
}
