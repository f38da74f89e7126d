/**
 * What load clients sent and what they heard, request by request: `ok` once an OK arrived, `open` while
 * it will be sent again, `indeterminate` where its client gave up without an answer. At the end every
 * item of an ok request, less those that it was told are rejected, must be stored exactly once; an
 * item of an indeterminate one at most once; nothing else.
 */
import type { SignalName } from '@tributary/common/signal'

export interface LedgerRequest {
  readonly client: number
  /** Ascending per client, from 0. */
  readonly number: number
  readonly signal: SignalName
  readonly tenant: string
  readonly body: Uint8Array
  /** Items that can be stored: indexes from 0. */
  readonly items: number
  /** Items that can never be accepted, beside them. */
  readonly rejectedItems: number
}

export type RequestState = 'open' | 'ok' | 'indeterminate'

/** A request without its bytes. */
export interface LedgerEntry {
  readonly signal: SignalName
  readonly tenant: string
  readonly items: number
  readonly rejectedItems: number
  state: RequestState
  /** Sends so far. */
  tries: number
}

/** A well-formed request heard what makes a collector drop it, or an OK that does not add up. */
export interface ContractBreach {
  readonly client: number
  readonly number: number
  readonly problem: string
}

export interface LedgerTotals {
  readonly requests: Readonly<Record<RequestState, number>>
  /** Items of ok requests, without the rejected ones. */
  readonly acknowledged: number
  readonly rejected: number
  readonly indeterminate: number
  readonly retries: number
  /** Requests that found their client's queue full: never sent. */
  readonly unsent: number
  readonly breaches: number
}

/** Kept for the report; all are counted. */
const BREACHES_KEPT_MAX = 100

export class Ledger {
  readonly #clients = new Map<number, LedgerEntry[]>()
  readonly breaches: ContractBreach[] = []
  #breachCount = 0
  unsent = 0

  /** Opens an entry before the request is first sent. */
  begin(request: LedgerRequest): void {
    const { client, signal, tenant, items, rejectedItems } = request
    const entries = this.#clients.get(client) ?? []
    if (entries.length !== request.number) throw new Error('requests of a client are numbered')
    entries.push({ signal, tenant, items, rejectedItems, state: 'open', tries: 0 })
    this.#clients.set(client, entries)
  }

  tried(request: LedgerRequest): void {
    this.#entry(request).tries++
  }

  /** An OK arrived, saying that so many items were rejected. */
  succeeded(request: LedgerRequest, rejected: number): void {
    this.#entry(request).state = 'ok'
    if (rejected === request.rejectedItems) return
    const expected = String(request.rejectedItems)
    this.breach(request, `told of ${String(rejected)} rejected items in place of ${expected}`)
  }

  /** The client stops asking: nobody knows what was stored. */
  gaveUp(request: LedgerRequest): void {
    this.#entry(request).state = 'indeterminate'
  }

  breach({ client, number }: LedgerRequest, problem: string): void {
    this.#breachCount++
    if (this.breaches.length < BREACHES_KEPT_MAX) this.breaches.push({ client, number, problem })
  }

  /** undefined: no client has sent this. */
  find(client: number, number: number): LedgerEntry | undefined {
    return this.#clients.get(client)?.[number]
  }

  *entries(): Generator<readonly [client: number, number: number, entry: LedgerEntry]> {
    for (const [client, entries] of this.#clients) {
      for (let number = 0; number < entries.length; number++)
        yield [client, number, entries[number]!]
    }
  }

  totals(): LedgerTotals {
    const requests = { open: 0, ok: 0, indeterminate: 0 }
    let [acknowledged, rejected, indeterminate, retries] = [0, 0, 0, 0]
    for (const [, , { state, items, rejectedItems, tries }] of this.entries()) {
      requests[state]++
      retries += Math.max(0, tries - 1)
      if (state === 'ok') {
        acknowledged += items
        rejected += rejectedItems
      } else indeterminate += items
    }
    const { unsent } = this
    const breaches = this.#breachCount
    return { requests, acknowledged, rejected, indeterminate, retries, unsent, breaches }
  }

  #entry({ client, number }: LedgerRequest): LedgerEntry {
    const entry = this.find(client, number)
    if (entry === undefined) throw new Error('a request that was never begun')
    return entry
  }
}
