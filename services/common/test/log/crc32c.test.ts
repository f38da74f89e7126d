import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

import { crc32c } from '../../src/log/crc32c.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

/** kafkajs's own, a byte at a time: shares no code with ours. */
const foreign = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C') as (
  bytes: Buffer,
) => number

test('crc32c gives the values of RFC 3720, B.4', () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, index) => index)
  assert.equal(crc32c(new Uint8Array(32)), 0x8a91_36aa)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8_ab43)
  assert.equal(crc32c(ascending), 0x46dd_794e)
  assert.equal(crc32c(ascending.toReversed()), 0x113f_db5c)
  assert.equal(crc32c(Buffer.from('123456789')), 0xe306_9283)
  assert.equal(crc32c(new Uint8Array(0)), 0)
})

test('crc32c agrees with another implementation at every length and over pieces', () => {
  const random = new SeededRandom(11)
  const bytes = Buffer.from(random.bytes(200_000))
  const lengths = Array.from({ length: 300 }, (_, length) => length)
  const borders = [65_535, 65_536, 65_537, 131_072, 131_073, 199_000]
  for (const length of [...lengths, ...borders]) {
    const start = random.below(1000)
    const piece = bytes.subarray(start, start + length)
    assert.equal(crc32c(piece), foreign(piece), `${length} bytes`)
  }
})
