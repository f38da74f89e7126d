/**
 * O3, looked at on the disks while all goes on: no log begins behind the end of its partition's chain, or
 * records between the two were cut off before they were committed.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { logTag } from '@tributary/common/paths'
import { parseSegmentFileName } from '@tributary/ingester/wal/segment-header'

import { chainEnds } from '../cluster/chain-ends.ts'

/** By `<log tag>/<partition>`, of a standalone process by '': the lowest offset of its files. */
export function walBegins(dataDir: string): Map<string, bigint> {
  const begins = new Map<string, bigint>()
  for (const entry of namesBelow(join(dataDir, 'wal'))) {
    const parts = entry.split('/')
    const segment = parseSegmentFileName(parts.at(-1)!)
    if (segment === undefined) continue
    const place = parts.slice(0, -1).join('/')
    const begin = begins.get(place)
    if (begin === undefined || segment.baseOffset < begin) begins.set(place, segment.baseOffset)
  }
  return begins
}

/** Chains only grow: read after the disks, an end is not below the one that a log was cut for. */
export async function walsBehindChains(
  disks: readonly { readonly name: string; readonly path: string }[],
  store: ObjectStore,
): Promise<string[]> {
  const begins = disks.map(({ name, path }) => [name, walBegins(path)] as const)
  const problems: string[] = []
  for (const { id, end } of await chainEnds(store)) {
    for (const [name, found] of begins) {
      const begin = found.get(`${logTag(id)}/${String(id.partition)}`) ?? found.get('')
      if (begin === undefined || begin <= end) continue
      problems.push(
        `O3 ${name}: the log of partition ${String(id.partition)} begins at ${String(begin)}, ` +
          `its chain ends at ${String(end)}`,
      )
    }
  }
  return problems
}

function namesBelow(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
  } catch {
    // not there yet, or emptied under us
    return []
  }
}
