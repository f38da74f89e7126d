import { strict as assert } from 'node:assert'
import test from 'node:test'

import { BatchBuilder } from '../../src/columnar/batch-builder.ts'
import { AppError } from '../../src/errors.ts'
import { decodeInto } from '../../src/otlp/decoder.ts'
import { SIGNAL_NAMES, Signal, type SignalName } from '../../src/signal.ts'
import { batchSnapshot } from '../../src/testing/batch-snapshot.ts'
import { fuzz } from '../../src/testing/fuzz-run.ts'
import { generateProtobuf } from '../../src/testing/otlp-generator.ts'
import { payload } from '../../src/testing/payloads.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

const OPTIONS = { tenant: 'default', arrivalUnixNano: 1_900_000_000_000_000_000n }

function decodeOrRefuse(batch: BatchBuilder, body: Uint8Array): boolean {
  try {
    decodeInto(batch, body, OPTIONS)
    return true
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    assert.ok(error.code === 'malformed_body' || error.code === 'request_too_large', error.code)
    if (error.code === 'malformed_body') assert.equal(typeof error.details['offset'], 'number')
    return false
  }
}

function damaged(body: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = Uint8Array.from(body)
  const flips = 1 + random.below(4)
  for (let i = 0; i < flips && copy.length > 0; i++) {
    const at = random.below(copy.length)
    copy[at] = random.chance(0.5) ? random.below(256) : copy[at]! ^ (1 << random.below(8))
  }
  return random.chance(0.2) ? copy.subarray(0, random.below(copy.length + 1)) : copy
}

function smallRequest(signal: SignalName): Uint8Array {
  return payload(signal, { records: 11, resources: 2 })
}

for (const signal of SIGNAL_NAMES) {
  test(`damaged ${signal} requests are decoded or refused, never more`, () => {
    const batch = new BatchBuilder(Signal[signal])
    const empty = batchSnapshot(batch)
    fuzz((seed) => {
      const random = new SeededRandom(seed)
      batch.reset()
      const body = random.chance(0.5) ? generateProtobuf(signal, seed) : smallRequest(signal)
      if (decodeOrRefuse(batch, damaged(body, random))) batch.estimatedBytes()
      else assert.deepEqual(batchSnapshot(batch), empty)
    })
  })

  test(`a ${signal} request cut at any byte is decoded or refused, and leaves nothing then`, () => {
    const body = smallRequest(signal)
    const batch = new BatchBuilder(Signal[signal])
    const empty = batchSnapshot(batch)
    let refused = 0
    for (let length = 0; length < body.length; length++) {
      if (decodeOrRefuse(batch, body.subarray(0, length))) {
        batch.reset()
      } else {
        refused += 1
        if (length % 16 === 0) assert.deepEqual(batchSnapshot(batch), empty)
        assert.equal(batch.rowCount, 0)
      }
    }
    // whole are: no byte, and the first resource alone
    assert.equal(refused, body.length - 2)
  })
}
