/** deploy/compose/compose.yaml and other YAML of this repository, for tests. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { parse } from 'yaml'

export interface ComposeService {
  readonly image: string
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly depends_on?: readonly string[]
  readonly volumes?: readonly string[]
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const ROOT = new URL('../../../', import.meta.url)

/** @param path from the root of the repository */
export function readYaml(path: string): unknown {
  return parse(readFileSync(fileURLToPath(new URL(path, ROOT)), 'utf8'), { merge: true })
}

/** With its anchors merged. */
export function readCompose(): ComposeFile {
  return readYaml('deploy/compose/compose.yaml') as ComposeFile
}
