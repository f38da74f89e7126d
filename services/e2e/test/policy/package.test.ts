/** Dependencies: exact, declared where they are used, and each with its reason in ARCHITECTURE.md. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { NODE_FLAGS } from '@tributary/common/collector-tuning'

import { filesEndingWith, importsOf, isBareBuiltin, isTestCode, readText } from './source-tree.ts'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly license?: string
  readonly type?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const manifests = filesEndingWith('package.json').map((file) => ({
  path: file.path,
  manifest: JSON.parse(file.text) as Manifest,
}))
const root = JSON.parse(readText('package.json')) as Manifest
/**
 * A new one is a decision. 130 on 2026-11-26, most of them of the AWS SDK and DuckDB's and Arrow's, and
 * 65 more of the client of Kubernetes, of which the controller alone loads a part.
 */
const IMAGE_PACKAGES_MAX = 205
const services = manifests.filter(({ path }) => /^services\/[^/]+\/package\.json$/.test(path))

function isOurs(name: string): boolean {
  return name.startsWith('@tributary/')
}

/** Package names in the first column of the table under `## Runtime dependencies`. */
function reasonedDependencies(): string[] {
  const [, section = ''] = readText('ARCHITECTURE.md').split('\n## Runtime dependencies\n')
  const table = section.split('\n## ')[0] ?? ''
  return [...table.matchAll(/^\| `([^`]+)` \| [^|]*\w[^|]*\|$/gm)].map((match) => match[1] ?? '')
}

describe('packages', () => {
  it('pin every version exactly', () => {
    const problems = manifests.flatMap(({ path, manifest }) =>
      Object.entries({
        ...manifest.dependencies,
        ...manifest.devDependencies,
        ...manifest.optionalDependencies,
        ...manifest.peerDependencies,
      })
        .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
        .map(([name, version]) => `${path}: ${name}@${version}`),
    )
    assert.deepEqual(problems, [])
  })

  it('start Node with the flags that only its start takes', () => {
    const [shebang] = readText('services/cli/bin/tributary.mjs').split('\n')
    assert.equal(shebang, `#!/usr/bin/env -S node ${NODE_FLAGS.join(' ')}`)
    const words = ['node', ...NODE_FLAGS, 'services/cli/src/main.js']
    const entryPoint = `ENTRYPOINT [${words.map((word) => JSON.stringify(word)).join(', ')}]`
    assert.ok(readText('deploy/Dockerfile').includes(entryPoint), entryPoint)
  })

  it('pin the foreign readers exactly', () => {
    const lines = readText('services/e2e/tools/foreign-readers.txt').trim().split('\n')
    assert.deepEqual(
      lines.filter((line) => !/^[\w-]+==\d+(\.\d+)+$/.test(line)),
      [],
    )
  })

  it('are private ES modules under one version and licence', () => {
    const problems = manifests
      .filter(
        ({ manifest }) =>
          manifest.private !== true ||
          manifest.type !== 'module' ||
          manifest.license !== 'Apache-2.0' ||
          manifest.version !== root.version,
      )
      .map(({ path }) => path)
    assert.deepEqual(problems, [])
  })

  it('carry runtime dependencies in services only, each with a reason in ARCHITECTURE.md', () => {
    assert.deepEqual(Object.keys(root.dependencies ?? {}), [])
    const used = services.flatMap(({ manifest }) => Object.keys(manifest.dependencies ?? {}))
    const foreign = new Set(used.filter((name) => !isOurs(name)))
    assert.deepEqual([...foreign].sort(), reasonedDependencies().sort())
  })

  it('declare what their sources import, and import what they declare', () => {
    const problems = services.flatMap(({ path, manifest }) => {
      const folder = path.replace(/package\.json$/, 'src/')
      const imported = new Set(
        filesEndingWith('.ts')
          .filter((file) => file.path.startsWith(folder))
          .filter(({ path: source }) => source.startsWith('services/e2e/') || !isTestCode(source))
          .flatMap((file) => importsOf(file))
          .flatMap(({ packageName }) => (packageName === undefined ? [] : [packageName]))
          .filter((name) => name !== manifest.name),
      )
      const declared = new Set(Object.keys(manifest.dependencies ?? {}))
      // e2e is test code: the development dependencies of the root are there for it
      const forTests = path.startsWith('services/e2e/') ? (root.devDependencies ?? {}) : {}
      const undeclared = [...imported].filter(
        (name) => !declared.has(name) && !Object.hasOwn(forTests, name),
      )
      const idle = [...declared].filter((name) => !imported.has(name) && !isOurs(name))
      return [
        ...undeclared.map((name) => `${path} does not declare ${name}`),
        ...idle.map((name) => `${path} declares ${name}, which nothing imports`),
      ]
    })
    assert.deepEqual(problems, [])
  })

  it('bring few packages into an image', () => {
    const lock = JSON.parse(readText('package-lock.json')) as {
      packages: Record<string, { dev?: boolean; link?: boolean; optional?: boolean; os?: string[] }>
    }
    const installed = Object.entries(lock.packages).filter(
      ([path, { dev, link, os }]) =>
        path.startsWith('node_modules/') && dev !== true && link !== true && os === undefined,
    )
    assert.ok(installed.length > 50)
    assert.ok(installed.length <= IMAGE_PACKAGES_MAX, `${installed.length} packages`)
  })

  it("import Node's own modules by their node: name", () => {
    const problems = filesEndingWith('.ts', '.mjs').flatMap((file) =>
      importsOf(file)
        .filter(({ specifier }) => isBareBuiltin(specifier))
        .map(({ specifier }) => `${file.path} imports ${specifier}`),
    )
    assert.deepEqual(problems, [])
  })

  it('are locked', () => {
    const lock = JSON.parse(readText('package-lock.json')) as {
      packages: Record<string, { version?: string; devDependencies?: Record<string, string> }>
    }
    assert.deepEqual(lock.packages['']?.devDependencies, root.devDependencies)
    for (const { path, manifest } of services) {
      const locked = lock.packages[path.replace('/package.json', '')] as Manifest | undefined
      assert.deepEqual(locked?.dependencies ?? {}, manifest.dependencies ?? {}, path)
    }
  })
})
