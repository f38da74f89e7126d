/**
 * Makes the requests of one load client. Every item carries who sent it and a digest of what it says,
 * so that a reader that knows nothing of the run can tell whether a row is whole, where it belongs and
 * whether it came before. Times have a part below the second: repeats of chunks can be told.
 */
import { createHash } from 'node:crypto'

import type { SignalName } from '@tributary/common/signal'
import { exportRequest } from '@tributary/common/testing/otlp-messages'
import { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { LedgerRequest } from './ledger.ts'

/** Attributes of every item; stored as `attributes.<key>`. */
export const LEDGER_KEYS = {
  client: 'ledger.client',
  request: 'ledger.request',
  index: 'ledger.index',
  tenant: 'ledger.tenant',
  digest: 'ledger.digest',
} as const

export interface MakerOptions {
  readonly client: number
  readonly seed: number
  readonly signals?: readonly SignalName[]
  readonly tenants?: readonly string[]
  /** Items per request, from 1 to this. */
  readonly itemsMax: number
  /** Share of span requests that hold an item that can never be stored. */
  readonly rejectedShare?: number
}

const SERVICES = 7
/** A key that no file has yet, so often: the schema chain grows under the faults too. */
const REQUESTS_PER_NEW_KEY = 200

export class RequestMaker {
  readonly #options: MakerOptions
  readonly #random: SeededRandom
  #number = 0

  constructor(options: MakerOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed * 1009 + options.client)
  }

  next(): LedgerRequest {
    const { client, signals = SIGNALS, tenants = ['default'], itemsMax } = this.#options
    const random = this.#random
    const number = this.#number++
    const signal = random.pick(signals)
    const tenant = random.pick(tenants)
    const items = 1 + random.below(itemsMax)
    const isPartlyBad = signal === 'spans' && random.chance(this.#options.rejectedShare ?? 0)
    const rejectedItems = isPartlyBad ? 1 : 0
    const nowNanos = BigInt(Date.now()) * 1_000_000n
    const item = ITEMS[signal]
    const made = Array.from({ length: items }, (_, index) =>
      item(random, nowNanos + BigInt(index + 1), (digested) =>
        this.#attributes(number, index, tenant, digested),
      ),
    )
    if (isPartlyBad) made.splice(random.below(items + 1), 0, { name: 'a span without ids' })
    const service = `service-${String(random.below(SERVICES))}`
    const body = exportRequest(signal).encode(WRAPPERS[signal](service, made))
    return { client, number, signal, tenant, body, items, rejectedItems }
  }

  #attributes(number: number, index: number, tenant: string, digested: string): object[] {
    const { client } = this.#options
    const text = `${String(client)}|${String(number)}|${String(index)}|${tenant}|${digested}`
    return [
      { key: LEDGER_KEYS.client, value: { intValue: client } },
      { key: LEDGER_KEYS.request, value: { intValue: number } },
      { key: LEDGER_KEYS.index, value: { intValue: index } },
      { key: LEDGER_KEYS.tenant, value: { stringValue: tenant } },
      { key: LEDGER_KEYS.digest, value: { stringValue: md5(text) } },
      {
        key: `key.${String(Math.floor(number / REQUESTS_PER_NEW_KEY))}`,
        value: { intValue: index },
      },
    ]
  }
}

const SIGNALS: readonly SignalName[] = ['logs', 'spans', 'metrics']

/** The item, given its time and what makes its attributes of the text that its digest covers. */
type ItemMaker = (
  random: SeededRandom,
  timeUnixNano: bigint,
  attributes: (digested: string) => object[],
) => object

const ITEMS: Readonly<Record<SignalName, ItemMaker>> = {
  logs: (random, time, attributes) => {
    const body = `message ${String(random.uint32())} ${'ü'.repeat(random.below(60))}`
    const severityText = random.pick(['INFO', 'WARN', 'ERROR'])
    return {
      timeUnixNano: String(time),
      severityText,
      body: { stringValue: body },
      attributes: attributes(`${String(time)}|${severityText}|${body}`),
    }
  },
  spans: (random, time, attributes) => {
    const traceId = random.bytes(16)
    const spanId = random.bytes(8)
    const name = `operation ${String(random.below(50))}`
    const hex = `${Buffer.from(traceId).toString('hex')}|${Buffer.from(spanId).toString('hex')}`
    return {
      traceId,
      spanId,
      name,
      startTimeUnixNano: String(time),
      endTimeUnixNano: String(time + BigInt(random.below(1e9))),
      attributes: attributes(`${String(time)}|${hex}|${name}`),
    }
  },
  metrics: (random, time, attributes) => {
    const name = `metric_${String(random.below(20))}`
    const value = String(BigInt.asIntN(64, random.uint64()))
    const point = {
      timeUnixNano: String(time),
      asInt: value,
      attributes: attributes(`${String(time)}|${name}|${value}`),
    }
    return { name, gauge: { dataPoints: [point] } }
  },
}

const WRAPPERS: Readonly<
  Record<SignalName, (service: string, items: object[]) => Record<string, unknown>>
> = {
  logs: (service, logRecords) => ({
    resourceLogs: [{ resource: resource(service), scopeLogs: [{ logRecords }] }],
  }),
  spans: (service, spans) => ({
    resourceSpans: [{ resource: resource(service), scopeSpans: [{ spans }] }],
  }),
  metrics: (service, metrics) => ({
    resourceMetrics: [{ resource: resource(service), scopeMetrics: [{ metrics }] }],
  }),
}

function resource(service: string): object {
  return { attributes: [{ key: 'service.name', value: { stringValue: service } }] }
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}
