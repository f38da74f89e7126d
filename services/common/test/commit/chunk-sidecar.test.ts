import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { parseSidecar, readSidecar, serializeSidecar } from '../../src/commit/chunk-sidecar.ts'
import { hashesKey, logTag } from '../../src/paths.ts'
import { runPython } from '../../src/testing/python.ts'
import { PARTITION, commitRecord, memoryStore, sha256 } from './sample-commit.ts'

const RANGE = { start: 2n ** 40n, end: 2n ** 40n + 3n }
const chunks = [
  { hashes: Uint8Array.from({ length: 16 }, (_, index) => index), appendUnixMs: 1_795_230_000_123 },
  { hashes: Uint8Array.from({ length: 16 }, (_, index) => 255 - index), appendUnixMs: 0 },
]

describe('sidecar of chunk hashes', () => {
  it('has the bytes that docs/format/commit.md draws', () => {
    const bytes = Buffer.from(serializeSidecar(PARTITION, RANGE, chunks))
    const header =
      '5452424841534831 0100 1800 02000000 0000000000010000 0300000000010000 03000000' +
      `${logTag(PARTITION)} 0000`
    assert.equal(bytes.toString('hex', 0, 44), header.replaceAll(' ', ''))
    const first = '000102030405060708090a0b0c0d0e0f fbe30bfca1010000'
    assert.equal(bytes.toString('hex', 48, 72), first.replaceAll(' ', ''))
    assert.equal(bytes.length, 48 + 2 * 24)
  })

  it('is read by a foreign reader from its description', () => {
    const script = [
      'import struct, sys, zlib',
      'b = sys.stdin.buffer.read()',
      "magic, version, size, count, start, end, partition, tag, _, crc = struct.unpack('<8sHHIQQI6sHI', b[:48])",
      "assert magic == b'TRBHASH1' and version == 1 and size == 24",
      'assert crc == zlib.crc32(b[:44] + b[48:])',
      "entries = [struct.unpack('<16sQ', b[48 + 24 * n:72 + 24 * n]) for n in range(count)]",
      'print(start, end, partition, tag.hex(), [(h.hex(), at) for h, at in entries])',
    ].join('\n')
    const text = runPython(script, [], serializeSidecar(PARTITION, RANGE, chunks))
    const entries = chunks
      .map(
        ({ hashes, appendUnixMs }) => `('${Buffer.from(hashes).toString('hex')}', ${appendUnixMs})`,
      )
      .join(', ')
    const header = `${RANGE.start} ${RANGE.end} ${PARTITION.partition} ${logTag(PARTITION)}`
    assert.equal(text.trim(), `${header} [${entries}]`)
  })

  it('comes back as it was, also without chunks', () => {
    for (const some of [chunks, []]) {
      const sidecar = parseSidecar(serializeSidecar(PARTITION, RANGE, some))
      const plain = sidecar.chunks.map(({ hash, appendUnixMs }) => ({
        hashes: Uint8Array.from(hash),
        appendUnixMs,
      }))
      assert.deepEqual(plain, some)
      assert.equal(sidecar.start, RANGE.start)
      assert.equal(sidecar.end, RANGE.end)
      assert.equal(sidecar.partition, PARTITION.partition)
    }
  })

  it('is refused after any change of a bit and any cut', () => {
    const bytes = serializeSidecar(PARTITION, RANGE, chunks)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice()
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      assert.throws(() => parseSidecar(damaged), { code: 'commit_damaged' }, `bit ${bit}`)
    }
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => parseSidecar(bytes.subarray(0, length)), { code: 'commit_damaged' })
    }
  })

  it('is read only for its own commit', async () => {
    const store = await memoryStore()
    const body = serializeSidecar(PARTITION, RANGE, chunks)
    const hashes = hashesKey(PARTITION, RANGE, sha256(body))
    await store.put(hashes, body)
    const record = commitRecord(RANGE.start, RANGE.end, { hashes })
    assert.equal((await readSidecar(store, record)).length, 2)
    assert.deepEqual(await readSidecar(store, { ...record, hashes: null }), [])
    await assert.rejects(readSidecar(store, { ...record, end: '9' }), { code: 'commit_damaged' })
    await assert.rejects(readSidecar(store, { ...record, topic: 'x' }), { code: 'commit_damaged' })
    await store.delete(hashes)
    await assert.rejects(readSidecar(store, record), { code: 'object_missing' })
  })
})
