/**
 * The port to where files end up: a folder or an S3 bucket behind one interface. Safety rests on one
 * promise of it: of several create-only puts of one key, exactly one succeeds, for ever.
 *
 * Errors are AppErrors: object_exists, object_missing, object_too_large, object_mismatch, invalid_key;
 * store_unavailable says that the outcome is unknown (a timeout is never a no: read back, or put the
 * same again); store_unfit that the store can never keep the promise.
 */
import type { FileSystem } from '../file-system.ts'
import type { Logger } from '../logger.ts'
import { AppError } from '../errors.ts'
import { FileObjectStore } from './file-object-store.ts'

export interface PutOptions {
  /** Create only: object_exists where the key is taken, whoever took it. */
  readonly onlyIfAbsent?: boolean
  /** Lower-case hex, where the caller knows it: checked on the way. */
  readonly sha256?: string
  readonly contentType?: string
}

export interface GetOptions {
  /** object_too_large above this; default 64 MiB. */
  readonly bytesMax?: number
  /** A part of the object: fewer bytes only where the object ends before. */
  readonly range?: { readonly offset: number; readonly length: number }
}

export interface ObjectEntry {
  readonly key: string
  readonly bytes: number
  readonly lastModifiedMs: number
}

export interface ObjectStore {
  /** Without credentials: for logs and messages. */
  readonly url: string
  /** Stores an object whole or not at all; it is durable when this resolves. */
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<void>
  /**
   * Publishes a finished local file, which must never be written again (a file store may share its
   * blocks); it stays for the caller to unlink. The key must hold a content hash: the same key
   * with the same bytes is success. Size and hash are those of the file.
   */
  putFile(key: string, path: string, bytes: number, sha256: string): Promise<void>
  get(key: string, options?: GetOptions): Promise<Uint8Array>
  /** Writes an object to a local path, replacing it; not synced. */
  getToFile(key: string, path: string): Promise<void>
  head(key: string): Promise<{ bytes: number } | undefined>
  /** Objects whose key starts with `prefix` and is greater than `startAfter`, by ascending key. */
  list(prefix: string, startAfter?: string): AsyncIterable<ObjectEntry>
  /** No error where it is missing. */
  delete(key: string): Promise<void>
  /** What can be listed under this prefix now survives a power loss (S3: always so). */
  settle(prefix: string): Promise<void>
  /** @throws AppError store_unfit where two create-only puts of one key both succeed */
  probe(): Promise<void>
  close(): Promise<void>
}

export interface ObjectStoreOptions {
  /** Of an S3-compatible server; default: AWS. */
  readonly endpoint?: string
  readonly region?: string
  /** `endpoint/bucket/key` instead of `bucket.endpoint/key`; default: true with an endpoint. */
  readonly forcePathStyle?: boolean
  /** Of an S3 bucket; default: as every AWS tool finds them (environment, profile, instance). */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Sends of one S3 request, with growing pauses; default 4: about 2 s. */
  readonly attemptsMax?: number
  /** Silence of an S3 connection that ends a request; default 15 s. */
  readonly idleTimeoutMs?: number
  /** A call on a small object, with all its attempts; default 60 s. */
  readonly callTimeoutMs?: number
  /** One try to upload a file; default 300 s: 256 MiB at 2 MB/s, twice. */
  readonly uploadTimeoutMs?: number
  readonly logger: Logger
  /** What a file store runs on; tests inject faults. */
  readonly fs?: FileSystem
}

/**
 * Opens the store of a URL: `file:///folder` (made where missing) or `s3://bucket/prefix`.
 * @throws AppError invalid_config for any other URL
 */
export async function openObjectStore(
  url: string,
  options: ObjectStoreOptions,
): Promise<ObjectStore> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol === 'file:') return FileObjectStore.open(parsed, options)
  if (parsed?.protocol === 's3:') {
    // the SDK costs 100 ms and 30 MB to load: only those who use it pay
    const { S3ObjectStore } = await import('./s3-object-store.ts')
    return S3ObjectStore.open(parsed, options)
  }
  throw new AppError('invalid_config', 'object store is neither file:///... nor s3://...', {
    details: { url },
  })
}
