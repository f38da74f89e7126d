/** Requests written byte by byte, and what becomes of them. */
import { strict as assert } from 'node:assert'

import { writeBatch } from '../../src/columnar/arrow-writer.ts'
import { BatchBuilder } from '../../src/columnar/batch-builder.ts'
import { batchRows, type BatchRow } from '../../src/columnar/batch-rows.ts'
import { openBatch } from '../../src/columnar/batch-view.ts'
import {
  LargeRequestDecoder,
  SlowRequest,
  decodeInto,
  type DecodeOptions,
  type DecodeOutcome,
} from '../../src/otlp/decoder.ts'
import { Signal } from '../../src/signal.ts'

export const ARRIVAL = 1_800_000_000_000_000_000n
export const OPTIONS: DecodeOptions = { tenant: 'default', arrivalUnixNano: ARRIVAL }

/** A length-delimited field. */
export function sub(
  field: number,
  ...parts: readonly (Uint8Array | string | readonly number[])[]
): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)))
  return Buffer.concat([varint(field * 8 + 2), varint(content.length), content])
}

export function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  return Buffer.from([...bytes, rest])
}

export function fixed64(field: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return Buffer.concat([varint(field * 8 + 1), bytes])
}

/** An attribute (field 6 of a LogRecord) with the bytes of its AnyValue. */
export function attribute(
  key: string | Uint8Array,
  ...value: readonly (Uint8Array | readonly number[])[]
) {
  return sub(6, sub(1, key), sub(2, ...value))
}

export function text(value: string | Uint8Array): Buffer {
  return sub(1, value)
}

export function logs(...records: readonly Uint8Array[]): Buffer {
  return sub(1, sub(2, ...records.map((record) => sub(2, record))))
}

/** Into one batch, in slices where that is asked for. */
export function decodeWhole(
  batch: BatchBuilder,
  body: Uint8Array,
  options: DecodeOptions,
): DecodeOutcome {
  try {
    return decodeInto(batch, body, options)
  } catch (error) {
    if (!(error instanceof SlowRequest)) throw error
  }
  const decoder = new LargeRequestDecoder(batch.signal, body, {
    ...options,
    newBatch: () => batch,
    monotonicMs: () => 0,
    batchBytesMax: Infinity,
    batchRowsMax: Infinity,
  })
  assert.ok(decoder.step(Infinity))
  return decoder.outcome
}

export interface Decoded {
  readonly rows: readonly BatchRow[]
  readonly outcome: DecodeOutcome
}

export function decode(body: Uint8Array, signal: Signal = Signal.logs, options = OPTIONS): Decoded {
  const batch = new BatchBuilder(signal)
  const outcome = decodeWhole(batch, body, options)
  const rows = batch.rowCount === 0 ? [] : [...batchRows(openBatch(writeBatch(batch)))]
  return { rows, outcome }
}
