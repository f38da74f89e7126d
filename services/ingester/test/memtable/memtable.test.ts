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
    const space = memtable.reserve(length)
    space.bytes.fill(index + 1)
    memtable.insert(10n + BigInt(index), space, HEADER, new Int32Array(0), [], 0)
  })
  const frozen = memtable.freeze()
  assert.equal(
    frozen.bytes,
    lengths.reduce((sum, length) => sum + length, 0),
  )
  assert.equal(frozen.end, 18n)
  frozen.entries.forEach((entry, index) => {
    assert.equal(entry.space.bytes.byteOffset % 8, 0)
    assert.deepEqual(
      entry.space.bytes,
      new Uint8Array(entry.space.bytes.buffer, entry.space.bytes.byteOffset, lengths[index]).fill(
        index + 1,
      ),
    )
    assert.ok(entry.space.bytes.buffer instanceof SharedArrayBuffer)
  })
})

void test('Memtable takes batches while it is being flushed and tiles the log', () => {
  const memtable = new Memtable(new SlabPool(64, 1), 0n)
  memtable.insert(0n, memtable.reserve(10), HEADER, new Int32Array(0), [], 5)
  const first = memtable.freeze()
  assert.equal(memtable.oldestMs, undefined)
  memtable.insert(1n, memtable.reserve(20), HEADER, new Int32Array(0), [], 6)
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
    memtable.insert(0n, memtable.reserve(1), HEADER, new Int32Array(0), [], 7)
  }, /ascend/)
})

void test('SlabPool gives memory again only when the last batch in it is released', () => {
  const pool = new SlabPool(64, 4)
  const first = pool.cut(40)
  const late = pool.cut(16)
  const next = pool.cut(40)
  pool.release(first)
  const other = pool.cut(40)
  assert.notEqual(other.slab, first.slab, 'a batch still lies in the first slab')
  late.bytes.fill(7)
  pool.release(late)
  const again = pool.cut(40)
  assert.equal(again.slab, first.slab)
  for (const space of [next, other, again]) pool.release(space)
  assert.throws(() => {
    pool.release(again)
  }, /once/)
})
