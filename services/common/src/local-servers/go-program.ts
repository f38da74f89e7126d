/**
 * Foreign programs that npm can't bring, for development and tests: built once with Go into the cache
 * folder, from versions that stand in this project. Go is the one on the path, else the one that
 * services/e2e/tools/foreign-readers.mjs installs beside its Python.
 */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { cacheFolder, processEnvironment, pythonPath } from '../config/config.ts'

const BUILD_TIMEOUT_MS = 1_800_000

/** What a build puts its program into, and may use as it likes. */
export type Build = (program: string, folder: string) => SpawnSyncReturns<string>

/**
 * The path of a program in the cache folder; builds it where it is not there yet.
 * @param name of the file, with the version: another version is another file
 * @throws Error with the compiler's words and `remedy`
 */
export function findGoProgram(name: string, build: Build, remedy: string): string {
  const program = join(cacheFolder(), 'bin', name)
  if (existsSync(program)) return program
  process.stdout.write(`building ${name} with Go, once, into ${dirname(program)}\n`)
  const folder = mkdtempSync(join(tmpdir(), 'tributary-build-'))
  try {
    const built = join(folder, name)
    const result = build(built, folder)
    if (result.status !== 0 || !existsSync(built)) {
      throw new Error(`${name} was not built: ${remedy}\n${outcomeText(result)}`)
    }
    mkdirSync(dirname(program), { recursive: true })
    // copied beside it, then renamed: two tests that build at once both end with a whole program
    const copy = `${program}.${String(process.pid)}`
    copyFileSync(built, copy)
    renameSync(copy, program)
    return program
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** `go install` of a package at its version, as a build. */
export function installed(packageAtVersion: string): Build {
  return (program, folder) => {
    const result = runTool('go', ['install', packageAtVersion], folder, { GOBIN: folder })
    const name = packageAtVersion.replace(/@.*$/, '').split('/').at(-1)!
    if (result.status === 0) renameSync(join(folder, name), program)
    return result
  }
}

/** Runs a tool of a build, with Go on its path. */
export function runTool(
  command: string,
  args: readonly string[],
  folder: string,
  variables: Readonly<Record<string, string>> = {},
): SpawnSyncReturns<string> {
  const environment = processEnvironment()
  const isOnPath = spawnSync('go', ['version']).status === 0
  const folders = isOnPath ? [] : foreignFolders()
  const path = [...folders, environment['PATH']].join(':')
  return spawnSync(command, args, {
    cwd: folder,
    env: { ...environment, PATH: path, ...variables },
    encoding: 'utf8',
    timeout: BUILD_TIMEOUT_MS,
  })
}

/** Where the Python of the foreign readers is, and Go beside it. */
function foreignFolders(): string[] {
  const given = pythonPath()
  if (given !== undefined && given !== '') return [dirname(given)]
  const folders: string[] = []
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    folders.push(join(folder, '.venv', 'bin'))
  }
  return folders
}

function outcomeText(result: SpawnSyncReturns<string>): string {
  return result.error?.message ?? `${result.stdout}${result.stderr}`
}
