import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as zlib from 'node:zlib'

import { compressionOf, decompress, decompressInPlace } from '../src/compression.ts'
import type { Compression, DecompressionLimits } from '../src/compression.ts'
import { AppError } from '../src/errors.ts'
import type { ErrorCode } from '../src/errors.ts'

const MEBIBYTE = 1024 * 1024
const LIMITS: DecompressionLimits = { bytesMax: 64 * MEBIBYTE, ratioMax: 200 }
const CODINGS = ['gzip', 'deflate', 'zstd'] as const

function pack(body: Uint8Array, compression: Compression): Buffer {
  if (compression === 'gzip') return zlib.gzipSync(body)
  if (compression === 'deflate') return zlib.deflateSync(body)
  const checksum = { params: { [zlib.constants.ZSTD_c_checksumFlag]: 1 } }
  return compression === 'zstd' ? zlib.zstdCompressSync(body, checksum) : Buffer.from(body)
}

/** Text that compresses about five times, different at every place. */
function text(bytes: number): Buffer {
  const words: string[] = []
  for (let length = 0, n = 1; length < bytes; n = (n * 48271) % 2147483647) {
    const word = `key.${n % 97}=${n % 10007} `
    words.push(word)
    length += word.length
  }
  return Buffer.from(words.join('')).subarray(0, bytes)
}

function codeOf(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof AppError && error.code === code
}

describe('decompress', () => {
  for (const coding of CODINGS) {
    it(`gives back what ${coding} packed, of every size class`, async () => {
      for (const bytes of [0, 1, 1000, MEBIBYTE - 1, MEBIBYTE + 1, 9 * MEBIBYTE]) {
        const body = text(bytes)
        const unpacked = await decompress(pack(body, coding), coding, LIMITS)
        assert.ok(body.equals(unpacked), `${bytes} bytes`)
      }
    })

    it(`refuses ${coding} cut at any byte`, async () => {
      const packed = pack(text(600), coding)
      for (let length = 0; length < packed.length; length++) {
        await assert.rejects(
          decompress(packed.subarray(0, length), coding, LIMITS),
          codeOf('malformed_compression'),
          `${length} of ${packed.length} bytes`,
        )
      }
    })

    it(`finds a flipped bit in ${coding} or gives the body`, async () => {
      const body = text(300)
      const packed = pack(body, coding)
      for (let bit = 0; bit < packed.length * 8; bit++) {
        const flipped = Buffer.from(packed)
        flipped[bit >> 3]! ^= 1 << (bit & 7)
        const unpacked = await decompress(flipped, coding, LIMITS).catch((error: unknown) => {
          assert.ok(error instanceof AppError, `bit ${bit}: ${String(error)}`)
          return body
        })
        assert.ok(body.equals(unpacked), `bit ${bit}`)
      }
    })

    it(`refuses ${coding} with bytes after it, small and large`, async () => {
      for (const bytes of [100, 3 * MEBIBYTE]) {
        const packed = Buffer.concat([pack(text(bytes), coding), Buffer.from('more')])
        await assert.rejects(decompress(packed, coding, LIMITS), codeOf('malformed_compression'))
      }
    })

    it(`refuses a ${coding} bomb by ratio and by size`, async () => {
      const bomb = pack(Buffer.alloc(32 * MEBIBYTE), coding)
      await assert.rejects(decompress(bomb, coding, LIMITS), codeOf('request_too_large'))
      const body = pack(text(3 * MEBIBYTE), coding)
      const small = { bytesMax: 2 * MEBIBYTE, ratioMax: 200 }
      await assert.rejects(decompress(body, coding, small), codeOf('request_too_large'))
      const tiny = { bytesMax: 1000, ratioMax: 200 }
      await assert.rejects(
        decompress(pack(text(1001), coding), coding, tiny),
        codeOf('request_too_large'),
      )
    })

    it(`lets ${coding} of equal rows have any ratio below 4 MiB`, async () => {
      const body = Buffer.alloc(3 * MEBIBYTE, 'the same row again and again ')
      assert.ok(body.equals(await decompress(pack(body, coding), coding, LIMITS)))
    })

    it(`stops ${coding} as soon as its owner refuses more output`, async () => {
      const seen: number[] = []
      const onOutput = (bytes: number): void => {
        seen.push(bytes)
        if (bytes > 2 * MEBIBYTE) throw new AppError('overloaded', 'test')
      }
      const packed = pack(text(8 * MEBIBYTE), coding)
      await assert.rejects(
        decompress(packed, coding, { ...LIMITS, onOutput }),
        codeOf('overloaded'),
      )
      assert.ok(seen.at(-1)! < 4 * MEBIBYTE)
    })
  }

  for (const coding of ['gzip', 'zstd'] as const) {
    it(`joins several members of ${coding}`, async () => {
      for (const bytes of [100, 2 * MEBIBYTE]) {
        const body = text(bytes)
        const packed = [0, 1, 2, 3].map((part) =>
          pack(body.subarray((part * bytes) / 4, ((part + 1) * bytes) / 4), coding),
        )
        assert.ok(body.equals(await decompress(Buffer.concat(packed), coding, LIMITS)))
      }
    })
  }

  it('takes zero padding after gzip, as tape tools write it', async () => {
    const packed = Buffer.concat([pack(text(100), 'gzip'), Buffer.alloc(16)])
    assert.equal((await decompress(packed, 'gzip', LIMITS)).length, 100)
  })

  it('skips what zstd calls skippable frames', async () => {
    const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
    const packed = Buffer.concat([skippable, pack(text(100), 'zstd'), skippable])
    assert.equal((await decompress(packed, 'zstd', LIMITS)).length, 100)
  })

  it('refuses a zstd window above 8 MiB', async () => {
    const params = { [zlib.constants.ZSTD_c_windowLog]: 27 }
    const engine = zlib.createZstdCompress({ params })
    const chunks: Buffer[] = []
    engine.on('data', (chunk: Buffer) => chunks.push(chunk))
    engine.write(text(1000))
    engine.end()
    await new Promise((resolve) => engine.on('end', resolve))
    await assert.rejects(
      decompress(Buffer.concat(chunks), 'zstd', LIMITS),
      codeOf('malformed_compression'),
    )
  })

  it('does not believe what a body says of its size', async () => {
    const packed = pack(text(2 * MEBIBYTE), 'gzip')
    for (const claim of [0, 10, 0xffffffff]) {
      const lying = Buffer.from(packed)
      lying.writeUInt32LE(claim, lying.length - 4)
      await assert.rejects(decompress(lying, 'gzip', LIMITS), codeOf('malformed_compression'))
    }
  })

  it('gives identity back as it is, within the size', async () => {
    const body = text(100)
    assert.equal(await decompress(body, 'identity', LIMITS), body)
    await assert.rejects(
      decompress(body, 'identity', { bytesMax: 99, ratioMax: 1 }),
      codeOf('request_too_large'),
    )
  })

  it('makes small bodies at once and leaves large ones to the pool', () => {
    for (const coding of CODINGS) {
      assert.ok(decompressInPlace(pack(text(1000), coding), coding, LIMITS))
      assert.equal(decompressInPlace(pack(text(4 * MEBIBYTE), coding), coding, LIMITS), undefined)
    }
  })
})

describe('compressionOf', () => {
  it('knows the codings in any case, and nothing else', () => {
    assert.equal(compressionOf(undefined), 'identity')
    assert.equal(compressionOf('GZIP'), 'gzip')
    assert.equal(compressionOf(' zstd '), 'zstd')
    assert.equal(compressionOf('x-gzip'), 'gzip')
    for (const coding of ['', 'br', 'gzip, gzip', 'snappy']) {
      assert.equal(compressionOf(coding), undefined)
    }
  })
})
