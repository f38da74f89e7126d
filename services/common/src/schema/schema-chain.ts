/**
 * The schema chain of a table: create-only objects `schemas/<tenant>/<signal>/<version>.json`, each
 * with the additions of one writer. Whoever loses a version adopts the winner's and tries the next,
 * so writers never disagree about a column, and any two files of a table unite.
 *
 * Invariant: a state that was handed out lies in the store durably: files may name its version.
 */
import type { ObjectStore } from '../object-store/object-store.ts'
import type { SignalName } from '../signal.ts'
import type { SchemaAddition, WantedColumn } from './schema-state.ts'
import { AppError } from '../errors.ts'
import { failpoint } from '../failpoint.ts'
import { JsonReader } from '../object-store/json-reader.ts'
import { mapOrdered } from '../commit/ordered-map.ts'
import { parseSchemaKey, schemaKey, schemaPrefix } from '../paths.ts'
import { ATTRIBUTE_TYPES, NAMESPACES } from './column-name.ts'
import { SCHEMA_COLUMNS_MAX, SchemaState } from './schema-state.ts'

export const SCHEMA_FORMAT_VERSION = 1
const ADDITIONS_MAX = SCHEMA_COLUMNS_MAX * NAMESPACES.length
/** Keys of at most 1,024 B, escaped at most sixfold in JSON, twice (key and column). */
export const SCHEMA_BYTES_MAX = 64 * 1024 * 1024
const KEY_LENGTH_MAX = 64 * 1024
const READS_IN_FLIGHT_MAX = 16
/** Versions lost in a row to other writers before giving up: each loss is another's progress. */
const RACES_MAX = 100

/**
 * The newest schema of a table: `base` and what followed it.
 * @throws AppError schema_conflict for a gap or a damaged version
 */
export async function loadSchema(
  store: ObjectStore,
  tenant: string,
  signal: SignalName,
  base: SchemaState = SchemaState.empty(tenant, signal),
): Promise<SchemaState> {
  const prefix = schemaPrefix(tenant, signal)
  // a writer may have died between naming its version and syncing the name
  await store.settle(prefix)
  const startAfter = base.version === 0 ? undefined : schemaKey(tenant, signal, base.version)
  const versions: number[] = []
  for await (const { key } of store.list(prefix, startAfter)) {
    const version = parseSchemaKey(key)?.version
    if (version !== base.version + versions.length + 1) {
      throw new AppError('schema_conflict', 'a version of the schema is missing', {
        details: { key, expected: base.version + versions.length + 1 },
      })
    }
    versions.push(version)
  }
  if (versions.length === 0) return base
  const additions: SchemaAddition[] = [...base.snapshot().additions]
  const read = mapOrdered(versions, READS_IN_FLIGHT_MAX, (version) =>
    readVersion(store, tenant, signal, version),
  )
  for await (const ofVersion of read) additions.push(...ofVersion)
  return SchemaState.restore({ tenant, signal, version: base.version + versions.length, additions })
}

/**
 * A schema that has a column for every wanted attribute (as far as SCHEMA_COLUMNS_MAX allows): `base`
 * where it has them all, else the store's newest, extended by one version where keys are still new.
 * @param base what the caller knows; undefined loads the chain first
 * @throws AppError schema_conflict, store_unavailable
 */
export async function resolveOrExtend(
  store: ObjectStore,
  tenant: string,
  signal: SignalName,
  wanted: readonly WantedColumn[],
  base?: SchemaState,
): Promise<SchemaState> {
  if (base !== undefined && base.extend(wanted) === undefined) return base
  let state = await loadSchema(store, tenant, signal, base)
  for (let race = 0; race < RACES_MAX; race++) {
    const extension = state.extend(wanted)
    if (extension === undefined) return state
    const { additions, next } = extension
    const { version } = next
    const key = schemaKey(tenant, signal, version)
    await failpoint('schema:before-put')
    try {
      const body = serializeSchemaVersion(tenant, signal, version, additions)
      await store.put(key, body, { onlyIfAbsent: true, contentType: 'application/json' })
    } catch (error) {
      // lost to another writer, or to an earlier try of ours: what is there counts
      if (!(error instanceof AppError) || error.code !== 'object_exists') throw error
      state = state.with(version, await readVersion(store, tenant, signal, version))
      continue
    }
    await failpoint('schema:after-put')
    return next
  }
  throw new AppError('store_unavailable', 'schema changes too fast', {
    details: { tenant, signal },
  })
}

export function serializeSchemaVersion(
  tenant: string,
  signal: SignalName,
  version: number,
  additions: readonly SchemaAddition[],
): Uint8Array {
  const plain = additions.map(({ namespace, key, type, column }) => ({
    namespace,
    key,
    type,
    column,
  }))
  const document = {
    formatVersion: SCHEMA_FORMAT_VERSION,
    tenant,
    signal,
    version,
    additions: plain,
  }
  return Buffer.from(JSON.stringify(document))
}

/** @throws AppError schema_conflict */
export function parseSchemaVersion(bytes: Uint8Array): {
  tenant: string
  signal: string
  version: number
  additions: SchemaAddition[]
} {
  const json = JsonReader.parse(bytes, SCHEMA_BYTES_MAX, 'schema_conflict')
  const formatVersion = json.integer('formatVersion', 1, Number.MAX_SAFE_INTEGER)
  if (formatVersion > SCHEMA_FORMAT_VERSION) {
    throw json.problem('formatVersion', 'was written by a newer version')
  }
  return {
    tenant: json.text('tenant', KEY_LENGTH_MAX),
    signal: json.text('signal', KEY_LENGTH_MAX),
    version: json.integer('version', 1, Number.MAX_SAFE_INTEGER),
    additions: json.list('additions', ADDITIONS_MAX).map((addition) => ({
      namespace: addition.oneOf('namespace', NAMESPACES),
      key: addition.text('key', KEY_LENGTH_MAX),
      type: addition.oneOf('type', ATTRIBUTE_TYPES),
      column: addition.text('column', KEY_LENGTH_MAX),
    })),
  }
}

async function readVersion(
  store: ObjectStore,
  tenant: string,
  signal: SignalName,
  version: number,
): Promise<SchemaAddition[]> {
  const key = schemaKey(tenant, signal, version)
  try {
    const bytes = await store.get(key, { bytesMax: SCHEMA_BYTES_MAX })
    const parsed = parseSchemaVersion(bytes)
    const isOwn = parsed.tenant === tenant && parsed.signal === signal && parsed.version === version
    if (isOwn) return parsed.additions
    throw new AppError('schema_conflict', 'a schema version is that of another table')
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'schema_conflict') throw error
    throw new AppError('schema_conflict', 'schema version cannot be read', {
      cause: error,
      details: { key },
    })
  }
}
