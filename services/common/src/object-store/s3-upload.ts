/**
 * Uploads of finished files: streamed from disk in one PUT, or in parts of bounded memory above
 * SINGLE_PUT_BYTES_MAX. The bytes that arrive are compared with the file's hash: in a PUT by the
 * server (x-amz-content-sha256), with parts here (hash of the whole) and there (CRC-32 of each).
 *
 * Keys hold content hashes, so both overwrite: whoever repeats an upload writes the same object.
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { FileHandle } from 'node:fs/promises'
import type { Hash } from 'node:crypto'

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3'

import { AppError } from '../errors.ts'
import { failpoint } from '../failpoint.ts'

export const SINGLE_PUT_BYTES_MAX = 64 * 1024 * 1024
/** S3 takes 10,000 parts of at least 5 MiB: files up to 160 GiB. */
const PART_BYTES = 16 * 1024 * 1024
const PARTS_MAX = 10_000
/** Two parts of 16 MiB in memory: one is read while the other is sent. */
const PARTS_IN_FLIGHT_MAX = 2
const READ_BYTES = 1024 * 1024

export interface UploadTarget {
  readonly client: S3Client
  readonly bucket: string
  readonly key: string
  /** Payloads are encrypted anyway: their signature would only cost a hash. */
  readonly isSecure: boolean
  readonly abortSignal: AbortSignal
}

export interface FinishedFile {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/** CRC-32 as S3's headers write it. */
export function crc32Base64(bytes: Uint8Array): string {
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32(bytes))
  return checksum.toString('base64')
}

interface BuildStack {
  add(
    middleware: (
      next: (args: { input: object; request: unknown }) => Promise<never>,
    ) => (args: { input: object; request: unknown }) => Promise<never>,
    options: { step: 'build'; name: string },
  ): void
}

/** Tells the signer the hash of a body, so that it neither reads nor buffers it. */
export function withPayloadHash<Command extends { middlewareStack: unknown }>(
  command: Command,
  payloadHash: string,
): Command {
  const stack = command.middlewareStack as BuildStack
  stack.add(
    (next) => (args) => {
      const request = args.request as { headers: Record<string, string> }
      request.headers['x-amz-content-sha256'] = payloadHash
      return next(args)
    },
    { step: 'build', name: 'payloadHash' },
  )
  return command
}

/** One PUT, streamed from disk. */
export async function uploadWhole(target: UploadTarget, file: FinishedFile): Promise<void> {
  const { client, bucket, key, abortSignal } = target
  // opened before anything is sent: a stream that can't open its file fails while nobody listens
  const handle = await open(file.path, 'r')
  const body = handle.createReadStream({ highWaterMark: READ_BYTES })
  const failed = new AbortController()
  body.on('error', (error) => {
    failed.abort(error)
  })
  try {
    const command = new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      Body: body,
      ContentLength: file.bytes,
      ContentType: 'application/vnd.apache.parquet',
    })
    const signal = AbortSignal.any([abortSignal, failed.signal])
    await client.send(withPayloadHash(command, file.sha256), { abortSignal: signal })
  } finally {
    body.destroy()
  }
}

/** In parts; a failure aborts the upload, so that no parts stay and cost. */
export async function uploadInParts(target: UploadTarget, file: FinishedFile): Promise<void> {
  const { client, bucket, key, abortSignal } = target
  if (file.bytes > PARTS_MAX * PART_BYTES) {
    throw new AppError('object_too_large', 'file has too many parts', { details: { key } })
  }
  const created = await client.send(
    new CreateMultipartUploadCommand({ Bucket: bucket, Key: key, ChecksumAlgorithm: 'CRC32' }),
    { abortSignal },
  )
  const upload = { Bucket: bucket, Key: key, UploadId: created.UploadId }
  try {
    await failpoint('store:multipart-created')
    const parts = await sendParts(target, file, created.UploadId)
    await failpoint('store:before-multipart-complete')
    await client.send(
      new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }),
      { abortSignal },
    )
  } catch (error) {
    // best effort: a rule of the bucket removes what a crash leaves
    await client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined)
    throw error
  }
}

async function sendParts(
  target: UploadTarget,
  file: FinishedFile,
  uploadId: string | undefined,
): Promise<CompletedPart[]> {
  const partCount = Math.ceil(file.bytes / PART_BYTES)
  const running: Promise<CompletedPart>[] = []
  const parts: CompletedPart[] = []
  const hash = createHash('sha256')
  const handle = await open(file.path, 'r')
  try {
    for (let number = 1; number <= partCount; number++) {
      const body = await readPart(handle, hash, number, file.bytes)
      const part = sendPart(target, uploadId, number, body)
      part.catch(() => undefined)
      running.push(part)
      await failpoint('store:part')
      if (running.length >= PARTS_IN_FLIGHT_MAX) parts.push(await running.shift()!)
    }
    parts.push(...(await Promise.all(running)))
  } finally {
    await Promise.allSettled(running)
    await handle.close()
  }
  if (hash.digest('hex') !== file.sha256) {
    throw new AppError('object_mismatch', 'file differs from its hash', {
      details: { key: target.key },
    })
  }
  return parts
}

async function readPart(
  handle: FileHandle,
  hash: Hash,
  number: number,
  fileBytes: number,
): Promise<Buffer> {
  const position = (number - 1) * PART_BYTES
  const body = Buffer.allocUnsafe(Math.min(PART_BYTES, fileBytes - position))
  let filled = 0
  while (filled < body.length) {
    const { bytesRead } = await handle.read(body, filled, body.length - filled, position + filled)
    if (bytesRead === 0) {
      throw new AppError('object_mismatch', 'file is shorter than promised', {
        details: { bytes: position + filled, expected: fileBytes },
      })
    }
    filled += bytesRead
  }
  hash.update(body)
  return body
}

async function sendPart(
  target: UploadTarget,
  uploadId: string | undefined,
  number: number,
  body: Buffer,
): Promise<CompletedPart> {
  const checksum = crc32Base64(body)
  const command = new UploadPartCommand({
    Bucket: target.bucket,
    Key: target.key,
    UploadId: uploadId,
    PartNumber: number,
    Body: body,
    ContentLength: body.length,
    ChecksumCRC32: checksum,
  })
  const payloadHash = target.isSecure
    ? 'UNSIGNED-PAYLOAD'
    : createHash('sha256').update(body).digest('hex')
  const answer = await target.client.send(withPayloadHash(command, payloadHash), {
    abortSignal: target.abortSignal,
  })
  return { PartNumber: number, ETag: answer.ETag, ChecksumCRC32: checksum }
}
