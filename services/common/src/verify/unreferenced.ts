import type { ObjectEntry, ObjectStore } from '../object-store/object-store.ts'
import type { CommittedObjects } from './committed-objects.ts'
import {
  DATA_PREFIX,
  HASHES_PREFIX,
  LATE_PREFIX,
  logTag,
  parseDataKey,
  parseHashesKey,
} from '../paths.ts'
import { chainName } from './committed-objects.ts'

export interface UnreferencedObject extends ObjectEntry {
  /**
   * The start of the one commit that could name it, and whether the chain has gone past that: then no
   * commit ever will. Undefined: no commit can, because the key is none of ours.
   */
  readonly slot:
    { readonly chain: string; readonly start: bigint; readonly isDecided: boolean } | undefined
}

/** The objects under data/, late/ and hashes/ that no commit names; `seen` is told of all others. */
export async function* listUnreferenced(
  store: ObjectStore,
  committed: CommittedObjects,
  seen: (entry: ObjectEntry) => void = () => undefined,
): AsyncGenerator<UnreferencedObject> {
  for (const prefix of [DATA_PREFIX, LATE_PREFIX, HASHES_PREFIX]) {
    for await (const entry of store.list(prefix)) {
      if (committed.files.has(entry.key) || committed.sidecars.has(entry.key)) seen(entry)
      else yield { ...entry, slot: slotOf(entry.key, committed) }
    }
  }
}

function slotOf(key: string, committed: CommittedObjects): UnreferencedObject['slot'] {
  const file = parseDataKey(key)
  const sidecar = file === undefined ? parseHashesKey(key) : undefined
  if (file === undefined && sidecar === undefined) return undefined
  const tag = file?.logTag ?? logTag(sidecar!)
  const { partition, start } = (file ?? sidecar)!
  const chain = chainName(tag, partition)
  const end = committed.chains.get(chain)?.end ?? 0n
  return { chain, start, isDecided: start < end }
}
