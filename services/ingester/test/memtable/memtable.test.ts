import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchChunks } from '@tributary/common/columnar/chunk-list'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { Memtable } from '../../src/memtable/memtable.ts'
import { SlabCutter, SlabPool } from '../../src/memtable/slab-pool.ts'
import type { SlabSpace } from '../../src/memtable/slab-pool.ts'

const HEADER: EnvelopeHeader = {
  signal: 1,
  tenant: 'default',
  batchId: new Uint8Array(16),
  rowCount: 3,
  otlpBytes: 100,
  arrivalUnixNano: 1n,
  minTimeUnixNano: 1n,
  maxTimeUnixNano: 1n,
  chunks: batchChunks([]),
}

function insert(memtable: Memtable, offset: bigint, space: SlabSpace, nowMs: number): void {
  const repeats = {
    suppressed: new Int32Array(0),
    suppressedRows: 0,
    storedHashes: new Uint8Array(0),
  }
  memtable.insert({ offset, header: HEADER, space, appendUnixMs: 0, repeats, nowMs })
}

void test('Memtable keeps every envelope aligned and whole, also one larger than a slab', () => {
  const memtable = new Memtable(new SlabPool(1000, 4), 10n)
  const lengths = [1, 7, 8, 990, 13, 5000, 1000, 2]
  lengths.forEach((length, index) => {
    const space = memtable.reserve(length)
    space.bytes.fill(index + 1)
    insert(memtable, 10n + BigInt(index), space, 0)
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
  insert(memtable, 0n, memtable.reserve(10), 5)
  const first = memtable.freeze()
  assert.deepEqual([memtable.oldestActiveMs, memtable.oldestMs], [undefined, 5])
  insert(memtable, 1n, memtable.reserve(20), 6)
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
    insert(memtable, 0n, memtable.reserve(1), 7)
  }, /ascend/)
})

void test('SlabPool gives memory again only when the last batch in it is released', () => {
  const pool = new SlabPool(64, 4)
  const cutter = new SlabCutter(pool)
  const first = cutter.cut(40)
  const late = cutter.cut(16)
  const next = cutter.cut(40)
  pool.release(first)
  const other = cutter.cut(40)
  assert.notEqual(other.slab, first.slab, 'a batch still lies in the first slab')
  pool.hold(late)
  pool.release(late)
  const unlike = cutter.cut(40)
  assert.notEqual(unlike.slab, first.slab, 'a reader still holds a batch in the first slab')
  pool.release(late)
  const again = cutter.cut(40)
  assert.equal(again.slab, first.slab)
  for (const space of [next, other, unlike, again]) pool.release(space)
  assert.throws(() => {
    pool.release(again)
  }, /once/)
})

void test('SlabPool keeps the slabs of one partition apart from those of another', () => {
  const pool = new SlabPool(64, 4)
  const [left, right] = [new SlabCutter(pool), new SlabCutter(pool)]
  const spaces = [left.cut(10), right.cut(10), left.cut(10)]
  assert.equal(spaces[0]!.slab, spaces[2]!.slab)
  assert.notEqual(spaces[0]!.slab, spaces[1]!.slab)
  pool.release(spaces[0]!)
  pool.release(spaces[2]!)
  left.close()
  assert.equal(right.cut(60).slab, spaces[0]!.slab, 'whole slabs come back to all')
})

void test('Memtable gives all of its memory back when it is closed', () => {
  const pool = new SlabPool(64, 8)
  const memtable = new Memtable(pool, 0n)
  const spaces = [1n, 2n, 3n, 4n].map((offset) => {
    const space = memtable.reserve(40)
    insert(memtable, offset, space, 0)
    if (offset === 2n) memtable.freeze()
    return space
  })
  memtable.close()
  assert.deepEqual([memtable.rows, memtable.bytes], [0, 0])
  const used = new Set(spaces.map(({ slab }) => slab))
  const other = new SlabCutter(pool)
  for (let again = 0; again < used.size; again++) assert.ok(used.has(other.cut(64).slab))
})
