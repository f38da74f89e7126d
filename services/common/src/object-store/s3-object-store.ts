/**
 * The object store in an S3 bucket, below a prefix. Create-only is `If-None-Match: *`, decided by the
 * server: 412 is an answer (object_exists), a timeout or 5xx is none (store_unavailable: the write may
 * land later). The SDK repeats what it sent, so a writer can meet its own object: callers read back.
 *
 * A circuit breaker guards uploads of data files only. Commits and schemas never wait for it: they
 * are small, and holding them back would hold back the proof of what is stored.
 */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import CircuitBreaker from 'opossum'

import type { ErrorCode } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type {
  GetOptions,
  ObjectEntry,
  ObjectStore,
  ObjectStoreOptions,
  PutOptions,
} from './object-store.ts'
import type { FinishedFile, UploadTarget } from './s3-upload.ts'
import { AppError } from '../errors.ts'
import { failpoint } from '../failpoint.ts'
import { checkObjectKey, isObjectKey } from '../paths.ts'
import { httpStatus, s3Error } from './s3-errors.ts'
import {
  SINGLE_PUT_BYTES_MAX,
  crc32Base64,
  uploadInParts,
  uploadWhole,
  withPayloadHash,
} from './s3-upload.ts'
import {
  GET_BYTES_MAX,
  checkObjectSize,
  checkSha256,
  objectMissing,
  probeCreateOnly,
} from './object-contract.ts'

/** The SDK's own attempts per call, with its growing pauses: about 2 s. */
const SDK_ATTEMPTS_MAX = 4
/** For what the SDK cannot repeat: streams, and answers cut short. */
const ATTEMPTS_MAX = 3
const CONFLICT_ATTEMPTS_MAX = 6
const PASSING: readonly ErrorCode[] = ['store_unavailable', 'object_mismatch']
const PAUSE_MS = 200
const CONNECT_TIMEOUT_MS = 5000
const IDLE_TIMEOUT_MS = 15_000
const CALL_TIMEOUT_MS = 60_000
const UPLOAD_TIMEOUT_MS = 300_000
/** Uploads of several flushes and reads of a query; more would only queue in the kernel. */
const SOCKETS_MAX = 64

const BREAKER = {
  timeout: false,
  rollingCountTimeout: 30_000,
  volumeThreshold: 5,
  errorThresholdPercentage: 50,
  resetTimeout: 10_000,
  // only silence and refusals of the store count; other answers prove that it works
  errorFilter: (error: unknown) => error instanceof AppError && error.code !== 'store_unavailable',
} as const

export class S3ObjectStore implements ObjectStore {
  readonly url: string
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string
  readonly #isSecure: boolean
  readonly #logger: Logger
  readonly #callTimeoutMs: number
  readonly #uploadTimeoutMs: number
  #breaker: CircuitBreaker<[string, FinishedFile], void> | undefined
  readonly #ending = new AbortController()

  private constructor(url: URL, client: S3Client, options: ObjectStoreOptions) {
    this.url = url.href
    this.#client = client
    this.#bucket = url.hostname
    const path = url.pathname.replace(/^\/+|\/+$/g, '')
    this.#prefix = path === '' ? '' : `${checkObjectKey(path)}/`
    this.#isSecure = options.endpoint?.startsWith('http:') !== true
    this.#logger = options.logger
    this.#callTimeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS
    this.#uploadTimeoutMs = options.uploadTimeoutMs ?? UPLOAD_TIMEOUT_MS
  }

  /** Sends no request: `probe` is the first. */
  static open(url: URL, options: ObjectStoreOptions): S3ObjectStore {
    if (url.hostname === '' || url.username !== '' || url.search !== '') {
      throw new AppError('invalid_config', 'object store is not s3://bucket/prefix', {
        details: { bucket: url.hostname },
      })
    }
    const { endpoint, region = 'us-east-1' } = options
    const client = new S3Client({
      region,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
      forcePathStyle: options.forcePathStyle ?? endpoint !== undefined,
      maxAttempts: options.attemptsMax ?? SDK_ATTEMPTS_MAX,
      logger: sdkLogger(options.logger),
      requestChecksumCalculation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
        httpAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
        httpsAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
      },
    })
    return new S3ObjectStore(url, client, options)
  }

  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<void> {
    const name = this.#name(key)
    checkSha256(key, body, options.sha256)
    const sha256 = options.sha256 ?? createHash('sha256').update(body).digest('hex')
    const send = async (): Promise<void> => {
      const command = new PutObjectCommand({
        Bucket: this.#bucket,
        Key: name,
        Body: body,
        ContentLength: body.length,
        ContentType: options.contentType ?? 'application/octet-stream',
        ChecksumCRC32: crc32Base64(body),
        ...(options.onlyIfAbsent === true ? { IfNoneMatch: '*' } : {}),
      })
      await this.#client.send(withPayloadHash(command, sha256), this.#callOptions())
    }
    await failpoint('store:before-put')
    await this.#retried(key, ['object_mismatch'], () => untilNoConflict(send))
    await failpoint('store:after-put')
  }

  async putFile(key: string, path: string, bytes: number, sha256: string): Promise<void> {
    const name = this.#name(key)
    const { size } = await stat(path)
    if (size !== bytes) {
      throw new AppError('object_mismatch', 'file changed its size before it was published', {
        details: { key, bytes, actual: size },
      })
    }
    try {
      await this.#dataBreaker().fire(name, { path, bytes, sha256 })
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EOPENBREAKER') {
        throw new AppError('store_unavailable', 'uploads wait for the object store to recover', {
          cause: error,
          details: { key },
        })
      }
      throw s3Error(error, key)
    }
  }

  /** As `putFile` uploads large files, whatever the size: for checks of the store. */
  async putFileInParts(key: string, file: FinishedFile): Promise<void> {
    await this.#retried(key, PASSING, () => uploadInParts(this.#target(this.#name(key)), file))
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    const { range, bytesMax = GET_BYTES_MAX } = options
    if (range?.length === 0) return new Uint8Array(0)
    return this.#retried(key, PASSING, async () => {
      const answer = await this.#open(key, range)
      if (answer === undefined) return new Uint8Array(0)
      const { body, bytes } = answer
      if (bytes !== undefined && bytes > bytesMax) body.destroy()
      checkObjectSize(key, bytes ?? 0, bytesMax)
      return collect(key, body, bytes, bytesMax)
    })
  }

  async getToFile(key: string, path: string): Promise<void> {
    await this.#retried(key, PASSING, async () => {
      const answer = await this.#open(key, undefined)
      if (answer === undefined) throw objectMissing(key)
      await pipeline(answer.body, createWriteStream(path))
      const { size } = await stat(path)
      if (answer.bytes !== undefined && size !== answer.bytes)
        throw cutShort(key, answer.bytes, size)
    })
  }

  async head(key: string): Promise<{ bytes: number } | undefined> {
    const command = new HeadObjectCommand({ Bucket: this.#bucket, Key: this.#name(key) })
    try {
      const { ContentLength = 0 } = await this.#client.send(command, this.#callOptions())
      return { bytes: ContentLength }
    } catch (error) {
      const known = s3Error(error, key)
      if (known.code === 'object_missing') return undefined
      throw known
    }
  }

  async *list(prefix: string, startAfter?: string): AsyncIterable<ObjectEntry> {
    let token: string | undefined
    do {
      const command: ListObjectsV2Command = new ListObjectsV2Command({
        Bucket: this.#bucket,
        Prefix: `${this.#prefix}${prefix}`,
        ...(startAfter === undefined ? {} : { StartAfter: `${this.#prefix}${startAfter}` }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      })
      const page = await this.#client.send(command, this.#callOptions()).catch((error: unknown) => {
        throw s3Error(error, prefix)
      })
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        const key = Key.slice(this.#prefix.length)
        if (!isObjectKey(key)) continue
        yield { key, bytes: Size, lastModifiedMs: LastModified?.getTime() ?? 0 }
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined
    } while (token !== undefined)
  }

  async delete(key: string): Promise<void> {
    const command = new DeleteObjectCommand({ Bucket: this.#bucket, Key: this.#name(key) })
    try {
      await this.#client.send(command, this.#callOptions())
    } catch (error) {
      const known = s3Error(error, key)
      if (known.code !== 'object_missing') throw known
    }
  }

  async settle(): Promise<void> {}

  probe(): Promise<void> {
    return probeCreateOnly(this)
  }

  /** Calls that are under way fail: what they did is unknown, as after a timeout. */
  async close(): Promise<void> {
    this.#ending.abort()
    this.#breaker?.shutdown()
    this.#client.destroy()
  }

  #callOptions(timeoutMs = this.#callTimeoutMs): { abortSignal: AbortSignal } {
    const { signal } = this.#ending
    if (signal.aborted) throw new AppError('store_unavailable', 'the store is closed')
    return { abortSignal: AbortSignal.any([AbortSignal.timeout(timeoutMs), signal]) }
  }

  #name(key: string): string {
    return `${this.#prefix}${checkObjectKey(key)}`
  }

  /** Made with the first upload: readers have no timers of it. */
  #dataBreaker(): CircuitBreaker<[string, FinishedFile], void> {
    if (this.#breaker !== undefined) return this.#breaker
    const breaker = new CircuitBreaker(
      (name: string, file: FinishedFile) => this.#upload(name, file),
      { ...BREAKER, name: this.#bucket },
    )
    const tell = (state: string) => () => {
      this.#logger.warn({ bucket: this.#bucket, state }, 'circuit breaker of uploads')
    }
    breaker.on('open', tell('open')).on('halfOpen', tell('half open')).on('close', tell('closed'))
    this.#breaker = breaker
    return breaker
  }

  async #upload(name: string, file: FinishedFile): Promise<void> {
    const upload = file.bytes > SINGLE_PUT_BYTES_MAX ? uploadInParts : uploadWhole
    await this.#retried(name, PASSING, () => upload(this.#target(name), file))
  }

  #target(name: string): UploadTarget {
    return {
      client: this.#client,
      bucket: this.#bucket,
      key: name,
      isSecure: this.#isSecure,
      ...this.#callOptions(this.#uploadTimeoutMs),
    }
  }

  /** undefined: the object has no byte in the range. */
  async #open(
    key: string,
    range: GetOptions['range'],
  ): Promise<{ body: Readable; bytes: number | undefined } | undefined> {
    const last = range === undefined ? 0 : range.offset + range.length - 1
    const command = new GetObjectCommand({
      Bucket: this.#bucket,
      Key: this.#name(key),
      ...(range === undefined ? {} : { Range: `bytes=${range.offset}-${last}` }),
    })
    let answer: GetObjectCommandOutput
    try {
      answer = await this.#client.send(command, this.#callOptions())
    } catch (error) {
      if (httpStatus(error) === 416) return undefined
      throw error
    }
    const { Body, ContentLength } = answer
    if (!(Body instanceof Readable)) throw cutShort(key, ContentLength, 0)
    return { body: Body, bytes: ContentLength }
  }

  /** Repeats what failed without an answer, or with a body that was cut or changed on its way. */
  async #retried<Result>(
    key: string,
    codes: readonly ErrorCode[],
    call: () => Promise<Result>,
  ): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call()
      } catch (error) {
        const known = s3Error(error, key)
        if (!codes.includes(known.code) || attempt === ATTEMPTS_MAX) throw known
        await sleep(PAUSE_MS * 2 ** attempt * (0.5 + Math.random() / 2))
      }
    }
  }
}

/** 409: another write of the key was under way, ours did not happen (AWS: repeat it). */
async function untilNoConflict(send: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await send()
      return
    } catch (error) {
      if (httpStatus(error) !== 409 || attempt === CONFLICT_ATTEMPTS_MAX) throw error
      await sleep(PAUSE_MS * attempt * (0.5 + Math.random() / 2))
    }
  }
}

/** The SDK warns on the console of what we handle: failures are told once, by whoever gives up. */
function sdkLogger(logger: Logger) {
  const tell = (message: unknown) => {
    logger.trace({ message }, 'S3 client')
  }
  return { trace: tell, debug: tell, info: tell, warn: tell, error: tell }
}

async function collect(
  key: string,
  body: Readable,
  bytes: number | undefined,
  bytesMax: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let filled = 0
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    filled += chunk.length
    checkObjectSize(key, filled, bytesMax)
    chunks.push(chunk)
  }
  if (bytes !== undefined && filled !== bytes) throw cutShort(key, bytes, filled)
  return Buffer.concat(chunks, filled)
}

function cutShort(key: string, bytes: number | undefined, received: number): AppError {
  return new AppError('store_unavailable', 'object arrived cut short', {
    details: { key, bytes, received },
  })
}
