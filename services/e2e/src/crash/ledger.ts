/**
 * What a crash test sent and what it heard. Every log record carries a unique id; a request whose
 * answer is unknown stays open and is sent again, byte for byte, as a collector does, also across
 * restarts. At the end every id must be stored exactly once.
 */
import { exportRequest } from '@tributary/common/testing/otlp-messages'

export interface LedgerRequest {
  readonly body: Uint8Array
  readonly ids: readonly string[]
  tries: number
}

/** Attribute under which a record carries its id. */
export const LEDGER_KEY = 'ledger.id'

const RECORDS_PER_KEY = 5000

const logs = exportRequest('logs')

export class Ledger {
  readonly #seed: number
  #next = 0
  readonly #open: LedgerRequest[] = []
  readonly #acknowledged = new Set<string>()
  retried = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  get acknowledged(): ReadonlySet<string> {
    return this.#acknowledged
  }

  get openRequests(): number {
    return this.#open.length
  }

  /** A request whose answer is unknown, else a new one of `records` log records. */
  take(records: number): LedgerRequest {
    const request = this.#open.shift()
    if (request === undefined) return this.#create(records)
    this.retried++
    return request
  }

  succeeded(request: LedgerRequest): void {
    for (const id of request.ids) this.#acknowledged.add(id)
  }

  /** No answer, or one that says try again. */
  unknown(request: LedgerRequest): void {
    request.tries++
    this.#open.push(request)
  }

  #create(records: number): LedgerRequest {
    const ids = Array.from(
      { length: records },
      () => `${String(this.#seed)}-${String(this.#next++)}`,
    )
    // a key that no file has yet, now and then: the schema chain grows under the kills too
    const newKey = `key.${String(Math.floor(this.#next / RECORDS_PER_KEY))}`
    const nowNano = BigInt(Date.now()) * 1_000_000n
    const body = logs.encode({
      resourceLogs: [
        {
          resource: {
            attributes: [
              { key: 'service.name', value: { stringValue: `s${String(this.#next % 7)}` } },
            ],
          },
          scopeLogs: [
            {
              logRecords: ids.map((id, index) => ({
                timeUnixNano: String(nowNano + BigInt(index) + 1n),
                severityText: 'INFO',
                body: { stringValue: `record ${id} ${'x'.repeat(index % 200)}` },
                attributes: [
                  { key: LEDGER_KEY, value: { stringValue: id } },
                  { key: newKey, value: { intValue: String(index) } },
                ],
              })),
            },
          ],
        },
      ],
    })
    return { body, ids, tries: 0 }
  }
}
