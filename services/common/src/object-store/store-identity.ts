import { randomUUID } from 'node:crypto'

import type { ObjectStore } from './object-store.ts'
import { AppError } from '../errors.ts'
import { STORE_KEY } from '../paths.ts'
import { JsonReader } from './json-reader.ts'

const FORMAT_VERSION = 1
const IDENTITY_BYTES_MAX = 64 * 1024
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * The id of a store, drawn by whoever comes first and then fixed: the log id of a standalone
 * process, whose log has no other name.
 * @throws AppError commit_damaged where store.json is not ours
 */
export async function storeIdentity(store: ObjectStore): Promise<string> {
  await store.settle('')
  const own = { formatVersion: FORMAT_VERSION, id: randomUUID(), createdAt: new Date() }
  const found = await readStoreIdentity(store)
  if (found !== undefined) return found
  try {
    const body = Buffer.from(`${JSON.stringify(own)}\n`)
    await store.put(STORE_KEY, body, { onlyIfAbsent: true, contentType: 'application/json' })
    return own.id
  } catch (error) {
    const winner = error instanceof AppError && error.code === 'object_exists'
    const id = winner ? await readStoreIdentity(store) : undefined
    if (id === undefined) throw error
    return id
  }
}

/**
 * The id of a store, undefined where nobody has drawn one yet: for tools that only read.
 * @throws AppError commit_damaged where store.json is not ours
 */
export async function readStoreIdentity(store: ObjectStore): Promise<string | undefined> {
  try {
    const bytes = await store.get(STORE_KEY, { bytesMax: IDENTITY_BYTES_MAX })
    const json = JsonReader.parse(bytes, IDENTITY_BYTES_MAX, 'commit_damaged')
    json.integer('formatVersion', 1, FORMAT_VERSION)
    return json.matching('id', UUID)
  } catch (error) {
    if (error instanceof AppError && error.code === 'object_missing') return undefined
    throw error
  }
}
