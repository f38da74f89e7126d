/**
 * Makes the folder that an image runs from: compiled JavaScript, the OTLP definitions, production
 * dependencies, and a list of what is inside (CycloneDX). `node services/e2e/tools/image-root.ts DIR`
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url))

/** Parts of a manifest that an image keeps; the rest is for a checkout. */
interface Manifest {
  readonly name: string
  readonly version: string
  readonly type?: string
  readonly license?: string
  readonly workspaces?: readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
}

/** @param target emptied first; holds services/, proto/, node_modules/ and sbom.json afterwards */
export function makeImageRoot(target: string): void {
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  run('node_modules/.bin/tsc', ['-p', 'tsconfig.image.json', '--outDir', target], REPOSITORY)
  for (const service of readdirSync(join(target, 'services'))) {
    const folder = join('services', service)
    const manifest = runtimeManifest(folder)
    writeJson(join(target, folder, 'package.json'), {
      ...manifest,
      exports: { './*': './src/*.js' },
    })
  }
  writeJson(join(target, 'package.json'), runtimeManifest('.'))
  cpSync(join(REPOSITORY, 'package-lock.json'), join(target, 'package-lock.json'))
  cpSync(join(REPOSITORY, 'LICENSE'), join(target, 'LICENSE'))
  cpSync(join(REPOSITORY, 'proto'), join(target, 'proto'), { recursive: true })
  run('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'], target)
  const sbom = run('npm', ['sbom', '--omit=dev', '--sbom-format=cyclonedx'], target)
  writeFileSync(join(target, 'sbom.json'), sbom)
  rmSync(join(target, 'package-lock.json'))
}

function runtimeManifest(folder: string): Manifest {
  const path = join(REPOSITORY, folder, 'package.json')
  const all = JSON.parse(readFileSync(path, 'utf8')) as Manifest
  const { name, version, type, license, workspaces, dependencies } = all
  return { name, version, type, license, workspaces, dependencies }
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)
}

function run(command: string, args: readonly string[], cwd: string): string {
  return execFileSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

if (import.meta.main) {
  const [target] = process.argv.slice(2)
  if (target === undefined) throw new Error('usage: image-root.ts DIR')
  makeImageRoot(resolve(target))
}
