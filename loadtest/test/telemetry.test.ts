import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { CHUNK_HASH_BYTES } from '@tributary/common/columnar/chunk-list'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { Signal } from '@tributary/common/signal'

import { makePayload, stamp, type Payload, type PayloadOptions } from '../src/telemetry.ts'

const SIGNALS = { logs: Signal.logs, traces: Signal.spans, metrics: Signal.metrics } as const

function options(change: Partial<PayloadOptions> = {}): PayloadOptions {
  return { signal: 'logs', items: 10, resources: 3, bodyBytes: 50, run: 'r', client: 7, ...change }
}

function chunkHashes({ signal }: PayloadOptions, payload: Payload): string[] {
  const builder = new BatchBuilder(SIGNALS[signal])
  const outcome = decodeInto(builder, payload.bytes, {
    tenant: 'default',
    arrivalUnixNano: BigInt(Date.now()) * 1_000_000n,
  })
  assert.equal(outcome.rows, payload.items)
  assert.equal(outcome.rejectedItems, 0)
  const { hashes, count } = builder.chunks
  return Array.from({ length: count }, (_, index) =>
    Buffer.from(hashes.slice(index * CHUNK_HASH_BYTES, (index + 1) * CHUNK_HASH_BYTES)).toString(
      'hex',
    ),
  )
}

describe('makePayload', () => {
  for (const signal of ['logs', 'traces', 'metrics'] as const) {
    it(`makes ${signal} that decode to as many rows, none rejected`, () => {
      for (const items of [1, 10, 1000]) {
        const wanted = options({ signal, items })
        chunkHashes(wanted, makePayload(wanted))
      }
    })

    it(`never makes an equal chunk of ${signal} again after a stamp`, () => {
      const wanted = options({ signal, items: 2000, bodyBytes: 300 })
      const payload = makePayload(wanted)
      const seen = new Set<string>()
      for (let sequence = 1; sequence <= 5; sequence++) {
        stamp(payload, sequence)
        for (const hash of chunkHashes(wanted, payload)) {
          assert.ok(!seen.has(hash))
          seen.add(hash)
        }
      }
      assert.ok(seen.size >= 15)
    })
  }

  it('gives the resource parts as gRPC wants them: without tag and length', () => {
    const { bytes, parts } = makePayload(options({ items: 9, resources: 3 }))
    assert.equal(parts.length, 6)
    let at = 0
    for (let index = 0; index < parts.length; index += 2) {
      const [start, end] = [parts[index]!, parts[index + 1]!]
      assert.equal(bytes[at], 0x0a)
      assert.ok(start > at && start - at <= 4)
      at = end
    }
    assert.equal(at, bytes.length)
  })
})
