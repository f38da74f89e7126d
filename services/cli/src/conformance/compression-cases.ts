/** Compressed bodies in odd and broken forms. */
import { gzipSync } from 'node:zlib'

import type { Compression } from '@tributary/common/compression'

import type { ConformanceCase, Variant } from './conformance-case.ts'
import { variantName } from './conformance-case.ts'
import { VARIANTS, junk } from './contract-cases.ts'
import {
  FULL_SUCCESS,
  INVALID,
  TOO_LARGE,
  checkFullSuccess,
  checkStatus,
  describe,
} from './expectation.ts'
import type { Expectation } from './expectation.ts'
import { framed, probeGrpc } from './grpc-probe.ts'
import { GRPC_PATHS, jsonPayload, protobufPayload } from './payload.ts'
import { compressBody, sendCompressed } from './send.ts'

const BOMB_PART_BYTES = 64 * 1024 * 1024
const BOMB_PARTS = 16

export function compressionCases(): ConformanceCase[] {
  return [
    ...VARIANTS.filter((variant) => variant.compression !== 'identity').flatMap(variantCases),
    ...flagCases(),
  ]
}

function variantCases(variant: Variant): ConformanceCase[] {
  const { compression } = variant
  const valid = (): Uint8Array =>
    variant.encoding === 'json' ? jsonPayload('logs') : protobufPayload('logs')
  const packed = (): Uint8Array => compressBody(valid(), compression)
  const make = (
    name: string,
    expectation: Expectation,
    body: () => Uint8Array,
  ): ConformanceCase => ({
    name: `${name}, ${variantName(variant)}`,
    transport: variant.transport,
    authority: compression === 'gzip' ? 'otlp' : 'tributary',
    sent: name,
    expected: describe(expectation, variant.transport),
    run: (endpoint) => sendCompressed(endpoint, variant, 'logs', body()),
    check: (answer) =>
      expectation === FULL_SUCCESS
        ? checkFullSuccess(answer, variant.transport)
        : checkStatus(answer, expectation, variant.transport),
  })
  return [
    make('refuses bytes that are not compressed at all', INVALID, junk),
    make('refuses a compressed body cut in half', INVALID, () =>
      packed().subarray(0, packed().length >> 1),
    ),
    make('refuses a compressed body without its last byte', INVALID, () =>
      packed().subarray(0, -1),
    ),
    make('refuses bytes after the compressed body', INVALID, () =>
      // not beginning with a zero: zeros after gzip are padding
      Buffer.concat([packed(), junk()]),
    ),
    make('refuses a compressed body of no bytes', INVALID, () => new Uint8Array(0)),
    make('refuses a bomb', TOO_LARGE, () => bomb(compression)),
    ...(compression === 'deflate'
      ? []
      : [
          make('accepts a body in two compressed members', FULL_SUCCESS, () => {
            const body = valid()
            const half = body.length >> 1
            return Buffer.concat([
              compressBody(body.subarray(0, half), compression),
              compressBody(body.subarray(half), compression),
            ])
          }),
        ]),
    ...(compression === 'gzip'
      ? [
          make('refuses gzip with a wrong checksum', INVALID, () => {
            const body = Buffer.from(packed())
            body[body.length - 8]! ^= 1
            return body
          }),
        ]
      : []),
  ]
}

/** The compressed flag and the header grpc-encoding need not agree. */
function flagCases(): ConformanceCase[] {
  const base = { transport: 'grpc', authority: 'grpc' } as const
  return [
    {
      ...base,
      name: 'accepts an uncompressed message under grpc-encoding: gzip',
      sent: 'flag 0 with grpc-encoding: gzip',
      expected: 'OK',
      run: (endpoint) =>
        probeGrpc(endpoint, {
          path: GRPC_PATHS.logs,
          headers: { 'grpc-encoding': 'gzip' },
          frames: [framed(protobufPayload('logs'))],
        }),
      check: (answer) => checkFullSuccess(answer, 'grpc'),
    },
    {
      ...base,
      authority: 'tributary',
      name: 'refuses a compressed message without grpc-encoding',
      sent: 'flag 1 without grpc-encoding',
      expected: describe(INVALID, 'grpc'),
      run: (endpoint) =>
        probeGrpc(endpoint, {
          path: GRPC_PATHS.logs,
          frames: [framed(gzipSync(protobufPayload('logs')), true)],
        }),
      check: (answer) => checkStatus(answer, INVALID, 'grpc'),
    },
  ]
}

const bombs = new Map<Compression, Uint8Array>()

/** A gigabyte of zeros; deflate, which knows no members, gets as much as one stream of 256 MiB. */
function bomb(compression: Compression): Uint8Array {
  const known = bombs.get(compression)
  if (known !== undefined) return known
  const made =
    compression === 'deflate'
      ? compressBody(Buffer.alloc(4 * BOMB_PART_BYTES), compression)
      : repeated(compressBody(Buffer.alloc(BOMB_PART_BYTES), compression), BOMB_PARTS)
  bombs.set(compression, made)
  return made
}

function repeated(part: Uint8Array, count: number): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, () => part))
}
