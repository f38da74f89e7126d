/**
 * What k6 runs: `k6 run -e SCENARIO=mixed -e HTTP=http://127.0.0.1:4318 loadtest/src/main.ts`; `npm run
 * loadtest` does that and checks afterwards that the bucket holds what was acknowledged.
 *
 *   SCENARIO  a name of scenarios.ts          HTTP  URL of OTLP/HTTP     GRPC  host:port of OTLP/gRPC
 *   SCALE     multiplies rates, default 1     RUN   id of the run        SUMMARY  file for the JSON
 *   API_KEY   sent as a bearer token          P99_FACTOR  multiplies latency thresholds
 *   TIME_SCALE  multiplies how long it lasts, default 1
 */
import encoding from 'k6/encoding'
import { sleep } from 'k6'
import exec from 'k6/execution'
import http from 'k6/http'
import { Counter, Trend } from 'k6/metrics'
import grpc from 'k6/net/grpc'
import type { Options } from 'k6/options'

import { grpcVerdict, httpVerdict, type Verdict } from './answers.ts'
import { SCENARIOS, type PayloadKind } from './scenarios.ts'
import { makePayload, stamp, type Payload } from './telemetry.ts'

const name = __ENV.SCENARIO ?? 'smoke'
const chosen = SCENARIOS[name]
if (chosen === undefined) {
  throw new Error(`SCENARIO ${name} is none of ${Object.keys(SCENARIOS).join(', ')}`)
}
const scenario = chosen
const scale = Number(__ENV.SCALE ?? '1')
const timeScale = Number(__ENV.TIME_SCALE ?? '1')
const httpUrl = __ENV.HTTP ?? 'http://127.0.0.1:4318'
const grpcAddress = __ENV.GRPC ?? '127.0.0.1:4317'
const run = __ENV.RUN ?? 'by-hand'
const apiKey = __ENV.API_KEY
/** Connections that may be open at once: what bounds an open loop when the server is slow. */
const CLIENTS_MAX = 1000
const TIMEOUT = '30s'

const accepted = new Counter('accepted_items')
const refused = new Counter('refused_requests')
const unknown = new Counter('unknown_items')
const wrong = new Counter('wrong_answers')
const acknowledged = new Trend('acknowledgement_ms', true)

export const options: Options = {
  scenarios: { [name]: executor() },
  discardResponseBodies: false,
  summaryTrendStats: ['med', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
  thresholds: {
    wrong_answers: ['count==0'],
    accepted_items: scenario.allowedHttp === undefined ? ['count>0'] : [],
    ...(scenario.p99Ms === undefined
      ? {}
      : { acknowledgement_ms: [`p(99)<${scenario.p99Ms * Number(__ENV.P99_FACTOR ?? '1')}`] }),
  },
}

type Scenarios = NonNullable<Options['scenarios']>

function executor(): Scenarios[string] {
  const { arrival } = scenario
  if ('connections' in arrival) {
    const vus = Math.max(1, Math.round(arrival.connections * Math.min(1, scale)))
    return { executor: 'constant-vus', vus, duration: lasting(arrival.seconds), exec: 'paced' }
  }
  const [first] = arrival.stages
  const peak = Math.max(...arrival.stages.map(({ rate }) => rate)) * scale
  const stages = arrival.stages.map(({ rate, seconds }) => ({
    target: Math.max(1, Math.round(rate * scale)),
    duration: lasting(seconds),
  }))
  return {
    executor: 'ramping-arrival-rate',
    startRate: Math.max(1, Math.round(first!.rate * scale)),
    timeUnit: '1s',
    stages,
    preAllocatedVUs: Math.min(CLIENTS_MAX, Math.max(4, Math.round(first!.rate * scale * 0.02))),
    // a second's worth of arrivals: past that a client has given up on the server anyway
    maxVUs: Math.min(CLIENTS_MAX, Math.max(10, Math.round(peak))),
    exec: 'once',
  }
}

function lasting(seconds: number): string {
  return `${Math.round(1000 * seconds * timeScale)}ms`
}

const GRPC_METHODS: Readonly<Record<PayloadKind['signal'], string>> = {
  logs: 'opentelemetry.proto.collector.logs.v1.LogsService/Export',
  traces: 'opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: 'opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
}
const client = new grpc.Client()
if (scenario.send === 'grpc') {
  client.load(['..'], 'raw_logs.proto', 'raw_trace.proto', 'raw_metrics.proto')
} else if (scenario.send === 'grpc-objects') {
  client.load(['../../proto'], 'opentelemetry/proto/collector/logs/v1/logs_service.proto')
}
let isConnected = false
/** Made when first sent: a client of 1 MB payloads takes half a second of k6's CPU to make one. */
const payloads: Payload[] = []
let sequence = 0

/** One request; how often is the executor's business. */
export function once(): void {
  const index = sequence % scenario.payloads.length
  const kind = scenario.payloads[index]!
  payloads[index] ??= makePayload({ ...kind, run, client: exec.vu.idInTest })
  const payload = payloads[index]
  sequence++
  stamp(payload, sequence)
  const startMs = Date.now()
  const verdict = send(kind, payload)
  switch (verdict) {
    case 'accepted':
      accepted.add(payload.items)
      acknowledged.add(Date.now() - startMs)
      break
    case 'retry':
      refused.add(1)
      break
    case 'allowed':
      break
    case 'unknown':
      unknown.add(payload.items)
      break
    case 'wrong':
      wrong.add(1)
      break
  }
}

/** One request in every second, at a moment of its own. */
export function paced(): void {
  const startMs = Date.now()
  once()
  pause(startMs + 1000 * (0.5 + Math.random()))
}

function pause(untilMs: number): void {
  const leftMs = untilMs - Date.now()
  if (leftMs > 0) sleep(leftMs / 1000)
}

function send(kind: PayloadKind, payload: Payload): Verdict {
  if (scenario.send === 'http') return sendHttp(kind, payload)
  if (!isConnected) {
    client.connect(grpcAddress, { plaintext: true, timeout: TIMEOUT })
    isConnected = true
  }
  const message = scenario.send === 'grpc' ? rawMessage(payload) : objectMessage(payload.items)
  const answer = client.invoke(GRPC_METHODS[kind.signal], message, {
    metadata: headers(),
    timeout: TIMEOUT,
  })
  return grpcVerdict(answer)
}

function sendHttp(kind: PayloadKind, payload: Payload): Verdict {
  const { bytes } = payload
  const body = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
  const answer = http.post(`${httpUrl}/v1/${kind.signal}`, body, {
    headers: { 'content-type': 'application/x-protobuf', ...headers() },
    responseType: 'text',
    timeout: TIMEOUT,
  })
  return httpVerdict(answer, scenario.allowedHttp ?? [])
}

function headers(): Record<string, string> {
  const named: Record<string, string> = {}
  const { tenants = 0 } = scenario
  if (tenants > 0) named['x-tributary-tenant'] = `load-${sequence % tenants}`
  if (apiKey !== undefined) named.authorization = `Bearer ${apiKey}`
  return named
}

function rawMessage({ bytes, parts }: Payload): object {
  const resourceParts: string[] = []
  for (let i = 0; i < parts.length; i += 2) {
    const part = bytes.slice(parts[i], parts[i + 1])
    resourceParts.push(encoding.b64encode(part.buffer))
  }
  return { resource_parts: resourceParts }
}

/** What a program with generated classes would send; k6 spends 10 ms on a hundred of these. */
function objectMessage(items: number): object {
  const logRecords = Array.from({ length: items }, (_, index) => ({
    time_unix_nano: `${Date.now()}${String(100_000 + index)}`,
    severity_text: 'INFO',
    body: { string_value: `smoke ${exec.vu.idInTest}-${sequence}-${index}` },
  }))
  const attribute = (key: string, value: string) => ({ key, value: { string_value: value } })
  const resource = {
    attributes: [attribute('service.name', 'smoke'), attribute('loadtest.run', run)],
  }
  const part = { resource, scope_logs: [{ log_records: logRecords }] }
  return { resource_logs: [part] }
}

/** The figures as JSON, for the check and the comparison; k6's own text goes to the terminal. */
export function handleSummary(data: unknown): Record<string, string> {
  const summary = JSON.stringify({ scenario: name, scale, run, ...(data as object) }, null, 2)
  return { [__ENV.SUMMARY ?? 'summary.json']: summary }
}
