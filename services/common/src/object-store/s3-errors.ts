import { AppError } from '../errors.ts'
import { objectExists, objectMissing } from './object-contract.ts'

interface ServiceError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string }
}

/** The server compared the bytes with the hash that we sent. */
const MISMATCHES = new Set(['XAmzContentSHA256Mismatch', 'BadDigest', 'InvalidDigest'])
const REFUSALS = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'CredentialsProviderError',
])

/** Status of a failed call; undefined where there was no answer. */
export function httpStatus(error: unknown): number | undefined {
  return error instanceof Error ? (error as ServiceError).$metadata?.httpStatusCode : undefined
}

/** What the SDK threw, as an AppError; everything without a clear answer is store_unavailable. */
export function s3Error(error: unknown, key: string): AppError {
  if (error instanceof AppError) return error
  const name = error instanceof Error ? error.name : 'unknown'
  const status = httpStatus(error)
  if (name === 'NoSuchBucket') return unavailable('bucket is missing', error, key, name)
  // completed before and its answer lost, or expired: the upload starts anew
  if (name === 'NoSuchUpload') return unavailable('upload is gone', error, key, name)
  if (status === 404) return objectMissing(key, error)
  if (status === 412) return objectExists(key, error)
  if (status === 501) {
    return new AppError('store_unfit', 'object store does not know an operation', {
      cause: error,
      details: { key, error: name },
    })
  }
  if (MISMATCHES.has(name)) {
    return new AppError('object_mismatch', 'object store received other bytes than were hashed', {
      cause: error,
      details: { key },
    })
  }
  if (status === 403 || REFUSALS.has(name)) {
    return unavailable('object store refuses the credentials', error, key, name)
  }
  return unavailable('object store failed', error, key, name)
}

function unavailable(message: string, cause: unknown, key: string, name: string): AppError {
  return new AppError('store_unavailable', message, {
    cause,
    details: { key, error: name, status: httpStatus(cause) },
  })
}
