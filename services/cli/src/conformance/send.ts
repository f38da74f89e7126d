/** Sends one body in one variant: the small differences between the transports live here. */
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'

import type { Compression } from '@tributary/common/compression'

import type { Endpoint, Variant } from './conformance-case.ts'
import { framed, probeGrpc } from './grpc-probe.ts'
import { probeHttp } from './http-probe.ts'
import { GRPC_PATHS, HTTP_PATHS } from './payload.ts'
import type { ProbeSignal } from './payload.ts'
import type { ProbeAnswer } from './probe-answer.ts'

export const ENCODING_TYPES = {
  protobuf: 'application/x-protobuf',
  json: 'application/json',
} as const

export function compressBody(body: Uint8Array, compression: Compression): Uint8Array {
  switch (compression) {
    case 'identity':
      return body
    case 'gzip':
      return gzipSync(body)
    case 'deflate':
      return deflateSync(body)
    case 'zstd':
      return zstdCompressSync(body)
  }
}

/** Sends a body that is compressed already, with extra headers. */
export function sendCompressed(
  endpoint: Endpoint,
  variant: Variant,
  signal: ProbeSignal,
  compressed: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<ProbeAnswer> {
  const isCompressed = variant.compression !== 'identity'
  if (variant.transport === 'grpc') {
    return probeGrpc(endpoint, {
      path: GRPC_PATHS[signal],
      headers: { ...(isCompressed ? { 'grpc-encoding': variant.compression } : {}), ...headers },
      frames: [framed(compressed, isCompressed)],
    })
  }
  return probeHttp(endpoint, {
    path: HTTP_PATHS[signal],
    headers: {
      'content-type': ENCODING_TYPES[variant.encoding],
      ...(isCompressed ? { 'content-encoding': variant.compression } : {}),
      ...headers,
    },
    chunks: [compressed],
  })
}

export function send(
  endpoint: Endpoint,
  variant: Variant,
  signal: ProbeSignal,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<ProbeAnswer> {
  return sendCompressed(endpoint, variant, signal, compressBody(body, variant.compression), headers)
}
