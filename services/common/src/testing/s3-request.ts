/** What a request asks of an S3 server, read from method and path-style URL. */
import type { IncomingMessage } from 'node:http'

export type S3Operation =
  | 'put'
  | 'get'
  | 'head'
  | 'list'
  | 'delete'
  | 'create-upload'
  | 'part'
  | 'complete-upload'
  | 'abort-upload'
  | 'other'

export interface S3Request {
  readonly operation: S3Operation
  readonly bucket: string
  /** Decoded; '' for a request to the bucket. */
  readonly key: string
}

export function parseS3Request(request: IncomingMessage): S3Request {
  const url = new URL(request.url ?? '/', 'http://store')
  const [, bucket = '', ...rest] = url.pathname.split('/')
  const key = decodeURIComponent(rest.join('/'))
  return {
    operation: operationOf(request.method ?? '', key, url.searchParams),
    bucket: decodeURIComponent(bucket),
    key,
  }
}

function operationOf(method: string, key: string, query: URLSearchParams): S3Operation {
  if (key === '') return method === 'GET' && query.has('list-type') ? 'list' : 'other'
  const hasUpload = query.has('uploadId')
  switch (method) {
    case 'PUT':
      return hasUpload ? 'part' : 'put'
    case 'GET':
      return hasUpload ? 'other' : 'get'
    case 'HEAD':
      return 'head'
    case 'DELETE':
      return hasUpload ? 'abort-upload' : 'delete'
    case 'POST':
      return query.has('uploads') ? 'create-upload' : hasUpload ? 'complete-upload' : 'other'
    default:
      return 'other'
  }
}

/** The page of a listing without these keys, as it was before they were written. */
export function withoutKeys(listing: string, hidden: ReadonlySet<string>): string {
  return listing.replaceAll(/<Contents>.*?<\/Contents>/gs, (entry) => {
    const key = /<Key>(.*?)<\/Key>/s.exec(entry)?.[1]
    return key !== undefined && hidden.has(unescapeXml(key)) ? '' : entry
  })
}

function unescapeXml(text: string): string {
  const named: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'" }
  return text
    .replaceAll(/&(lt|gt|quot|apos);/g, (whole, name: string) => named[name] ?? whole)
    .replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replaceAll('&amp;', '&')
}
