/** Odd but valid encodings, and broken ones: framing, protobuf, JSON, HTTP. */
import { message, stringField, varintField } from '@tributary/common/protobuf-message'

import type { Authority, ConformanceCase, Endpoint } from './conformance-case.ts'
import { FULL_SUCCESS, INVALID, checkFullSuccess, checkStatus, describe } from './expectation.ts'
import type { Expectation } from './expectation.ts'
import { framed, probeGrpc } from './grpc-probe.ts'
import type { GrpcProbe } from './grpc-probe.ts'
import { probeHttp } from './http-probe.ts'
import type { HttpProbe } from './http-probe.ts'
import { GRPC_PATHS, HTTP_PATHS, jsonPayload, protobufPayload } from './payload.ts'
import type { ProbeAnswer } from './probe-answer.ts'
import { ENCODING_TYPES, send } from './send.ts'

export function encodingCases(): ConformanceCase[] {
  return [
    ...framingCases(),
    ...grpcHeaderCases(),
    ...protobufCases(),
    ...jsonCases(),
    ...httpCases(),
  ]
}

function framingCases(): ConformanceCase[] {
  const whole = framed(protobufPayload('logs'))
  const byteByByte = (): Uint8Array[] =>
    Array.from(framed(protobufPayload('logs')), (byte) => Buffer.from([byte]))
  return [
    grpcCase('refuses a call without a message', INVALID, 'grpc', { frames: [] }),
    grpcCase('refuses half a prefix', INVALID, 'grpc', { frames: [Buffer.from([0, 0, 0])] }),
    grpcCase('refuses half a message', INVALID, 'grpc', { frames: [whole.subarray(0, -3)] }),
    grpcCase('refuses two messages', INVALID, 'grpc', { frames: [whole, whole] }),
    grpcCase('refuses bytes after the message', INVALID, 'grpc', {
      frames: [whole, Buffer.from([1, 2])],
    }),
    grpcCase('refuses an unknown compressed flag', INVALID, 'grpc', {
      frames: [Buffer.concat([Buffer.from([2]), whole.subarray(1)])],
    }),
    grpcCase('accepts a message in frames of one byte', FULL_SUCCESS, 'grpc', {
      frames: byteByByte(),
    }),
    grpcCase('accepts a prefix split from its message', FULL_SUCCESS, 'grpc', {
      frames: [whole.subarray(0, 5), whole.subarray(5)],
    }),
  ]
}

function grpcHeaderCases(): ConformanceCase[] {
  const frames = [framed(protobufPayload('logs'))]
  const withHeaders = (
    name: string,
    headers: Readonly<Record<string, string>>,
    authority: Authority = 'grpc',
  ): ConformanceCase => grpcCase(name, FULL_SUCCESS, authority, { headers, frames })
  return [
    withHeaders('accepts content-type application/grpc+proto', {
      'content-type': 'application/grpc+proto',
    }),
    withHeaders('accepts grpc-encoding: identity', { 'grpc-encoding': 'identity' }),
    withHeaders('accepts a deadline', { 'grpc-timeout': '10S' }),
    withHeaders('accepts unknown metadata', { 'x-anything': 'value', 'x-binary-bin': 'AAECAw' }),
    {
      ...withHeaders('accepts a tenant', { 'x-tributary-tenant': 'team-a_1' }, 'tributary'),
      state: 'open_to_all',
    },
    {
      ...withHeaders('accepts x-scope-orgid', { 'x-scope-orgid': 'team-b' }, 'tributary'),
      state: 'open_to_all',
    },
  ]
}

/** Both transports get the same protobuf. */
function protobufCases(): ConformanceCase[] {
  const group = Buffer.from([
    ((99 << 3) & 0x7f) | 0x80 | 3,
    6,
    8,
    1,
    ((99 << 3) & 0x7f) | 0x80 | 4,
    6,
  ])
  const unknownFields = message(
    varintField(900, 7),
    stringField(901, 'unknown'),
    Buffer.from([0xb5, 0x38, 1, 2, 3, 4]),
  )
  const cases: readonly (readonly [string, Expectation, () => Uint8Array])[] = [
    [
      'accepts unknown fields in an item',
      FULL_SUCCESS,
      () => protobufPayload('logs', unknownFields),
    ],
    ['accepts an unknown group in an item', FULL_SUCCESS, () => protobufPayload('logs', group)],
    [
      'accepts an unknown field in the request',
      FULL_SUCCESS,
      () => message(protobufPayload('logs'), unknownFields),
    ],
    [
      'accepts a varint longer than needed',
      FULL_SUCCESS,
      () => protobufPayload('logs', Buffer.from([0x10, 0x89, 0x80, 0x80, 0x00])),
    ],
    ['accepts a resource without items', FULL_SUCCESS, () => Buffer.from([0x0a, 0])],
    [
      'refuses a length past the end',
      INVALID,
      () => Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ],
    ['refuses wire type 7', INVALID, () => Buffer.from([0x0f, 1])],
    ['refuses field number 0', INVALID, () => Buffer.from([0x02, 0])],
    ['refuses an endless varint', INVALID, () => Buffer.alloc(11, 0xff)],
    [
      'refuses a group that does not end',
      INVALID,
      () => protobufPayload('logs', group.subarray(0, 2)),
    ],
  ]
  return cases.flatMap(([name, expectation, body]) =>
    (['grpc', 'http'] as const).map((transport): ConformanceCase => ({
      name: `${name}, ${transport} protobuf`,
      transport,
      authority: 'otlp',
      sent: name,
      expected: describe(expectation, transport),
      run: (endpoint) =>
        send(
          endpoint,
          { transport, encoding: 'protobuf', compression: 'identity' },
          'logs',
          body(),
        ),
      check: checkOf(expectation, transport),
    })),
  )
}

function jsonCases(): ConformanceCase[] {
  const log = (extra: Readonly<Record<string, unknown>>): Uint8Array => jsonPayload('logs', extra)
  const text = (json: string): Uint8Array => Buffer.from(json)
  const cases: readonly (readonly [string, Expectation, Uint8Array])[] = [
    ['accepts 64-bit integers as numbers', FULL_SUCCESS, log({ timeUnixNano: Date.now() * 1e6 })],
    [
      'accepts ids in upper-case hex',
      FULL_SUCCESS,
      log({ traceId: 'AB'.repeat(16), spanId: 'CD'.repeat(8) }),
    ],
    ['accepts unknown keys', FULL_SUCCESS, log({ notAField: { a: [1, null] } })],
    ['accepts null as absent', FULL_SUCCESS, log({ severityText: null, attributes: null })],
    ['accepts enum numbers', FULL_SUCCESS, log({ severityNumber: 17 })],
    ['accepts enum names', FULL_SUCCESS, log({ severityNumber: 'SEVERITY_NUMBER_ERROR' })],
    ['accepts bytes in base64', FULL_SUCCESS, log({ body: { bytesValue: 'AAEC/w==' } })],
    [
      'accepts an integer of 63 bits',
      FULL_SUCCESS,
      log({ body: { intValue: '9223372036854775807' } }),
    ],
    ['accepts white space', FULL_SUCCESS, text(' \n\t{ "resourceLogs" : [ ] }\r\n')],
    ['refuses an array', INVALID, text('[]')],
    ['refuses text', INVALID, text('hello')],
    ['refuses bytes after the object', INVALID, text('{} {}')],
    ['refuses an id that is no hex', INVALID, log({ traceId: 'zz'.repeat(16) })],
    ['refuses a string where a list must be', INVALID, text('{"resourceLogs":"x"}')],
    ['refuses a depth of 100,000', INVALID, text('{"resourceLogs":' + '['.repeat(100_000))],
  ]
  return cases.map(([name, expectation, body]) => ({
    name: `${name}, http json`,
    transport: 'http' as const,
    authority: 'otlp' as const,
    sent: name,
    expected: describe(expectation, 'http'),
    run: (endpoint: Endpoint) =>
      send(
        endpoint,
        { transport: 'http', encoding: 'json', compression: 'identity' },
        'logs',
        body,
      ),
    check: checkOf(expectation, 'http'),
  }))
}

function httpCases(): ConformanceCase[] {
  const json = jsonPayload('logs')
  const protobuf = protobufPayload('logs')
  const jsonType = { 'content-type': ENCODING_TYPES.json }
  const half = json.length >> 1
  return [
    httpCase('accepts a media type with parameters', {
      headers: { 'content-type': 'application/json; charset=utf-8' },
      chunks: [json],
    }),
    httpCase('accepts a media type in upper case', {
      headers: { 'content-type': 'Application/X-Protobuf' },
      chunks: [protobuf],
    }),
    httpCase('accepts a chunked body', {
      headers: jsonType,
      chunks: [json.subarray(0, half), json.subarray(half)],
      isChunked: true,
    }),
    httpCase('accepts content-encoding: identity', {
      headers: { ...jsonType, 'content-encoding': 'identity' },
      chunks: [json],
    }),
    httpCase('accepts a query after the path', {
      headers: jsonType,
      chunks: [json],
      path: `${HTTP_PATHS.logs}?a=b`,
    }),
    httpCase('accepts after Expect: 100-continue', {
      headers: { ...jsonType, expect: '100-continue' },
      chunks: [json],
    }),
    httpCase('accepts a protobuf body of content-length 0', {
      headers: { 'content-type': ENCODING_TYPES.protobuf },
      chunks: [],
    }),
  ]
}

function httpCase(
  name: string,
  probe: Pick<HttpProbe, 'headers' | 'chunks'> & Partial<HttpProbe>,
): ConformanceCase {
  return {
    name: `${name}, http`,
    transport: 'http',
    authority: 'otlp',
    sent: name,
    expected: '200',
    run: (endpoint) => probeHttp(endpoint, { path: HTTP_PATHS.logs, ...probe }),
    check: checkOf(FULL_SUCCESS, 'http'),
  }
}

function grpcCase(
  name: string,
  expectation: Expectation,
  authority: Authority,
  probe: Omit<GrpcProbe, 'path'>,
): ConformanceCase {
  return {
    name: `${name}, grpc`,
    transport: 'grpc',
    // gRPC leaves the status of broken framing open; ours is the one that never reads as retryable.
    authority: expectation === INVALID ? 'tributary' : authority,
    sent: name,
    expected: describe(expectation, 'grpc'),
    run: (endpoint) => probeGrpc(endpoint, { path: GRPC_PATHS.logs, ...probe }),
    check: checkOf(expectation, 'grpc'),
  }
}

function checkOf(
  expectation: Expectation,
  transport: 'grpc' | 'http',
): (answer: ProbeAnswer) => string | undefined {
  return (answer) =>
    expectation === FULL_SUCCESS
      ? checkFullSuccess(answer, transport)
      : checkStatus(answer, expectation, transport)
}
