/**
 * Items that can be found again: each carries the id of its run and a number of its own. They go out
 * over both transports in both encodings, and must come back once each, with the value that they had.
 */
import { bytesField, message, stringField } from '@tributary/common/protobuf-message'

import type { Endpoint, Variant } from '../conformance/conformance-case.ts'
import { jsonPayload, PROBE_SIGNALS, protobufPayload } from '../conformance/payload.ts'
import type { ProbeSignal } from '../conformance/payload.ts'
import type { ProbeAnswer } from '../conformance/probe-answer.ts'
import { send } from '../conformance/send.ts'

export const RUN_KEY = 'roundtrip.run'
export const NUMBER_KEY = 'roundtrip.number'

/** The field that holds the attributes of a log record, a span and a data point. */
const ATTRIBUTES_FIELD: Readonly<Record<ProbeSignal, number>> = { logs: 6, traces: 9, metrics: 7 }

export interface MarkedItem {
  readonly signal: ProbeSignal
  readonly number: number
  readonly variant: Variant
}

/** `count` items of each signal, spread over all variants that the endpoint has. */
export function markedItems(endpoint: Endpoint, count: number): MarkedItem[] {
  const variants = variantsOf(endpoint)
  return PROBE_SIGNALS.flatMap((signal) =>
    Array.from({ length: count }, (_, number) => ({
      signal,
      number,
      variant: variants[number % variants.length]!,
    })),
  )
}

export function sendItem(endpoint: Endpoint, run: string, item: MarkedItem): Promise<ProbeAnswer> {
  const { signal, number, variant } = item
  const body =
    variant.encoding === 'json'
      ? jsonPayload(signal, { attributes: jsonAttributes(run, number) })
      : protobufPayload(signal, protobufAttributes(signal, run, number))
  return send(endpoint, variant, signal, body)
}

function variantsOf({ grpc, http }: Endpoint): Variant[] {
  const variants: Variant[] = []
  if (grpc !== '') variants.push({ transport: 'grpc', encoding: 'protobuf', compression: 'gzip' })
  if (http === '') return variants
  variants.push({ transport: 'http', encoding: 'protobuf', compression: 'zstd' })
  variants.push({ transport: 'http', encoding: 'json', compression: 'identity' })
  return variants
}

function jsonAttributes(run: string, number: number): unknown {
  return [
    { key: RUN_KEY, value: { stringValue: run } },
    { key: NUMBER_KEY, value: { stringValue: String(number) } },
  ]
}

function protobufAttributes(signal: ProbeSignal, run: string, number: number): Uint8Array {
  const pair = (key: string, value: string): Uint8Array =>
    bytesField(
      ATTRIBUTES_FIELD[signal],
      message(stringField(1, key), bytesField(2, stringField(1, value))),
    )
  return message(pair(RUN_KEY, run), pair(NUMBER_KEY, String(number)))
}
