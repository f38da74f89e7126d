/** The status contract: what each condition is answered with, on every way of sending it. */
import { randomBytes } from 'node:crypto'

import { COMPRESSIONS } from '@tributary/common/compression'
import { LIMITS } from '@tributary/common/limits'

import type {
  Authority,
  ConformanceCase,
  Endpoint,
  ServerState,
  Variant,
} from './conformance-case.ts'
import { variantName } from './conformance-case.ts'
import {
  INVALID,
  OVER_RATE,
  PERMISSION_DENIED,
  TOO_LARGE,
  UNAUTHENTICATED,
  UNAVAILABLE,
  UNKNOWN_METHOD,
  UNKNOWN_PATH,
  UNSUPPORTED,
  checkEncoding,
  checkFullSuccess,
  checkPartialSuccess,
  checkStatus,
  describe,
} from './expectation.ts'
import type { Expectation } from './expectation.ts'
import { framed, probeGrpc } from './grpc-probe.ts'
import { probeHttp } from './http-probe.ts'
import {
  GRPC_PATHS,
  HTTP_PATHS,
  PROBE_SIGNALS,
  jsonBadSpan,
  jsonFutureLog,
  jsonLogOf,
  jsonPayload,
  protobufBadSpan,
  protobufFutureLog,
  protobufLogOf,
  protobufPayload,
} from './payload.ts'
import type { ProbeSignal } from './payload.ts'
import type { ProbeAnswer } from './probe-answer.ts'
import { ENCODING_TYPES, send } from './send.ts'

export const VARIANTS: readonly Variant[] = COMPRESSIONS.flatMap((compression) => [
  { transport: 'grpc', encoding: 'protobuf', compression } as const,
  { transport: 'http', encoding: 'protobuf', compression } as const,
  { transport: 'http', encoding: 'json', compression } as const,
])

/** OTLP requires gzip and no compression; the others are extensions. */
function authorityOf(variant: Variant): Authority {
  return variant.compression === 'identity' || variant.compression === 'gzip' ? 'otlp' : 'tributary'
}

export function contractCases(): ConformanceCase[] {
  return [
    ...VARIANTS.flatMap((variant) => [
      ...PROBE_SIGNALS.flatMap((signal) => [accepted(variant, signal), empty(variant, signal)]),
      rejectedSpan(variant),
      ...rejectedLogs(variant),
      undecodable(variant),
      invalidTenant(variant),
      ...STATE_EXPECTATIONS.map(([state, expectation]) => inState(variant, state, expectation)),
    ]),
    ...oversizeCases(),
    ...unknownCases(),
  ]
}

const STATE_EXPECTATIONS: readonly (readonly [ServerState, Expectation])[] = [
  ['overloaded', UNAVAILABLE],
  ['draining', UNAVAILABLE],
  ['over_rate', OVER_RATE],
  ['unauthenticated', UNAUTHENTICATED],
  ['unknown_key', UNAUTHENTICATED],
  ['permission_denied', PERMISSION_DENIED],
  ['credentials_unchecked', UNAVAILABLE],
  ['log_unavailable', UNAVAILABLE],
  ['bug', UNAVAILABLE],
  ['slow', UNAVAILABLE],
]

function validBody(variant: Variant, signal: ProbeSignal): Uint8Array {
  return variant.encoding === 'json' ? jsonPayload(signal) : protobufPayload(signal)
}

function accepted(variant: Variant, signal: ProbeSignal): ConformanceCase {
  return {
    name: `accepts ${signal}, ${variantName(variant)}`,
    transport: variant.transport,
    authority: authorityOf(variant),
    sent: `one item of ${signal}`,
    expected: 'success, partial_success unset, in the encoding of the request',
    run: (endpoint) => send(endpoint, variant, signal, validBody(variant, signal)),
    check: (answer) => checkFullSuccess(answer, variant.transport) ?? encodingOf(answer, variant),
  }
}

function empty(variant: Variant, signal: ProbeSignal): ConformanceCase {
  const body = variant.encoding === 'json' ? Buffer.from('{}') : new Uint8Array(0)
  return {
    name: `accepts an empty request of ${signal}, ${variantName(variant)}`,
    transport: variant.transport,
    authority: authorityOf(variant),
    sent: 'an Export request without a field',
    expected: 'success, partial_success unset',
    run: (endpoint) => send(endpoint, variant, signal, body),
    check: (answer) => checkFullSuccess(answer, variant.transport) ?? encodingOf(answer, variant),
  }
}

function rejectedSpan(variant: Variant): ConformanceCase {
  const body = variant.encoding === 'json' ? jsonBadSpan : protobufBadSpan
  return {
    name: `rejects a span with a zero trace id, ${variantName(variant)}`,
    transport: variant.transport,
    authority: 'tributary',
    sent: 'one span with a trace id of zeros',
    expected: 'success, partial_success with 1 rejected',
    run: (endpoint) => send(endpoint, variant, 'traces', body()),
    check: (answer) => checkPartialSuccess(answer, variant.transport, 1),
  }
}

/** Items that are well-formed, and that Tributary can never take. */
function rejectedLogs(variant: Variant): ConformanceCase[] {
  const isJson = variant.encoding === 'json'
  const make = (name: string, sent: string, body: () => Uint8Array): ConformanceCase => ({
    name: `rejects ${name}, ${variantName(variant)}`,
    transport: variant.transport,
    authority: 'tributary',
    sent,
    expected: 'success, partial_success with 1 rejected',
    run: (endpoint) => send(endpoint, variant, 'logs', body()),
    check: (answer) => checkPartialSuccess(answer, variant.transport, 1),
  })
  const bytes = LIMITS.itemBytesMax + 1024
  return [
    make('an item that no record of the log takes', `a log record of ${String(bytes)} bytes`, () =>
      isJson ? jsonLogOf(bytes) : protobufLogOf(bytes),
    ),
    make('an item far in the future', 'a log record of the year 2200', () =>
      isJson ? jsonFutureLog() : protobufFutureLog(),
    ),
  ]
}

function undecodable(variant: Variant): ConformanceCase {
  // Field 1, length 100, and one byte of it; JSON that stops in the middle.
  const body =
    variant.encoding === 'json' ? Buffer.from('{"resourceLogs":[{') : Buffer.from([0x0a, 100, 0])
  return {
    name: `refuses an undecodable body, ${variantName(variant)}`,
    transport: variant.transport,
    authority: authorityOf(variant),
    sent: 'a body cut in the middle of a field',
    expected: describe(INVALID, variant.transport),
    run: (endpoint) => send(endpoint, variant, 'logs', body),
    check: (answer) =>
      checkStatus(answer, INVALID, variant.transport) ?? encodingOf(answer, variant),
  }
}

function invalidTenant(variant: Variant): ConformanceCase {
  return {
    name: `refuses an invalid tenant name, ${variantName(variant)}`,
    transport: variant.transport,
    authority: 'tributary',
    sent: 'x-tributary-tenant: Not/A/Name',
    expected: describe(INVALID, variant.transport),
    run: (endpoint) =>
      send(endpoint, variant, 'logs', validBody(variant, 'logs'), {
        'x-tributary-tenant': 'Not/A/Name',
      }),
    check: (answer) =>
      checkStatus(answer, INVALID, variant.transport) ?? encodingOf(answer, variant),
  }
}

function inState(variant: Variant, state: ServerState, expectation: Expectation): ConformanceCase {
  return {
    name: `answers when ${state}, ${variantName(variant)}`,
    transport: variant.transport,
    authority: 'otlp',
    state,
    sent: `one item of logs while the server is in the state ${state}`,
    expected: describe(expectation, variant.transport),
    run: (endpoint) => send(endpoint, variant, 'logs', validBody(variant, 'logs')),
    check: (answer) =>
      state === 'draining' && isUnprocessed(answer)
        ? undefined
        : (checkStatus(answer, expectation, variant.transport) ?? encodingOf(answer, variant)),
  }
}

/** GOAWAY told the client that its call was never looked at: gRPC clients send it again elsewhere. */
function isUnprocessed(answer: ProbeAnswer): boolean {
  return answer.failure.includes('REFUSED_STREAM')
}

/** 4 GiB announced; a gigabyte of zeros compressed; only a little is ever sent. */
function oversizeCases(): ConformanceCase[] {
  const announced = Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3])
  const grpc: ConformanceCase = {
    name: 'refuses a message announced with 4 GiB, grpc',
    transport: 'grpc',
    authority: 'otlp',
    sent: 'a prefix with length 4294967295 and three bytes, the stream left open',
    expected: describe(TOO_LARGE, 'grpc'),
    run: (endpoint) =>
      probeGrpc(endpoint, { path: GRPC_PATHS.logs, frames: [announced], endsStream: false }),
    check: (answer) => checkStatus(answer, TOO_LARGE, 'grpc'),
  }
  const http = (['protobuf', 'json'] as const).map((encoding): ConformanceCase => ({
    name: `refuses a content-length of 8 GiB, http ${encoding}`,
    transport: 'http',
    authority: 'otlp',
    sent: 'content-length: 8589934592 and three bytes, the body left open',
    expected: describe(TOO_LARGE, 'http'),
    run: (endpoint) =>
      probeHttp(endpoint, {
        path: HTTP_PATHS.logs,
        headers: { 'content-type': ENCODING_TYPES[encoding], 'content-length': '8589934592' },
        chunks: [Buffer.from([1, 2, 3])],
        endsBody: false,
      }),
    check: (answer) => checkStatus(answer, TOO_LARGE, 'http') ?? checkEncoding(answer, encoding),
  }))
  return [grpc, ...http]
}

function unknownCases(): ConformanceCase[] {
  return [...unknownGrpc(), ...unknownHttp()]
}

function unknownGrpc(): ConformanceCase[] {
  const frames = [framed(protobufPayload('logs'))]
  const probe =
    (path: string, headers: Readonly<Record<string, string | undefined>>) =>
    (endpoint: Endpoint): Promise<ProbeAnswer> =>
      probeGrpc(endpoint, { path, headers, frames })
  const base = { transport: 'grpc', authority: 'grpc' } as const
  const expected = describe(UNSUPPORTED, 'grpc')
  const check = (answer: ProbeAnswer): string | undefined =>
    checkStatus(answer, UNSUPPORTED, 'grpc')
  return [
    {
      ...base,
      name: 'refuses an unknown service, grpc',
      sent: 'a call of example.Nothing/Export',
      expected,
      run: probe('/example.Nothing/Export', {}),
      check,
    },
    {
      ...base,
      name: 'refuses an unknown method, grpc',
      sent: 'a call of LogsService/Import',
      expected,
      run: probe(GRPC_PATHS.logs.replace('Export', 'Import'), {}),
      check,
    },
    {
      ...base,
      name: 'refuses an unknown grpc-encoding and names those it takes',
      sent: 'grpc-encoding: br',
      expected: `${expected}, grpc-accept-encoding`,
      run: probe(GRPC_PATHS.logs, { 'grpc-encoding': 'br' }),
      check: (answer) =>
        check(answer) ??
        (answer.headers['grpc-accept-encoding']?.includes('gzip') === true
          ? undefined
          : 'grpc-accept-encoding does not name gzip'),
    },
    {
      ...base,
      name: 'refuses a content-type that is no gRPC with HTTP status 415',
      sent: 'content-type: text/plain',
      expected: ':status 415',
      run: probe(GRPC_PATHS.logs, { 'content-type': 'text/plain' }),
      check: (answer) =>
        answer.headers[':status'] === '415'
          ? undefined
          : `:status ${answer.headers[':status'] ?? 'missing'}`,
    },
  ]
}

function unknownHttp(): ConformanceCase[] {
  return (['protobuf', 'json'] as const).flatMap((encoding) => {
    const type = { 'content-type': ENCODING_TYPES[encoding] }
    const body = encoding === 'json' ? jsonPayload('logs') : protobufPayload('logs')
    const make = (
      name: string,
      expectation: Expectation,
      probe: { path?: string; method?: string; headers?: Readonly<Record<string, string>> },
      alsoCheck: (answer: ProbeAnswer) => string | undefined,
    ): ConformanceCase => ({
      name: `${name}, http ${encoding}`,
      transport: 'http',
      authority: 'otlp',
      sent: name,
      expected: describe(expectation, 'http'),
      run: (endpoint) =>
        probeHttp(endpoint, {
          path: HTTP_PATHS.logs,
          chunks: [probe.method === 'GET' ? new Uint8Array(0) : body],
          ...probe,
          headers: { ...type, ...probe.headers },
        }),
      check: (answer) => checkStatus(answer, expectation, 'http') ?? alsoCheck(answer),
    })
    const sameEncoding = (answer: ProbeAnswer): string | undefined =>
      checkEncoding(answer, encoding)
    return [
      make('refuses an unknown path', UNKNOWN_PATH, { path: '/v1/nothing' }, sameEncoding),
      ...(['GET', 'PUT', 'DELETE'] as const).map((method) =>
        make(`refuses ${method} and allows POST`, UNKNOWN_METHOD, { method }, (answer) =>
          answer.headers['allow'] === 'POST' ? undefined : 'no header Allow: POST',
        ),
      ),
      make(
        'refuses an unknown media type',
        UNSUPPORTED,
        { headers: { 'content-type': 'text/plain' } },
        () => undefined,
      ),
      make(
        'refuses an unknown content-encoding',
        UNSUPPORTED,
        { headers: { 'content-encoding': 'br' } },
        sameEncoding,
      ),
    ]
  })
}

function encodingOf(answer: ProbeAnswer, variant: Variant): string | undefined {
  return variant.transport === 'http' ? checkEncoding(answer, variant.encoding) : undefined
}

/** Random bytes: no compression accepts them. */
export function junk(): Uint8Array {
  return Buffer.concat([Buffer.from([0xff]), randomBytes(63)])
}
