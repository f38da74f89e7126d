import type { SecureContextOptions } from 'node:tls'

import type { Compression } from '@tributary/common/compression'

import type { ProbeAnswer } from './probe-answer.ts'

/** States of a server that no client can bring about; tests do, through hooks. */
export const SERVER_STATES = [
  // wants no credentials: what is found without --api-key
  'open_to_all',
  'overloaded',
  'draining',
  'over_rate',
  'unauthenticated',
  'unknown_key',
  'permission_denied',
  'credentials_unchecked',
  'log_unavailable',
  'bug',
  'slow',
] as const
export type ServerState = (typeof SERVER_STATES)[number]

export type ProbeTransport = 'grpc' | 'http'

export interface Endpoint {
  /** host:port */
  readonly grpc: string
  /** http://host:port, or https */
  readonly http: string
  /** Sent with every call: credentials. */
  readonly headers?: Readonly<Record<string, string>>
  /** Set: gRPC goes over TLS too. */
  readonly tls?: SecureContextOptions
}

/** Who asks for it: the OTLP or gRPC specification, or Tributary beyond them. */
export type Authority = 'otlp' | 'grpc' | 'tributary'

export interface ConformanceCase {
  readonly name: string
  readonly transport: ProbeTransport
  readonly authority: Authority
  readonly sent: string
  readonly expected: string
  /** Runs only where the caller can bring the server into this state. */
  readonly state?: ServerState
  readonly run: (endpoint: Endpoint) => Promise<ProbeAnswer>
  /** What is wrong with the answer, or undefined. */
  readonly check: (answer: ProbeAnswer) => string | undefined
}

/** One way of sending the same thing: transport, encoding and compression. */
export interface Variant {
  readonly transport: ProbeTransport
  readonly encoding: 'protobuf' | 'json'
  readonly compression: Compression
}

export function variantName(variant: Variant): string {
  return `${variant.transport} ${variant.encoding} ${variant.compression}`
}
