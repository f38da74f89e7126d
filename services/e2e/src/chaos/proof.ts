/**
 * The proof of a chaos run, after healing and draining: from the object store alone, by readers that
 * share no code with the writers where rows are counted.
 */
import { listChains } from '@tributary/common/commit/chain-range'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import type { CommitRecord } from '@tributary/common/commit/commit-record'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { partitionPath } from '@tributary/common/paths'
import { runPython } from '@tributary/common/testing/python'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { verifyStore } from '@tributary/common/verify/verify'

import type { Ledger } from '../ledger/ledger.ts'
import type { CopiedFile, StoreCopy } from '../oracle/store-copy.ts'
import { judge, type Judgement } from '../oracle/judgement.ts'
import { readStoredRequests } from '../oracle/stored-requests.ts'
import { ownerStarts } from '../cluster/partition-events.ts'
import type { CommitAttempts } from './commit-attempts.ts'
import { findIndexDrift } from './index-check.ts'

export interface ProofFindings {
  readonly judgement: Judgement
  /** Broken invariants beside those of the rows, each with its id. */
  readonly problems: readonly string[]
  readonly files: number
  readonly commits: number
  /** Highest epoch over all chains. */
  readonly epochMax: number
}

const PYARROW_SAMPLE = 20
const PYARROW_SCRIPT = `
import json, sys
import pyarrow.parquet as pq
print(json.dumps([pq.read_table(path, partitioning=None).num_rows for path in sys.argv[1:]]))
`

export interface ProofMaterial {
  readonly store: ObjectStore
  readonly copy: StoreCopy
  readonly ledger: Ledger
  readonly seed: number
  /** Of the file index; undefined: there is none. */
  readonly redisUrl?: string | undefined
  /** What ingesters have logged. */
  readonly logs?: readonly string[]
  /** Commits that were asked for. */
  readonly attempts?: CommitAttempts
}

/** Reads everything; load must have stopped and been drained. */
export async function prove(material: ProofMaterial): Promise<ProofFindings> {
  const { store, copy, ledger, seed, redisUrl } = material
  const problems: string[] = []
  const drift = redisUrl === undefined ? undefined : await findIndexDrift(store, redisUrl)
  if (drift !== undefined) problems.push(`C2 the file index differs: ${drift}`)
  const report = await verifyStore(store)
  for (const problem of report.problems) problems.push(`C1 verify: ${JSON.stringify(problem)}`)
  for (const hole of report.holes) problems.push(`O1 a hole: ${JSON.stringify(hole)}`)
  const { commits, epochMax } = await checkChains(material, problems)
  const files = await copy.refresh()
  checkWithPyArrow(files, seed, problems)
  const judgement = judge(ledger, await readStoredRequests(files))
  for (const breach of ledger.breaches) problems.push(`A2 ${JSON.stringify(breach)}`)
  return { judgement, problems, files: files.length, commits, epochMax }
}

/** O1 and F3 follow from keys that tile; F1: epochs never go down; O4: who owned, began where a commit ends. */
async function checkChains(
  { store, logs = [], attempts }: ProofMaterial,
  problems: string[],
): Promise<{ commits: number; epochMax: number }> {
  let [commits, epochMax] = [0, 0]
  const starts = ownerStarts(logs)
  for await (const id of listChains(store)) {
    const name = `${id.topic}/${String(id.partition)}`
    const chain = await CommitChain.open(store, id)
    const records: CommitRecord[] = []
    for await (const record of chain.records()) records.push(record)
    commits += records.length
    for (const [index, record] of records.entries()) {
      epochMax = Math.max(epochMax, record.epoch)
      checkEpochs(name, records[index - 1], record, problems)
      if (record.counts.rowsQuarantined > 0) {
        problems.push(`D1 ${name}: rows in quarantine at ${record.start}`)
      }
    }
    if (attempts !== undefined) {
      problems.push(...attempts.afterOvertaken(partitionPath(id), records))
    }
    const bounds = new Set(records.flatMap(({ start, end }) => [start, end]))
    for (const start of starts.get(id.partition) ?? []) {
      if (!bounds.has(start))
        problems.push(`O4 ${name}: an owner began at ${start}, within a commit`)
    }
  }
  return { commits, epochMax }
}

function checkEpochs(
  name: string,
  before: CommitRecord | undefined,
  { epoch, writer, start }: CommitRecord,
  problems: string[],
): void {
  if (before === undefined) return
  if (epoch < before.epoch) {
    problems.push(`F1 ${name}: epoch ${String(epoch)} after ${String(before.epoch)} at ${start}`)
  } else if (epoch === before.epoch && writer !== before.writer) {
    problems.push(`F2 ${name}: ${writer} has the epoch of ${before.writer} at ${start}`)
  }
}

function checkWithPyArrow(files: readonly CopiedFile[], seed: number, problems: string[]): void {
  const sample = new SeededRandom(seed).shuffled(files).slice(0, PYARROW_SAMPLE)
  if (sample.length === 0) return
  const paths = sample.map(({ path }) => path)
  const rows = JSON.parse(runPython(PYARROW_SCRIPT, paths)) as readonly number[]
  sample.forEach((file, index) => {
    if (rows[index] === file.rows) return
    problems.push(`C1 PyArrow reads ${String(rows[index])} rows of ${file.key}`)
  })
}
