/** What a router counts of the requests that it took. */
import { Counter, type Registry } from '@tributary/common/metrics'
import { signalName, type Signal } from '@tributary/common/signal'
import type { DecodeOutcome } from '@tributary/common/otlp/decoder'

export class RouterMetrics {
  readonly #items: Counter
  readonly #rejected: Counter
  readonly #repairs: Counter
  items = 0

  constructor(registry: Registry) {
    const registers = [registry]
    this.#items = new Counter({
      name: 'tributary_router_items_total',
      help: 'Log records, spans and data points acknowledged',
      labelNames: ['signal'],
      registers,
    })
    this.#rejected = new Counter({
      name: 'tributary_router_rejected_items_total',
      help: 'Items that can never be accepted, told in partial_success',
      labelNames: ['signal'],
      registers,
    })
    this.#repairs = new Counter({
      name: 'tributary_router_repairs_total',
      help: 'Values changed by a data rule: duplicate keys, invalid UTF-8, long strings',
      labelNames: ['rule'],
      registers,
    })
  }

  ingested(signal: Signal, outcome: DecodeOutcome): void {
    const name = signalName(signal) ?? 'unknown'
    this.items += outcome.rows
    this.#items.inc({ signal: name }, outcome.rows)
    if (outcome.rejectedItems > 0) this.#rejected.inc({ signal: name }, outcome.rejectedItems)
    for (const [rule, count] of Object.entries<number>({ ...outcome.counters })) {
      if (count > 0) this.#repairs.inc({ rule }, count)
    }
  }
}
