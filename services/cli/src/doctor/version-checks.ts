import { failure, ok } from './finding.ts'
import type { Finding } from './finding.ts'

/** Before it, window updates of HTTP/2 could leak sessions. */
const NODE_MIN = [24, 14, 1] as const

export function checkVersions(tributary: string, node: string): readonly Finding[] {
  const found = node.split('.').map(Number)
  const place = NODE_MIN.findIndex((least, at) => found[at] !== least)
  const isNewEnough = place === -1 || (found[place] ?? 0) > NODE_MIN[place]!
  return [
    ok('versions', 'tributary', tributary),
    isNewEnough
      ? ok('versions', 'node', node)
      : failure('versions', 'node', node, `take Node ${NODE_MIN.join('.')} or later`),
  ]
}
