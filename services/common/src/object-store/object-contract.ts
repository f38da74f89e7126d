/** What every backend of the object store does alike: the checks, the errors and the probe. */
import { createHash, randomUUID } from 'node:crypto'

import type { ObjectStore } from './object-store.ts'
import { AppError } from '../errors.ts'

/** Largest object that `get` reads whole unless told otherwise. */
export const GET_BYTES_MAX = 64 * 1024 * 1024
/** Objects that tell whether a store is fit; gone at once. */
export const PROBE_PREFIX = 'probe'

/** The probe of every backend: the second of two create-only puts of one key must fail. */
export async function probeCreateOnly(store: ObjectStore): Promise<void> {
  const key = `${PROBE_PREFIX}/${randomUUID()}`
  const body = Buffer.from('tributary probes create-only writes')
  try {
    await store.put(key, body, { onlyIfAbsent: true })
  } catch (error) {
    // a client that repeated a put whose answer was lost: the object is ours
    if (!(error instanceof AppError) || error.code !== 'object_exists') throw error
  }
  try {
    await store.put(key, Buffer.from('the second writer'), { onlyIfAbsent: true })
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'object_exists') throw error
    if (!Buffer.from(await store.get(key)).equals(body)) {
      throw new AppError('store_unfit', 'a refused write changed the object', {
        details: { url: store.url, key },
      })
    }
    return
  } finally {
    await store.delete(key)
  }
  throw new AppError('store_unfit', 'object store ignores create-only writes', {
    details: { url: store.url, needed: 'If-None-Match: * answered with 412' },
  })
}

/** @throws AppError object_mismatch where the bytes are not those that the caller hashed */
export function checkSha256(key: string, body: Uint8Array, sha256: string | undefined): void {
  if (sha256 === undefined) return
  const actual = createHash('sha256').update(body).digest('hex')
  if (actual === sha256) return
  throw new AppError('object_mismatch', 'object differs from its hash', {
    details: { key, sha256, actual },
  })
}

export function objectMissing(key: string, cause?: unknown): AppError {
  return new AppError('object_missing', 'object is missing', { cause, details: { key } })
}

export function objectExists(key: string, cause?: unknown): AppError {
  return new AppError('object_exists', 'object exists', { cause, details: { key } })
}

/** @throws AppError object_too_large */
export function checkObjectSize(key: string, bytes: number, bytesMax: number): void {
  if (bytes <= bytesMax) return
  throw new AppError('object_too_large', 'object is larger than it may be', {
    details: { key, bytes, bytesMax },
  })
}
