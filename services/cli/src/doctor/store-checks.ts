import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { objectStoreUrl } from '@tributary/common/config/settings'
import { AppError, toAppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { PROBE_PREFIX } from '@tributary/common/object-store/object-contract'
import { openObjectStore } from '@tributary/common/object-store/object-store'
import type { ObjectStore } from '@tributary/common/object-store/object-store'

import type { StoreLocation } from '../store-options.ts'
import { errorText, failure, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

/** Patience of a person, not of an ingester. */
const ATTEMPTS_MAX = 2
const CALL_TIMEOUT_MS = 15_000
const UPLOAD_TIMEOUT_MS = 60_000
/** Two parts: one whole one of 16 MiB, and a rest. */
const MULTIPART_BYTES = 17 * 1024 * 1024
/** A commit is one of these, and rows are visible only after it. */
const PUT_OK_MS = 1000

/** Whether the store does what safety and reading rest on. */
export async function checkStore(location: StoreLocation): Promise<readonly Finding[]> {
  const url = objectStoreUrl(location)
  let store: ObjectStore
  try {
    store = await openObjectStore(url, {
      region: location.objectStoreRegion,
      ...(location.objectStoreEndpoint === undefined
        ? {}
        : { endpoint: location.objectStoreEndpoint }),
      attemptsMax: ATTEMPTS_MAX,
      callTimeoutMs: CALL_TIMEOUT_MS,
      uploadTimeoutMs: UPLOAD_TIMEOUT_MS,
      logger: createLogger({ name: 'tributary', level: 'silent' }),
    })
  } catch (error) {
    return [failure('store', 'open', errorText(error), 'look at --object-store and --data-dir')]
  }
  try {
    return await checkOpened(store, url)
  } finally {
    await store.close()
  }
}

async function checkOpened(store: ObjectStore, url: string): Promise<readonly Finding[]> {
  const list = await attempt('list', 's3:ListBucket', async () => {
    for await (const entry of store.list(`${PROBE_PREFIX}/`)) return `${url}, ${entry.key} is left`
    return url
  })
  // a store that can not be reached says so once
  if (list.level === 'failure' && !isRefusal(list)) return [list]
  const findings = [list]
  findings.push(
    await attempt('create-only writes', 's3:PutObject, s3:GetObject, s3:DeleteObject', async () => {
      await store.probe()
      return 'the second of two is refused'
    }),
  )
  findings.push(...(await checkObject(store)))
  if (store.url.startsWith('s3:')) findings.push(await checkParts(store))
  return findings
}

/** Runs a check; what it throws is a failure with its remedy. */
async function attempt(
  check: string,
  rights: string,
  run: () => Promise<string>,
): Promise<Finding> {
  try {
    return ok('store', check, await run())
  } catch (error) {
    return failure('store', check, errorText(error), remedyOf(error, rights))
  }
}

function isRefusal({ remedy }: Finding): boolean {
  return remedy.startsWith('allow ')
}

function remedyOf(error: unknown, rights: string): string {
  const { code, details } = toAppError(error)
  if (code === 'store_unfit') {
    return 'take a store that answers 412 to the second put with If-None-Match: *; a proxy in between must pass the header on'
  }
  switch (details['error']) {
    case 'NoSuchBucket':
      return 'make the bucket, or look at --object-store'
    case 'CredentialsProviderError':
      return 'give credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role'
    case 'InvalidAccessKeyId':
    case 'SignatureDoesNotMatch':
      return 'look at the credentials, --object-store-region and the clock of this machine'
    case 'RequestTimeTooSkewed':
      return 'set the clock of this machine: run chrony or another NTP client'
    case 'PermanentRedirect':
      return 'look at --object-store-region: the bucket is elsewhere'
  }
  if (details['status'] === 403) return `allow ${rights} to these credentials`
  return 'is it reachable from here? look at --object-store and --object-store-endpoint'
}

/** An object is written, read, seen in a list, overwritten and deleted; each is seen at once. */
async function checkObject(store: ObjectStore): Promise<readonly Finding[]> {
  const key = `${PROBE_PREFIX}/${randomUUID()}`
  const bodies = ['first', 'second'].map((text) => Buffer.from(`tributary doctor, ${text}`))
  const tookMs: number[] = []
  const readBack = await attempt('read after write', 's3:PutObject, s3:GetObject', async () => {
    for (const body of bodies) {
      const startMs = performance.now()
      await store.put(key, body)
      tookMs.push(performance.now() - startMs)
      demand(Buffer.from(await store.get(key)).equals(body), 'a read gave what was before')
    }
    return 'reads see the last write'
  })
  const listed = await attempt('list after write', 's3:ListBucket', async () => {
    const found: string[] = []
    for await (const entry of store.list(key)) found.push(entry.key)
    demand(found.includes(key), 'a list lacks what was written')
    return 'lists see the last write'
  })
  const deleted = await attempt('delete', 's3:DeleteObject', async () => {
    await store.delete(key)
    demand((await store.head(key)) === undefined, 'an object is there after its deletion')
    return 'allowed, and seen at once'
  })
  return [readBack, listed, deleted, ...latencyFinding(tookMs)]
}

function demand(isSo: boolean, problem: string): void {
  if (!isSo) throw new AppError('store_unfit', problem)
}

function latencyFinding(tookMs: readonly number[]): readonly Finding[] {
  const last = tookMs.at(-1)
  if (last === undefined) return []
  const found = `${Math.ceil(last)} ms`
  return [
    last > PUT_OK_MS
      ? warning(
          'store',
          'latency of a put',
          found,
          'take a nearer store: each flush has two in a row',
        )
      : ok('store', 'latency of a put', found),
  ]
}

/** Files above 64 MiB go in parts. */
async function checkParts(store: ObjectStore): Promise<Finding> {
  const { S3ObjectStore } = await import('@tributary/common/object-store/s3-object-store')
  const key = `${PROBE_PREFIX}/${randomUUID()}`
  const folder = await mkdtemp(join(tmpdir(), 'tributary-doctor-'))
  const rights = 's3:PutObject, s3:AbortMultipartUpload'
  try {
    return await attempt('multipart upload', rights, async () => {
      const body = Buffer.alloc(MULTIPART_BYTES, 'tributary doctor')
      const path = join(folder, 'parts')
      await writeFile(path, body)
      const sha256 = createHash('sha256').update(body).digest('hex')
      if (store instanceof S3ObjectStore) {
        await store.putFileInParts(key, { path, bytes: body.length, sha256 })
      }
      const length = 64
      const offset = body.length - length
      const end = Buffer.from(await store.get(key, { range: { offset, length } }))
      demand(end.equals(body.subarray(offset)), 'the end of an upload in parts is another one')
      await store.delete(key)
      return 'works, ranges of it can be read'
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
