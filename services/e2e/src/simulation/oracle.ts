/**
 * What is left in the bucket after healing, compared with what clients sent and heard: D1 nothing
 * acknowledged is lost, D2 nothing is there twice, D4 nothing that nobody sent; O1 the chains tile without
 * a hole that has no reason; C1 every named file is there, C2 the index says what the chains say.
 */
import { hash } from 'node:crypto'
import type { CommitRecord } from '@tributary/common/commit/commit-record'
import { commitKey, partitionPath, type PartitionId } from '@tributary/common/paths'
import type { MemoryBucket } from '@tributary/common/testing/memory-object-store'
import type { MemoryIndexState } from '@tributary/common/testing/memory-file-index'
import { rowsOfFile } from '@tributary/ingester/testing/memory-encoder'
import type { Ledger } from './ledger.ts'
import { parsedCommit } from './watched-bucket.ts'
import type { InvariantId, Violations } from './violations.ts'

export interface OracleOptions {
  readonly bucket: MemoryBucket
  readonly ledger: Ledger
  readonly violations: Violations
  /** Each with the end of its log; undefined: it has none of its own. */
  readonly partitions: readonly { readonly id: PartitionId; readonly logEnd: bigint | undefined }[]
  readonly index: MemoryIndexState | undefined
}

/** What there was to judge: a run in which nothing happens proves nothing. */
export interface Judgement {
  readonly commits: number
  readonly files: number
  readonly rowsStored: number
  /** Of chunks and batches that came again. */
  readonly rowsSuppressed: number
  readonly rowsQuarantined: number
  /** Commits of another writer than the one before. */
  readonly ownerChanges: number
}

export function judge(options: OracleOptions): Judgement {
  const { bucket, ledger, violations, partitions, index } = options
  const counts = new Map<string, number>()
  const keys = new Set<string>()
  const all: CommitRecord[] = []
  let ownerChanges = 0
  for (const { id, logEnd } of partitions) {
    const chain = chainOf(bucket, id)
    all.push(...chain)
    ownerChanges += chain.filter(
      ({ writer }, index) => index > 0 && writer !== chain[index - 1]?.writer,
    ).length
    const end = BigInt(chain.at(-1)?.end ?? 0)
    if (logEnd !== undefined && end !== logEnd) {
      violations.add('O1', `the chain ends at ${String(end)}, its log at ${String(logEnd)}`)
    }
    for (const record of chain) {
      checkHoles(record, violations)
      for (const file of record.files) {
        keys.add(file.key)
        countRows(options, file, counts)
      }
    }
    if (index !== undefined) checkIndex(id, chain, index, violations)
  }
  checkRows(ledger, counts, violations)
  if (index !== undefined) checkIndexFiles(index, keys, violations)
  const sum = (read: (record: CommitRecord) => number): number =>
    all.reduce((total, record) => total + read(record), 0)
  return {
    commits: all.length,
    files: keys.size,
    rowsStored: counts.size,
    rowsSuppressed: sum((record) => record.counts.rowsSuppressed),
    rowsQuarantined: sum((record) => record.counts.rowsQuarantined),
    ownerChanges,
  }
}

/** The commits from 0 on, each at the place where the one before ended. */
export function chainOf(bucket: MemoryBucket, id: PartitionId): CommitRecord[] {
  const chain: CommitRecord[] = []
  let end = 0n
  for (;;) {
    const object = bucket.objects.get(commitKey(id, end))
    if (object === undefined) return chain
    const record = parsedCommit(object.bytes)
    chain.push(record)
    end = BigInt(record.end)
  }
}

/** Only batches that nobody can encode give no rows. */
function checkHoles({ holes, start }: CommitRecord, violations: Violations): void {
  for (const hole of holes) {
    if (!hole.reason.startsWith('quarantined: the batch can not be encoded')) {
      violations.add('O1', `the commit at ${start} has a hole: ${hole.reason}`)
    }
  }
}

function countRows(
  { bucket, violations }: OracleOptions,
  file: CommitRecord['files'][number],
  counts: Map<string, number>,
): void {
  const object = bucket.objects.get(file.key)
  if (object === undefined || hash('sha256', object.bytes) !== file.sha256) {
    violations.add('C1', `${file.key} is ${object === undefined ? 'gone' : 'another file'}`)
    return
  }
  const names = rowsOfFile(object.bytes)
  if (names.length !== file.rows) violations.add('C1', `${file.key} has other rows than it says`)
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
}

function checkRows(
  { rows }: Ledger,
  counts: ReadonlyMap<string, number>,
  violations: Violations,
): void {
  const lost: string[] = []
  for (const [name, { state, isPoisoned }] of rows) {
    if (state === 'ok' && !isPoisoned && !counts.has(name)) lost.push(name)
  }
  const stored = [...counts]
  const twice = stored.filter(([, count]) => count > 1).map(([name]) => name)
  const invented = stored.map(([name]) => name).filter((name) => !rows.has(name))
  const tell = (invariant: InvariantId, names: readonly string[], what: string): void => {
    if (names.length === 0) return
    violations.add(invariant, `${String(names.length)} rows ${what}, one is ${names[0] ?? ''}`)
  }
  tell('D1', lost, 'were acknowledged and are not stored')
  tell('D2', twice, 'are stored more than once')
  tell('D4', invented, 'are stored that were never sent')
}

function checkIndex(
  id: PartitionId,
  chain: readonly CommitRecord[],
  index: MemoryIndexState,
  violations: Violations,
): void {
  const end = index.current?.chains.get(partitionPath(id))?.end ?? 0n
  const chainEnd = BigInt(chain.at(-1)?.end ?? 0)
  if (end !== chainEnd) {
    violations.add('C2', `the index ends at ${String(end)}, the chain at ${String(chainEnd)}`)
  }
}

function checkIndexFiles(
  index: MemoryIndexState,
  keys: ReadonlySet<string>,
  violations: Violations,
): void {
  const indexed = new Set<string>()
  for (const files of index.current?.hours.values() ?? []) {
    for (const key of files.keys()) indexed.add(key)
  }
  for (const key of keys) if (!indexed.has(key)) violations.add('C2', `the index lacks ${key}`)
  for (const key of indexed) if (!keys.has(key)) violations.add('C2', `the index invents ${key}`)
}
