import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { Ledger } from '../../src/ledger/ledger.ts'
import type { LedgerRequest } from '../../src/ledger/ledger.ts'
import { judge } from '../../src/oracle/judgement.ts'
import type { StoredRequest } from '../../src/oracle/stored-requests.ts'

function sent(ledger: Ledger, number: number, end: 'ok' | 'indeterminate'): LedgerRequest {
  const request: LedgerRequest = {
    ...{ client: 1, number, signal: 'logs', tenant: 'acme' },
    ...{ body: new Uint8Array(0), items: 5, rejectedItems: 0 },
  }
  ledger.begin(request)
  ledger.tried(request)
  if (end === 'ok') ledger.succeeded(request, 0)
  else ledger.gaveUp(request)
  return request
}

function stored(number: number, changes: Partial<StoredRequest> = {}): StoredRequest {
  const whole = { rows: 5, items: 5, indexMax: 4, damaged: 0, strayed: 0 }
  return { client: 1, number, ...whole, ...changes }
}

describe('judge', () => {
  it('finds nothing where all is stored once, and the indeterminate at most once', () => {
    const ledger = new Ledger()
    sent(ledger, 0, 'ok')
    sent(ledger, 1, 'indeterminate')
    sent(ledger, 2, 'indeterminate')
    const judgement = judge(ledger, [stored(0), stored(1, { rows: 3, items: 3 })])
    assert.deepEqual(judgement, {
      ...{ rows: 8, indeterminateStored: 3, violationCount: 0, violations: [] },
    })
  })

  it('names every invariant that is broken', () => {
    const cases: readonly (readonly [string, 'ok' | 'indeterminate', readonly StoredRequest[]])[] =
      [
        ['D1', 'ok', []],
        ['D1', 'ok', [stored(0, { rows: 4, items: 4 })]],
        ['D2', 'ok', [stored(0, { rows: 6 })]],
        ['D2', 'indeterminate', [stored(0, { rows: 6 })]],
        ['D3', 'ok', [stored(0, { damaged: 1 })]],
        ['D4', 'ok', [stored(0), stored(7)]],
        ['D4', 'ok', [stored(0, { rows: 6, items: 6, indexMax: 5 })]],
        ['T1', 'ok', [stored(0, { strayed: 1 })]],
      ]
    for (const [invariant, end, rows] of cases) {
      const ledger = new Ledger()
      sent(ledger, 0, end)
      const { violations } = judge(ledger, rows)
      assert.deepEqual(
        violations.map((violation) => violation.invariant),
        [invariant],
      )
    }
  })

  it('counts every breach of what a client was promised', () => {
    const ledger = new Ledger()
    const request = sent(ledger, 0, 'ok')
    ledger.succeeded(request, 2)
    ledger.breach(request, 'answered with 500')
    assert.equal(ledger.totals().breaches, 2)
  })
})
