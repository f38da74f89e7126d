/** OTLP/JSON of an export request in protobuf: the standard payloads for benches and load clients. */
import type { SignalName } from '../signal.ts'
import { exportRequest } from './otlp-messages.ts'

const ID_FIELDS = new Set(['traceId', 'spanId', 'parentSpanId'])

/** The same request as JSON text: ids in hex, 64-bit integers as strings, enums as numbers. */
export function jsonPayload(signal: SignalName, body: Uint8Array): Uint8Array {
  const { type } = exportRequest(signal)
  const object: unknown = type.toObject(type.decode(body), {
    longs: String,
    enums: Number,
    bytes: String,
  })
  const text = JSON.stringify(object, (key, value: unknown) =>
    ID_FIELDS.has(key) && typeof value === 'string'
      ? Buffer.from(value, 'base64').toString('hex')
      : value,
  )
  return Buffer.from(text)
}
