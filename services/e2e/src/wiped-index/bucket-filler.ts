/**
 * Fills the bucket of a cluster with small files by the cluster itself: one request for each of many
 * tables, then everything is flushed, again and again. A commit holds about six files, as one of a real
 * partition does. Every item stands in a ledger of its own.
 */
import { readCommittedFiles } from '@tributary/cli/query/committed-files'

import type { SmallCluster } from '../cluster/small-cluster.ts'
import type { OtlpSender } from '../ledger/otlp-sender.ts'
import { Ledger, type LedgerRequest } from '../ledger/ledger.ts'
import { RequestMaker } from '../ledger/request-maker.ts'

export interface Filled {
  readonly files: number
  readonly rows: number
}

/** Two for each of 16 partitions, three signals: six tables a partition. */
const TENANTS = 32
const SIGNALS = ['logs', 'spans', 'metrics'] as const
const ITEMS_MAX = 3
const TIMEOUT_MS = 20_000
const COUNT_EVERY_CYCLES = 250
const FILL_PREFIX = 'fill-'

/** Whether a file is one of these. */
export function isFilling(tenant: string): boolean {
  return tenant.startsWith(FILL_PREFIX)
}

/** Until the commits name at least so many files. @throws Error where one row is not stored once */
export async function fillBucket(
  cluster: SmallCluster,
  sender: OtlpSender,
  files: number,
  report: (line: string) => void,
): Promise<Filled> {
  const ledger = new Ledger()
  const makers = Array.from({ length: TENANTS }, (_, tenant) =>
    SIGNALS.map((signal, at) => {
      const client = tenant * SIGNALS.length + at
      const tenants = [`${FILL_PREFIX}${String(tenant)}`]
      return new RequestMaker({ client, seed: 1, signals: [signal], tenants, itemsMax: ITEMS_MAX })
    }),
  ).flat()
  let countAtCycle = Math.min(COUNT_EVERY_CYCLES, Math.ceil(files / makers.length))
  for (let cycle = 1; ; cycle++) {
    await Promise.all(makers.map((maker) => sendOne(sender, ledger, maker.next())))
    await flushAll(cluster)
    // what was not fetched when the flush began is in the next one, and shares its files
    if (cycle < countAtCycle) continue
    const filled = await countFilled(cluster)
    report(`${String(filled.files)} files`)
    if (filled.files < files) {
      const cyclesLeft = Math.ceil((files - filled.files) / makers.length)
      countAtCycle = cycle + Math.min(COUNT_EVERY_CYCLES, cyclesLeft)
      continue
    }
    const { acknowledged } = ledger.totals()
    if (filled.rows === acknowledged) return filled
    throw new Error(`of ${String(acknowledged)} rows ${String(filled.rows)} are stored`)
  }
}

async function countFilled({ store }: SmallCluster): Promise<Filled> {
  const files = (await readCommittedFiles(store)).filter(({ tenant }) => isFilling(tenant))
  return { files: files.length, rows: files.reduce((sum, { rows }) => sum + rows, 0) }
}

/** Every ingester commits what it has. */
export async function flushAll(cluster: SmallCluster): Promise<void> {
  const ingesters = [...cluster.processes.values()].filter(({ role }) => role === 'ingester')
  await Promise.all(
    ingesters.map(async ({ adminUrl }) => {
      const answer = await fetch(`${adminUrl}/flush`, { method: 'POST' })
      if (!answer.ok) throw new Error(`not flushed: ${await answer.text()}`)
      await answer.arrayBuffer()
    }),
  )
}

async function sendOne(sender: OtlpSender, ledger: Ledger, request: LedgerRequest): Promise<void> {
  ledger.begin(request)
  ledger.tried(request)
  const outcome = await sender.send(request, TIMEOUT_MS)
  if (outcome.kind !== 'ok') throw new Error(`not taken: ${JSON.stringify(outcome)}`)
  ledger.succeeded(request, outcome.rejected)
}
