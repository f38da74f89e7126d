import { planBatch, writePlannedBatch } from './arrow-writer.ts'
import type { BatchBuilder } from './batch-builder.ts'
import { envelopeHeaderBytes, sealEnvelope, type EnvelopeHeader } from './envelope.ts'

/** An envelope with the Arrow stream of `builder` in it, in one allocation and without a copy. */
export function writeEnvelopeWithBatch(header: EnvelopeHeader, builder: BatchBuilder): Uint8Array {
  const plan = planBatch(builder)
  const headerBytes = envelopeHeaderBytes(header)
  const bytes = new Uint8Array(headerBytes + plan.byteCount)
  writePlannedBatch(plan, bytes, headerBytes)
  sealEnvelope(bytes, header)
  return bytes
}
