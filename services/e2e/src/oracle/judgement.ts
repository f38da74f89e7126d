/**
 * Compares what the ledger says with what the files hold. The ids are those of the fault list: D1 no
 * acknowledged item lost, D2 none twice, D3 none changed, D4 nothing that nobody sent, T1 none with
 * another tenant.
 */
import type { Ledger, LedgerEntry } from '../ledger/ledger.ts'
import type { StoredRequest } from './stored-requests.ts'

export type Invariant = 'D1' | 'D2' | 'D3' | 'D4' | 'T1'

export interface Violation {
  readonly invariant: Invariant
  readonly client: number
  readonly number: number
  readonly problem: string
}

export interface Judgement {
  /** Rows in the files. */
  readonly rows: number
  /** Items of requests without an OK that are stored all the same. */
  readonly indeterminateStored: number
  readonly violationCount: number
  /** The first of them. */
  readonly violations: readonly Violation[]
}

const VIOLATIONS_KEPT_MAX = 20

export function judge(ledger: Ledger, stored: readonly StoredRequest[]): Judgement {
  const violations: Violation[] = []
  let violationCount = 0
  const blame = (
    invariant: Invariant,
    { client, number }: { readonly client: number; readonly number: number },
    problem: string,
  ): void => {
    violationCount++
    if (violations.length < VIOLATIONS_KEPT_MAX) {
      violations.push({ invariant, client, number, problem })
    }
  }
  let rows = 0
  let indeterminateStored = 0
  const seen = new Map<string, StoredRequest>()
  for (const request of stored) {
    const { client, number } = request
    rows += request.rows
    seen.set(`${String(client)}/${String(number)}`, request)
    const entry = ledger.find(client, number)
    if (entry === undefined) blame('D4', request, `${String(request.rows)} rows that nobody sent`)
    else checkRequest(entry, request, (invariant, problem) => blame(invariant, request, problem))
    if (entry !== undefined && entry.state !== 'ok') indeterminateStored += request.items
  }
  for (const [client, number, entry] of ledger.entries()) {
    if (entry.state !== 'ok') continue
    const items = seen.get(`${String(client)}/${String(number)}`)?.items ?? 0
    if (items >= entry.items) continue
    blame('D1', { client, number }, `${String(entry.items - items)} of ${String(entry.items)} lost`)
  }
  return { rows, indeterminateStored, violationCount, violations }
}

function checkRequest(
  entry: LedgerEntry,
  stored: StoredRequest,
  blame: (invariant: Invariant, problem: string) => void,
): void {
  const { rows, items, indexMax, damaged, strayed } = stored
  if (rows > items) blame('D2', `${String(rows - items)} of ${String(rows)} rows are stored again`)
  if (damaged > 0) blame('D3', `${String(damaged)} rows say something else than was sent`)
  if (strayed > 0) blame('T1', `${String(strayed)} rows lie with another tenant`)
  if (indexMax >= entry.items) blame('D4', `item ${String(indexMax)} was never to be stored`)
}
