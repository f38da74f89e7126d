/**
 * OTLP messages through protobufjs and the definitions in proto/: a foreign encoder and decoder for
 * tests and the schema that the test model walks. Never on a path of the product.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

import protobuf from 'protobufjs'

import type { SignalName } from '../signal.ts'

const SERVICE_FILES = ['logs', 'trace', 'metrics'].map(
  (name) => `opentelemetry/proto/collector/${name}/v1/${name}_service.proto`,
)

const REQUEST_TYPES: Readonly<Record<SignalName, string>> = {
  logs: 'opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest',
  spans: 'opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest',
  metrics: 'opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest',
}

const RESPONSE_TYPES: Readonly<Record<SignalName, string>> = {
  logs: 'opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse',
  spans: 'opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse',
  metrics: 'opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse',
}

/** The folder proto/ of this project. */
export function protoFolder(): string {
  let folder = import.meta.dirname
  while (dirname(folder) !== folder) {
    const candidate = join(folder, 'proto')
    if (existsSync(join(candidate, SERVICE_FILES[0]!))) return candidate
    folder = dirname(folder)
  }
  throw new Error('no proto folder above this file')
}

let loaded: protobuf.Root | undefined

/** The reflection root of all OTLP definitions, resolved; loaded once. */
export function otlpRoot(): protobuf.Root {
  if (loaded !== undefined) return loaded
  const folder = protoFolder()
  const root = new protobuf.Root()
  root.resolvePath = (_origin, target) => join(folder, target)
  root.loadSync(SERVICE_FILES)
  root.resolveAll()
  loaded = root
  return root
}

/** One message type with plain objects on the outside: 64-bit integers as decimal strings. */
export class OtlpMessage {
  readonly type: protobuf.Type

  constructor(fullName: string) {
    this.type = otlpRoot().lookupType(fullName)
  }

  /**
   * Protobuf bytes of a plain object: camelCase members, 64-bit integers as strings, numbers or
   * Long, bytes as Uint8Array or base64, enums as numbers or names.
   */
  encode(object: Record<string, unknown>): Uint8Array {
    return this.type.encode(this.type.fromObject(object)).finish()
  }

  /** A plain object of protobuf bytes; absent members are left out, oneofs named. */
  decode(bytes: Uint8Array): Record<string, unknown> {
    return this.type.toObject(this.type.decode(bytes), {
      longs: String,
      enums: Number,
      oneofs: true,
    })
  }
}

const requests = new Map<SignalName, OtlpMessage>()
const responses = new Map<SignalName, OtlpMessage>()

function cached(
  known: Map<SignalName, OtlpMessage>,
  signal: SignalName,
  names: Readonly<Record<SignalName, string>>,
): OtlpMessage {
  let message = known.get(signal)
  if (message === undefined) {
    message = new OtlpMessage(names[signal])
    known.set(signal, message)
  }
  return message
}

/** The ExportXServiceRequest of a signal. */
export function exportRequest(signal: SignalName): OtlpMessage {
  return cached(requests, signal, REQUEST_TYPES)
}

/** The ExportXServiceResponse of a signal. */
export function exportResponse(signal: SignalName): OtlpMessage {
  return cached(responses, signal, RESPONSE_TYPES)
}
