/**
 * The proof of a chaos run, after healing and draining: from the object store alone, by readers that
 * share no code with the writers where rows are counted.
 */
import { listChains } from '@tributary/common/commit/chain-range'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import type { CommitRecord } from '@tributary/common/commit/commit-record'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { runPython } from '@tributary/common/testing/python'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { verifyStore } from '@tributary/common/verify/verify'

import type { Ledger } from '../ledger/ledger.ts'
import type { CopiedFile, StoreCopy } from '../oracle/store-copy.ts'
import { judge, type Judgement } from '../oracle/judgement.ts'
import { readStoredRequests } from '../oracle/stored-requests.ts'
import { ownerStarts } from '../cluster/partition-events.ts'
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

/** Reads everything; load must have stopped and been drained. */
export async function prove(
  store: ObjectStore,
  copy: StoreCopy,
  ledger: Ledger,
  seed: number,
  redisUrl: string | undefined,
  logs: readonly string[] = [],
): Promise<ProofFindings> {
  const problems: string[] = []
  const drift = redisUrl === undefined ? undefined : await findIndexDrift(store, redisUrl)
  if (drift !== undefined) problems.push(`C2 the file index differs: ${drift}`)
  const report = await verifyStore(store)
  for (const problem of report.problems) problems.push(`C1 verify: ${JSON.stringify(problem)}`)
  for (const hole of report.holes) problems.push(`O1 a hole: ${JSON.stringify(hole)}`)
  const { commits, epochMax } = await checkChains(store, ownerStarts(logs), problems)
  const files = await copy.refresh()
  checkWithPyArrow(files, seed, problems)
  const judgement = judge(ledger, await readStoredRequests(files))
  for (const breach of ledger.breaches) problems.push(`A2 ${JSON.stringify(breach)}`)
  return { judgement, problems, files: files.length, commits, epochMax }
}

/** O1 and F3 follow from keys that tile; F1: epochs never go down; O4: who owned, began where a commit ends. */
async function checkChains(
  store: ObjectStore,
  starts: ReadonlyMap<number, ReadonlySet<string>>,
  problems: string[],
): Promise<{ commits: number; epochMax: number }> {
  let [commits, epochMax] = [0, 0]
  for await (const id of listChains(store)) {
    const name = `${id.topic}/${String(id.partition)}`
    const chain = await CommitChain.open(store, id)
    let last: CommitRecord | undefined
    const bounds = new Set<string>()
    for await (const record of chain.records()) {
      commits++
      epochMax = Math.max(epochMax, record.epoch)
      if (last !== undefined && record.epoch < last.epoch) {
        problems.push(`F1 ${name}: epoch ${String(record.epoch)} after ${String(last.epoch)}`)
      }
      if (record.counts.rowsQuarantined > 0) {
        problems.push(`D1 ${name}: rows in quarantine at ${record.start}`)
      }
      last = record
      bounds.add(record.start).add(record.end)
    }
    for (const start of starts.get(id.partition) ?? []) {
      if (!bounds.has(start))
        problems.push(`O4 ${name}: an owner began at ${start}, within a commit`)
    }
  }
  return { commits, epochMax }
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
