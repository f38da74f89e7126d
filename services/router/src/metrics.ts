/** What a router counts of the requests that it took: plain numbers, read when they are scraped. */
import { DurationHistogram, type DurationTally } from '@tributary/common/duration-histogram'
import { Counter, TenantCounter, type Registry } from '@tributary/common/metrics'
import { signalName, type Signal } from '@tributary/common/signal'
import type { DecodeOutcome } from '@tributary/common/otlp/decoder'

interface IngestedRequest {
  readonly signal: Signal
  readonly tenant: string
}

export class RouterMetrics {
  readonly #items = new Map<string, number>()
  readonly #rejected = new Map<string, number>()
  readonly #repairs = new Map<string, number>()
  readonly #decode: DurationTally
  readonly #tenantBytes: TenantCounter
  readonly #tenantItems: TenantCounter
  items = 0

  constructor(registry: Registry) {
    this.#decode = new DurationHistogram(registry, {
      name: 'tributary_router_decode_seconds',
      help: 'Turning one request into rows of batches, without its transport and its waiting',
    }).tally()
    this.#tenantBytes = new TenantCounter(registry, {
      name: 'tributary_router_tenant_bytes_total',
      help: 'OTLP bytes of acknowledged requests, decompressed, by tenant',
    })
    this.#tenantItems = new TenantCounter(registry, {
      name: 'tributary_router_tenant_items_total',
      help: 'Acknowledged items by tenant',
    })
    expose(registry, this.#items, {
      name: 'tributary_router_items_total',
      help: 'Log records, spans and data points acknowledged',
      label: 'signal',
    })
    expose(registry, this.#rejected, {
      name: 'tributary_router_rejected_items_total',
      help: 'Items that can never be accepted, told in partial_success',
      label: 'signal',
    })
    expose(registry, this.#repairs, {
      name: 'tributary_router_repairs_total',
      help: 'Values changed by a data rule: duplicate keys, invalid UTF-8, long strings',
      label: 'rule',
    })
  }

  /** A request was decoded, in one run or in slices. */
  decoded(tookMs: number): void {
    this.#decode.observe(tookMs / 1000)
  }

  /** A request was acknowledged; `bytes` are those that were decoded. */
  ingested({ signal, tenant }: IngestedRequest, bytes: number, outcome: DecodeOutcome): void {
    const name = signalName(signal) ?? 'unknown'
    this.items += outcome.rows
    this.#tenantBytes.add(tenant, bytes)
    this.#tenantItems.add(tenant, outcome.rows)
    add(this.#items, name, outcome.rows)
    if (outcome.rejectedItems > 0) add(this.#rejected, name, outcome.rejectedItems)
    const { duplicateKeys, invalidStrings, truncatedStrings, invalidIds } = outcome.counters
    if (duplicateKeys > 0) add(this.#repairs, 'duplicateKeys', duplicateKeys)
    if (invalidStrings > 0) add(this.#repairs, 'invalidStrings', invalidStrings)
    if (truncatedStrings > 0) add(this.#repairs, 'truncatedStrings', truncatedStrings)
    if (invalidIds > 0) add(this.#repairs, 'invalidIds', invalidIds)
  }
}

function add(counts: Map<string, number>, label: string, count: number): void {
  counts.set(label, (counts.get(label) ?? 0) + count)
}

interface Exposition {
  readonly name: string
  readonly help: string
  readonly label: string
}

function expose(
  registry: Registry,
  counts: ReadonlyMap<string, number>,
  { name, help, label }: Exposition,
): void {
  new Counter({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset()
      for (const [value, count] of counts) this.inc({ [label]: value }, count)
    },
  })
}
