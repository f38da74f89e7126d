import { strict as assert } from 'node:assert'
import test from 'node:test'

import { writeBatch } from '../../src/columnar/arrow-writer.ts'
import { openBatch } from '../../src/columnar/batch-view.ts'
import { BatchBuilder } from '../../src/columnar/batch-builder.ts'
import { AppError } from '../../src/errors.ts'
import {
  LargeRequestDecoder,
  SlowRequest,
  decodeInto,
  decodeRouted,
} from '../../src/otlp/decoder.ts'
import { TouchedBatches } from '../../src/otlp/touched-batches.ts'
import { SIGNAL_NAMES, Signal, type SignalName } from '../../src/signal.ts'
import { batchSnapshot } from '../../src/testing/batch-snapshot.ts'
import { batchToRequest } from '../../src/testing/batch-request.ts'
import { fuzz } from '../../src/testing/fuzz-run.ts'
import { canonicalizeProtobuf, compareCanonical } from '../../src/testing/otlp-canonical.ts'
import { generateProtobuf } from '../../src/testing/otlp-generator.ts'
import { payload } from '../../src/testing/payloads.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { HashRoute } from './hash-route.ts'

const OPTIONS = { tenant: 'default', arrivalUnixNano: 1_900_000_000_000_000_000n }
const PARTITIONS = 5

function request(signal: SignalName, random: SeededRandom): Uint8Array {
  if (random.chance(0.4)) return generateProtobuf(signal, random.uint32())
  const records = 1 + random.below(random.chance(0.1) ? 1500 : 60)
  const options = { records, resources: 1 + random.below(8) }
  const sparse = random.chance(0.3) ? { sparseKeys: 30 } : {}
  return payload(signal, { ...options, ...sparse, seed: random.below(3), call: random.below(9) })
}

/** The same request with its last resource broken: good rows first, then an error. */
function broken(body: Uint8Array): Uint8Array {
  return Buffer.concat([body, Uint8Array.of(0x0a, 0x04, 0x12, 0x02, 0x12, 0x7f)])
}

/** One open batch per partition, of which some may refuse to be opened. */
class OpenBatches {
  readonly builders: readonly BatchBuilder[]
  isShut = false

  constructor(signal: Signal) {
    this.builders = Array.from({ length: PARTITIONS }, () => new BatchBuilder(signal))
  }

  touch(): TouchedBatches {
    return new TouchedBatches((partition) => {
      if (this.isShut && partition === PARTITIONS - 1) throw new AppError('overloaded', 'full')
      return this.builders[partition]!
    })
  }

  reset(): void {
    for (const builder of this.builders) builder.reset()
  }

  get filled(): BatchBuilder[] {
    return this.builders.filter(({ rowCount }) => rowCount > 0)
  }
}

function chunkTexts(builder: BatchBuilder): string[] {
  const { count, hashes, rowCounts, removable } = builder.chunks
  return Array.from({ length: count }, (_, chunk) => {
    const hash = Buffer.from(hashes.subarray(chunk * 16, chunk * 16 + 16)).toString('hex')
    return `${hash} ${String(rowCounts[chunk])} ${String(removable[chunk])}`
  })
}

function canonical(signal: SignalName, batches: readonly BatchBuilder[]) {
  const bodies = batches.map((batch) => batchToRequest(signal, openBatch(writeBatch(batch))))
  return canonicalizeProtobuf(signal, bodies).items
}

for (const signal of SIGNAL_NAMES) {
  test(`all batches that a failed request of ${signal} touched equal some that never saw it`, () => {
    const disturbed = new OpenBatches(Signal[signal])
    const untouched = new OpenBatches(Signal[signal])
    let failureCount = 0
    fuzz((seed) => {
      const random = new SeededRandom(seed)
      disturbed.reset()
      untouched.reset()
      const route = new HashRoute(PARTITIONS)
      for (let i = 0; i < 6; i++) {
        const body = request(signal, random)
        const isBad = random.chance(0.5)
        disturbed.isShut = random.chance(0.2)
        const touched = disturbed.touch()
        try {
          decodeRouted(Signal[signal], isBad ? broken(body) : body, OPTIONS, route, touched)
          assert.ok(!isBad)
          decodeRouted(Signal[signal], body, OPTIONS, route, untouched.touch())
        } catch (error) {
          assert.ok(error instanceof AppError || error instanceof SlowRequest)
          failureCount += touched.all.length > 1 ? 1 : 0
        }
        assert.deepEqual(
          disturbed.builders.map(batchSnapshot),
          untouched.builders.map(batchSnapshot),
        )
      }
      assert.deepEqual(disturbed.filled.map(writeBatch), untouched.filled.map(writeBatch))
    })
    assert.ok(failureCount > 0, 'failures over several batches were met')
  })

  test(`the batches of a routed request of ${signal} hold the rows and chunks of one`, () => {
    const open = new OpenBatches(Signal[signal])
    const whole = new BatchBuilder(Signal[signal])
    fuzz((seed) => {
      const random = new SeededRandom(seed)
      open.reset()
      whole.reset()
      const route = new HashRoute(PARTITIONS)
      for (let i = 0; i < 3; i++) {
        const body = request(signal, random)
        if (body.length > 256 * 1024) continue
        const routed = decodeRouted(Signal[signal], body, OPTIONS, route, open.touch())
        assert.deepEqual(routed, decodeInto(whole, body, OPTIONS))
      }
      if (whole.rowCount === 0) return
      assert.deepEqual(
        compareCanonical(canonical(signal, [whole]), canonical(signal, open.filled)),
        [],
      )
      assert.deepEqual(open.filled.flatMap(chunkTexts).sort(), chunkTexts(whole).sort())
      assert.equal(
        open.filled.reduce((sum, { otlpBytes }) => sum + otlpBytes, 0),
        whole.otlpBytes,
      )
      const times = open.filled.map(({ minTimeUnixNano }) => minTimeUnixNano)
      assert.ok(times.includes(whole.minTimeUnixNano))
    })
  })

  test(`a large request of ${signal} in slices routes its chunks as one run does`, () => {
    const open = new OpenBatches(Signal[signal])
    fuzz((seed) => {
      const random = new SeededRandom(seed)
      open.reset()
      const body = request(signal, random)
      decodeRouted(Signal[signal], body, OPTIONS, new HashRoute(PARTITIONS), open.touch())
      let clock = 0
      const decoder = new LargeRequestDecoder(Signal[signal], body, {
        ...OPTIONS,
        newBatch: () => new BatchBuilder(Signal[signal]),
        monotonicMs: () => (clock += 1),
        batchBytesMax: 4096,
        route: new HashRoute(PARTITIONS),
      })
      while (!decoder.step(0)) assert.ok(clock < body.length, 'every step gets on')
      for (const [partition, builder] of open.builders.entries()) {
        const own = decoder.own.filled.filter((batch) => batch.partition === partition)
        assert.deepEqual(
          own.flatMap((batch) => chunkTexts(batch.builder)),
          chunkTexts(builder),
        )
      }
      const items = canonical(signal, open.filled)
      assert.deepEqual(compareCanonical(items, canonical(signal, decoder.batches)), [])
    })
  })
}
