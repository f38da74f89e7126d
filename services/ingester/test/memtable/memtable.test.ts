import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { Memtable } from '../../src/memtable/memtable.ts'
import { SlabPool } from '../../src/memtable/slab-pool.ts'

const HEADER: EnvelopeHeader = {
  signal: 1,
  tenant: 'default',
  batchId: new Uint8Array(16),
  rowCount: 3,
  otlpBytes: 100,
  arrivalUnixNano: 1n,
  minTimeUnixNano: 1n,
  maxTimeUnixNano: 1n,
  chunks: [],
}

void test('Memtable keeps every envelope aligned and whole, also one larger than a slab', () => {
  const memtable = new Memtable(new SlabPool(1000, 4), 10n)
  const lengths = [1, 7, 8, 990, 13, 5000, 1000, 2]
  lengths.forEach((length, index) => {
    const envelope = new Uint8Array(length).fill(index + 1)
    memtable.insert(10n + BigInt(index), envelope, HEADER, new Int32Array(0), [], 0)
  })
  const frozen = memtable.freeze()
  assert.equal(
    frozen.bytes,
    lengths.reduce((sum, length) => sum + length, 0),
  )
  assert.equal(frozen.end, 18n)
  frozen.entries.forEach((entry, index) => {
    assert.equal(entry.bytes.byteOffset % 8, 0)
    assert.deepEqual(
      entry.bytes,
      new Uint8Array(entry.bytes.buffer, entry.bytes.byteOffset, lengths[index]).fill(index + 1),
    )
    assert.ok(entry.bytes.buffer instanceof SharedArrayBuffer)
  })
})

void test('Memtable takes batches while it is being flushed and tiles the log', () => {
  const memtable = new Memtable(new SlabPool(64, 1), 0n)
  memtable.insert(0n, new Uint8Array(10), HEADER, new Int32Array(0), [], 5)
  const first = memtable.freeze()
  assert.equal(memtable.oldestMs, undefined)
  memtable.insert(1n, new Uint8Array(20), HEADER, new Int32Array(0), [], 6)
  assert.equal(memtable.bytes, 30)
  assert.deepEqual(
    [...memtable.unflushed(0n)].map(({ offset }) => offset),
    [0n, 1n],
  )
  assert.throws(() => memtable.freeze(), /one flush/)
  memtable.release()
  const second = memtable.freeze()
  assert.equal(second.start, first.end)
  assert.equal(memtable.rows, 3)
  assert.throws(() => {
    memtable.insert(0n, new Uint8Array(1), HEADER, new Int32Array(0), [], 7)
  }, /ascend/)
})
