/**
 * Runs the status contract and the odd encodings against any OTLP endpoint. Cases that need the
 * server in a special state run only where the caller brings a hook for it, and are listed as not
 * run elsewhere. One case at a time, each over connections of its own, so that none hides another.
 */
import type { SecureContextOptions } from 'node:tls'

import { bytesField } from '@tributary/common/protobuf-message'
import { generateApiKey } from '@tributary/common/tenants/api-key'

import type { ConformanceCase, Endpoint, ServerState } from './conformance-case.ts'
import { compressionCases } from './compression-cases.ts'
import { contractCases } from './contract-cases.ts'
import { encodingCases } from './encoding-cases.ts'
import { protobufPayload } from './payload.ts'
import type { ProbeAnswer } from './probe-answer.ts'
import { send } from './send.ts'

/** A tenant pays for what it sent before: its debt must outlast the cases. */
const FLOOD_REQUEST_BYTES = 4 * 1024 * 1024
const FLOOD_BYTES_MAX = 1024 * 1024 * 1024

/** Brings the server into a state, runs, and brings it back. */
export type StateHook = <T>(run: (endpoint: Endpoint) => Promise<T>) => Promise<T>

export interface ConformanceOptions {
  /** host:port; undefined leaves the transport out. */
  readonly grpc?: string
  /** http://host:port, or https; undefined leaves the transport out. */
  readonly http?: string
  /** Presented by every call, of one tenant; with it the refusal of other credentials is checked too. */
  readonly apiKey?: string
  /** Set: gRPC goes over TLS. */
  readonly tls?: SecureContextOptions
  /** Sends until the rate of the tenant is met, up to FLOOD_BYTES_MAX: then that answer is checked too. */
  readonly isFlooding?: boolean
  /** Runs the cases whose name contains it. */
  readonly only?: string
  readonly states?: Partial<Readonly<Record<ServerState, StateHook>>>
  /** Hears every result as it comes. */
  readonly onResult?: (result: CaseResult) => void
}

export interface CaseResult {
  readonly name: string
  readonly transport: string
  readonly authority: string
  readonly sent: string
  readonly expected: string
  readonly result: 'pass' | 'fail' | 'not run'
  /** What came back: status and message. */
  readonly got: string
  /** What is wrong, or why it did not run. */
  readonly reason: string
}

export interface ConformanceReport {
  readonly passed: number
  readonly failed: number
  readonly notRun: number
  readonly results: readonly CaseResult[]
}

export function conformanceCases(): ConformanceCase[] {
  return [...contractCases(), ...encodingCases(), ...compressionCases()]
}

export async function runConformance(options: ConformanceOptions): Promise<ConformanceReport> {
  const results: CaseResult[] = []
  for (const testCase of conformanceCases()) {
    if (options[testCase.transport] === undefined) continue
    if (options.only !== undefined && !testCase.name.includes(options.only)) continue
    const result = await runCase(testCase, options)
    options.onResult?.(result)
    results.push(result)
  }
  const count = (wanted: CaseResult['result']): number =>
    results.filter(({ result }) => result === wanted).length
  return { passed: count('pass'), failed: count('fail'), notRun: count('not run'), results }
}

async function runCase(
  testCase: ConformanceCase,
  options: ConformanceOptions,
): Promise<CaseResult> {
  const { name, transport, authority, sent, expected, state } = testCase
  const base = { name, transport, authority, sent, expected }
  const hook = state === undefined ? undefined : hookOf(state, options)
  if (state !== undefined && hook === undefined) {
    return { ...base, result: 'not run', got: '', reason: `needs a server that is ${state}` }
  }
  const endpoint = endpointOf(options)
  try {
    const answer = await (hook === undefined ? testCase.run(endpoint) : hook(testCase.run))
    const wrong = testCase.check(answer)
    return {
      ...base,
      result: wrong === undefined ? 'pass' : 'fail',
      got: describeAnswer(answer),
      reason: wrong ?? '',
    }
  } catch (error) {
    return { ...base, result: 'fail', got: '', reason: `probe failed: ${String(error)}` }
  }
}

function endpointOf({ grpc, http, apiKey, tls }: ConformanceOptions): Endpoint {
  return {
    grpc: grpc ?? '',
    http: http ?? '',
    ...(apiKey === undefined ? {} : { headers: bearer(apiKey) }),
    ...(tls === undefined ? {} : { tls }),
  }
}

/** Names a tenant that nobody has a key for. */
const OTHER_TENANT = { 'x-tributary-tenant': 'conformance-other-tenant' } as const

/** States that the caller brings about, and those that only take other credentials than the right ones. */
function hookOf(state: ServerState, options: ConformanceOptions): StateHook | undefined {
  const hook = options.states?.[state]
  if (hook !== undefined) return hook
  const endpoint = endpointOf(options)
  if (state === 'over_rate' && options.isFlooding === true) return (run) => flooded(endpoint, run)
  if (options.apiKey === undefined) {
    return state === 'open_to_all' ? (run) => run(endpoint) : undefined
  }
  switch (state) {
    case 'unauthenticated':
      return (run) => run({ ...endpoint, headers: {} })
    case 'unknown_key':
      return (run) => run({ ...endpoint, headers: bearer(generateApiKey().text) })
    case 'permission_denied':
      return (run) => run({ ...endpoint, headers: { ...endpoint.headers, ...OTHER_TENANT } })
    default:
      return undefined
  }
}

/**
 * Runs when the server refused a flood.
 * @throws Error where it took all of it: the tenant has no rate, or a larger one
 */
async function flooded<T>(endpoint: Endpoint, run: (endpoint: Endpoint) => Promise<T>): Promise<T> {
  const transport = endpoint.grpc === '' ? 'http' : 'grpc'
  const variant = { transport, encoding: 'protobuf', compression: 'identity' } as const
  const body = Buffer.concat([protobufPayload('logs'), unknownField(FLOOD_REQUEST_BYTES)])
  for (let sent = 0; sent < FLOOD_BYTES_MAX; sent += body.length) {
    const { status } = await send(endpoint, variant, 'logs', body)
    if (status !== 0 && status !== 200) return run(endpoint)
  }
  throw new Error(`${String(FLOOD_BYTES_MAX)} bytes met no rate`)
}

/** Field 1000 of a request, which nobody knows: skipped, and counted as bytes. */
function unknownField(bytes: number): Uint8Array {
  return bytesField(1000, new Uint8Array(bytes))
}

function bearer(apiKey: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${apiKey}` }
}

function describeAnswer(answer: ProbeAnswer): string {
  if (answer.status === undefined) return answer.failure
  const retry = answer.retryDelayMs === undefined ? '' : `, retry in ${answer.retryDelayMs} ms`
  const text = answer.message === '' ? '' : ` ${answer.message}`
  return `${answer.status}${text}${retry}`
}
