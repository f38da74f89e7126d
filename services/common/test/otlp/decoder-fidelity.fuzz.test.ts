import { strict as assert } from 'node:assert'
import test from 'node:test'

import { writeBatch } from '../../src/columnar/arrow-writer.ts'
import { BatchBuilder } from '../../src/columnar/batch-builder.ts'
import { openBatch } from '../../src/columnar/batch-view.ts'
import { LargeRequestDecoder, decodeInto, type DecodeOutcome } from '../../src/otlp/decoder.ts'
import { SIGNAL_NAMES, Signal, type SignalName } from '../../src/signal.ts'
import { batchToRequest } from '../../src/testing/batch-request.ts'
import { fuzz } from '../../src/testing/fuzz-run.ts'
import { canonicalizeProtobuf, compareCanonical } from '../../src/testing/otlp-canonical.ts'
import { generateProtobuf } from '../../src/testing/otlp-generator.ts'

const TIME_MAX = 2_000_000_000_000_000_000n
const DAY_NANO = 86_400_000_000_000n
const OPTIONS = { tenant: 'default', arrivalUnixNano: TIME_MAX - DAY_NANO }

function oddRequest(signal: SignalName, seed: number): Uint8Array {
  return generateProtobuf(signal, seed, { splitsMessages: seed % 3 === 0 })
}

function assertSame(
  signal: SignalName,
  body: Uint8Array,
  batches: readonly BatchBuilder[],
  outcome: DecodeOutcome,
): void {
  const expected = canonicalizeProtobuf(signal, [body], { timeMaxUnixNano: TIME_MAX })
  const back = batches.map((batch) => batchToRequest(signal, openBatch(writeBatch(batch))))
  const actual = canonicalizeProtobuf(signal, back)
  assert.deepEqual(compareCanonical(expected.items, actual.items), [])
  assert.equal(outcome.rejectedItems, expected.rejectedItems)
  assert.equal(outcome.message === '', expected.rejectedItems === 0)
  assert.equal(outcome.rows, expected.items.length)
}

for (const signal of SIGNAL_NAMES) {
  test(`decodeInto keeps every field of odd ${signal} requests`, () => {
    const batch = new BatchBuilder(Signal[signal])
    fuzz((seed) => {
      batch.reset()
      const body = oddRequest(signal, seed)
      assertSame(signal, body, [batch], decodeInto(batch, body, OPTIONS))
    })
  })

  test(`LargeRequestDecoder in slices of ${signal} gives the rows of one run`, () => {
    fuzz((seed) => {
      const body = oddRequest(signal, seed)
      let clock = 0
      const decoder = new LargeRequestDecoder(Signal[signal], body, {
        ...OPTIONS,
        newBatch: () => new BatchBuilder(Signal[signal]),
        monotonicMs: () => (clock += 1),
        batchBytesMax: 4096,
      })
      while (!decoder.step(0)) assert.ok(clock < body.length, 'every step gets on')
      assertSame(signal, body, decoder.batches, decoder.outcome)
    })
  })
}
