import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SIGNAL_NAMES } from '@tributary/common/signal'
import { roundTrip } from '../src/fidelity/round-trip.ts'

/** The long form is `npm run fidelity -- --requests 10000`. */
const REQUESTS = 120

for (const signal of SIGNAL_NAMES) {
  for (const encoding of ['protobuf', 'json'] as const) {
    void test(`${signal} in ${encoding} come back from Parquet equal`, async () => {
      const outcome = await roundTrip({
        signal,
        encoding,
        firstSeed: 1,
        requests: REQUESTS,
        attributeColumnsMax: 40,
      })
      assert.deepEqual(outcome.differences.slice(0, 6), [])
      assert.ok(outcome.items > REQUESTS)
    })
  }
}
