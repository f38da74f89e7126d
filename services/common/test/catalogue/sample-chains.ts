/** Chains of several partitions that grow under a seed, in a store of files in memory. */
import type { CommitFile, CommitRecord } from '@tributary/common/commit/commit-record'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { PartitionId } from '@tributary/common/paths'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'
import { serializeCommitRecord } from '@tributary/common/commit/commit-record'
import { commitKey, dataKey, partitionPath } from '@tributary/common/paths'
import { PARTITION, commitRecord, sha256 } from '../commit/sample-commit.ts'

const SIGNALS = ['logs', 'spans', 'metrics'] as const

export class SampleChains {
  readonly store: ObjectStore
  readonly random: SeededRandom
  readonly #ends = new Map<string, bigint>()
  /** All files of all commits, by key. */
  readonly files = new Map<string, CommitFile>()

  constructor(store: ObjectStore, random: SeededRandom) {
    this.store = store
    this.random = random
  }

  idOf(partition: number): PartitionId {
    return { ...PARTITION, partition }
  }

  endOf(partition: number): bigint {
    return this.#ends.get(partitionPath(this.idOf(partition))) ?? 0n
  }

  /** Makes the next commit of a partition, of up to `filesMax` files. */
  async commit(partition: number, filesMax = 4): Promise<CommitRecord> {
    const { random } = this
    const id = this.idOf(partition)
    const start = this.endOf(partition)
    const end = start + BigInt(1 + random.below(20))
    const files = Array.from({ length: random.below(filesMax + 1) }, (): CommitFile => {
      const tenant = `tenant-${random.below(3)}`
      const signal = random.pick(SIGNALS)
      const hour = random.chance(0.1) ? 'late' : `2026-11-21T0${random.below(4)}`
      const hash = sha256(random.bytes(16))
      const key = dataKey({ ...id, start, end, tenant, signal, hour, sha256: hash })
      const times = { timeMin: '1795226400000000000', timeMax: '1795230000000000000' }
      return { key, bytes: 100, sha256: hash, rows: 10, tenant, signal, hour, ...times }
    })
    const record = commitRecord(start, end, { ...id, files })
    await this.store.put(commitKey(id, start), serializeCommitRecord(record), {
      onlyIfAbsent: true,
    })
    this.#ends.set(partitionPath(id), end)
    for (const file of files) this.files.set(file.key, file)
    return record
  }
}
