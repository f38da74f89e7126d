import { strict as assert } from 'node:assert'
import test from 'node:test'

import { writeBatch } from '../../src/columnar/arrow-writer.ts'
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

function request(signal: SignalName, random: SeededRandom): Uint8Array {
  if (random.chance(0.5)) return generateProtobuf(signal, random.uint32())
  const options = { records: 1 + random.below(40), resources: 1 + random.below(3) }
  const sparse = random.chance(0.3) ? { sparseKeys: 30 } : {}
  return payload(signal, { ...options, ...sparse, seed: random.below(3), call: random.below(9) })
}

/** The same request with its last resource broken: good rows first, then an error. */
function broken(body: Uint8Array): Uint8Array {
  return Buffer.concat([body, Uint8Array.of(0x0a, 0x04, 0x12, 0x02, 0x12, 0x7f)])
}

for (const signal of SIGNAL_NAMES) {
  test(`a batch of ${signal} after a failed request equals one that never saw it`, () => {
    const disturbed = new BatchBuilder(Signal[signal])
    const untouched = new BatchBuilder(Signal[signal])
    fuzz((seed) => {
      const random = new SeededRandom(seed)
      disturbed.reset()
      untouched.reset()
      for (let i = 0; i < 6; i++) {
        const body = request(signal, random)
        if (random.chance(0.5)) {
          assert.throws(() => decodeInto(disturbed, broken(body), OPTIONS), AppError)
        } else {
          decodeInto(disturbed, body, OPTIONS)
          decodeInto(untouched, body, OPTIONS)
        }
        assert.deepEqual(batchSnapshot(disturbed), batchSnapshot(untouched))
        assert.equal(disturbed.estimatedBytes(), untouched.estimatedBytes())
      }
      assert.deepEqual(writeBatch(disturbed), writeBatch(untouched))
    })
  })
}
