import { planBatch, writePlannedBatch } from './arrow-writer.ts'
import type { BatchBuilder } from './batch-builder.ts'
import { envelopeHeaderBytes, sealEnvelope, type EnvelopeHeader } from './envelope.ts'

/** An envelope with the Arrow stream of `builder` in it, in one allocation and without a copy. */
export function writeEnvelopeWithBatch(header: EnvelopeHeader, builder: BatchBuilder): Uint8Array {
  return writeEnvelopeInto(header, builder, (byteCount) => ({ bytes: new Uint8Array(byteCount) }))
    .bytes
}

/**
 * The same into memory that `allocate` gives for its size (8-byte aligned; zeroed or not), so that an
 * envelope can be made where it will lie.
 */
export function writeEnvelopeInto<Space extends { readonly bytes: Uint8Array }>(
  header: EnvelopeHeader,
  builder: BatchBuilder,
  allocate: (byteCount: number) => Space,
): Space {
  const plan = planBatch(builder)
  const headerBytes = envelopeHeaderBytes(header)
  const space = allocate(headerBytes + plan.byteCount)
  space.bytes.fill(0)
  writePlannedBatch(plan, space.bytes, headerBytes)
  sealEnvelope(space.bytes, header)
  return space
}
