/** Random and damaged bodies: an AppError or bytes within the limits, never anything else. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import * as zlib from 'node:zlib'

import { decompress } from '../src/compression.ts'
import { AppError } from '../src/errors.ts'
import { SeededRandom } from '../src/testing/seeded-random.ts'

const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)
const DURATION_MS = Number(process.env['FUZZ_SECONDS'] ?? 2) * 1000
const BYTES_MAX = 256 * 1024
const PACKERS = {
  gzip: (body: Uint8Array) => zlib.gzipSync(body),
  deflate: (body: Uint8Array) => zlib.deflateSync(body),
  zstd: (body: Uint8Array) => zlib.zstdCompressSync(body),
} as const

it(`decompress survives damaged bodies (FUZZ_SEED=${SEED})`, async () => {
  const random = new SeededRandom(SEED)
  const below = (bound: number): number => random.below(bound)
  const endsMs = performance.now() + DURATION_MS
  let refused = 0
  let accepted = 0
  while (performance.now() < endsMs) {
    const coding = (['gzip', 'deflate', 'zstd'] as const)[below(3)]!
    const body = Buffer.alloc(
      below(below(2) === 0 ? 200 : 400_000),
      'abcdefg'.slice(0, 1 + below(6)),
    )
    for (let index = 0; index < body.length; index += 1 + below(50)) body[index] = below(256)
    let packed: Buffer = PACKERS[coding](body)
    if (below(3) === 0) packed = Buffer.concat([packed, PACKERS[coding](body.subarray(0, 10))])
    for (let damage = below(4); damage > 0; damage--) packed[below(packed.length)] = below(256)
    if (below(4) === 0) packed = packed.subarray(0, below(packed.length))
    try {
      const limits = { bytesMax: BYTES_MAX, ratioMax: 200 }
      assert.ok((await decompress(packed, coding, limits)).length <= BYTES_MAX)
      accepted++
    } catch (error) {
      assert.ok(error instanceof AppError, String(error))
      assert.ok(['malformed_compression', 'request_too_large'].includes(error.code), error.code)
      refused++
    }
  }
  assert.ok(accepted > 0 && refused > 0)
})
