/** Reads back what the chains of a memory bucket hold: the oracle of tests with the memory encoder. */
import assert from 'node:assert/strict'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import type { CommitRecord } from '@tributary/common/commit/commit-record'
import type { PartitionId } from '@tributary/common/paths'
import { MemoryBucket, MemoryObjectStore } from '@tributary/common/testing/memory-object-store'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import { rowsOfFile } from './memory-encoder.ts'

export interface StoredPartition {
  readonly end: bigint
  readonly records: readonly CommitRecord[]
  /** How often each row is stored. */
  readonly rows: ReadonlyMap<string, number>
}

/** Walks a chain, checked to tile with epochs that never go back, and counts every row of its files. */
export async function storedPartition(
  bucket: MemoryBucket,
  id: PartitionId,
): Promise<StoredPartition> {
  // a look from outside: neither the time nor the faults of the store under test
  const clock = new VirtualClock()
  const copy = new MemoryBucket(clock, new SeededRandom(1), { delayMs: [0, 0] })
  for (const [key, object] of bucket.objects) copy.objects.set(key, object)
  const store = new MemoryObjectStore(copy, clock)
  return clock.run(readChain(store, id))
}

async function readChain(store: MemoryObjectStore, id: PartitionId): Promise<StoredPartition> {
  const chain = await CommitChain.open(store, id)
  const records: CommitRecord[] = []
  const rows = new Map<string, number>()
  let epoch = 0
  for await (const record of chain.records()) {
    assert.ok(record.epoch >= epoch, 'epochs of a chain never go back')
    epoch = record.epoch
    records.push(record)
    for (const file of record.files) {
      const names = rowsOfFile(await store.get(file.key))
      assert.equal(names.length, file.rows)
      for (const name of names) rows.set(name, (rows.get(name) ?? 0) + 1)
    }
  }
  return { end: chain.end, records, rows }
}
