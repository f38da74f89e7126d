import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { Signal, SIGNAL_NAMES } from '@tributary/common/signal'

import { PayloadPool } from '../src/load/payload-pool.ts'

/** 2026-11-27T22:58Z: a byte of all times is 0x09, the tag of a log record's time. */
const START_UNIX_NANO = 0x18ec_0907_b533_7d15n
const ROUNDS = 4
const REQUESTS = 100
const RECORDS = 100

describe('PayloadPool', () => {
  for (const signal of SIGNAL_NAMES) {
    it(`keeps ${signal} whole, and no two chunks equal, round after round`, () => {
      const pool = new PayloadPool({
        ...{ signal, records: RECORDS, resources: 4, requests: REQUESTS, seed: 1 },
        startUnixNano: START_UNIX_NANO,
      })
      const hashes = new Set<string>()
      let chunks = 0
      for (let call = 0; call < ROUNDS * REQUESTS; call++) {
        const request = pool.take()!
        const builder = new BatchBuilder(Signal[signal])
        const outcome = decodeInto(builder, request.body, {
          ...{ tenant: 'default', arrivalUnixNano: START_UNIX_NANO },
        })
        assert.equal(outcome.rows, RECORDS)
        assert.deepEqual(outcome.counters, NOTHING_ODD)
        const { count, hashes: bytes } = builder.chunks
        for (let chunk = 0; chunk < count; chunk++) {
          hashes.add(Buffer.from(bytes.subarray(16 * chunk, 16 * chunk + 16)).toString('hex'))
        }
        chunks += count
        pool.give(request)
      }
      assert.equal(hashes.size, chunks)
    })
  }

  it('goes round among more resources than it holds', () => {
    const inAll = 1000
    const options = { records: 8, resources: 4, resourcesInAll: inAll, requests: 50, seed: 1 }
    const pool = new PayloadPool({ signal: 'logs', ...options })
    const pods = new Set<string>()
    const calls = inAll / options.resources
    for (let call = 0; call < calls; call++) {
      const request = pool.take()!
      const text = request.body.toString('latin1')
      const found = [...text.matchAll(/service-\d+-7d4b9c6f5-([0-9a-f]{5})/g)]
      assert.equal(found.length, options.resources)
      for (const [, pod] of found) pods.add(pod!)
      pool.give(request)
    }
    assert.equal(pods.size, inAll)
  })
})

const NOTHING_ODD = { duplicateKeys: 0, invalidStrings: 0, truncatedStrings: 0, invalidIds: 0 }
