/**
 * What the receivers count. The hot path adds to plain numbers; prom-client sees them when it is
 * scraped. Label values are from closed sets, so that clients cannot grow the registry.
 */
import { DurationHistogram, type DurationTally } from '@tributary/common/duration-histogram'
import type { ErrorCode } from '@tributary/common/errors'
import { Counter, Gauge } from '@tributary/common/metrics'
import type { Registry } from '@tributary/common/metrics'
import { SIGNAL_NAMES, type SignalName } from '@tributary/common/signal'

import type { Admission } from '../admission.ts'

export type Transport = 'grpc' | 'http'
export type AnswerLabel = 'ok' | 'partial' | ErrorCode
export type CloseReason = 'idle' | 'age' | 'flood' | 'handshake' | 'evicted' | 'drain' | 'error'

export class ReceiverMetrics {
  readonly #answers = new LabelledCounts()
  readonly #bytes = new LabelledCounts()
  readonly #closes = new LabelledCounts()
  readonly #connections: Record<Transport, number> = { grpc: 0, http: 0 }
  readonly #seconds: Readonly<Record<Transport, Durations>>

  constructor(registry: Registry, admission: Admission) {
    const registers = [registry]
    // an alarm watches these: the first bug must be a step from 0, not a series that begins
    for (const transport of ['grpc', 'http']) {
      for (const signal of SIGNAL_NAMES) this.#answers.add(0, transport, signal, 'internal')
    }
    expose(this.#answers, {
      name: 'tributary_receive_requests_total',
      help: 'Export calls answered, by answer: ok, partial or the error code',
      labelNames: ['transport', 'signal', 'answer'],
      registers,
    })
    expose(this.#bytes, {
      name: 'tributary_receive_bytes_total',
      help: 'Bytes of export bodies: as received (wire) and decompressed (body)',
      labelNames: ['transport', 'kind'],
      registers,
    })
    expose(this.#closes, {
      name: 'tributary_receive_connections_closed_total',
      help: 'Connections closed by the server, by reason',
      labelNames: ['transport', 'reason'],
      registers,
    })
    const seconds = new DurationHistogram(registry, {
      name: 'tributary_receive_seconds',
      help: 'From the headers of an export call to its answer, by whether it was accepted',
      labelNames: ['transport', 'accepted'],
    })
    this.#seconds = { grpc: durationsOf(seconds, 'grpc'), http: durationsOf(seconds, 'http') }
    const connections = this.#connections
    new Gauge({
      name: 'tributary_receive_connections',
      help: 'Open connections',
      labelNames: ['transport'],
      registers,
      collect() {
        this.set({ transport: 'grpc' }, connections.grpc)
        this.set({ transport: 'http' }, connections.http)
      },
    })
    exposeAdmission(registry, admission)
  }

  countAnswer(
    transport: Transport,
    signal: SignalName | 'none',
    answer: AnswerLabel,
    tookMs: number,
  ): void {
    this.#answers.add(1, transport, signal, answer)
    const { accepted, refused } = this.#seconds[transport]
    const tally = answer === 'ok' || answer === 'partial' ? accepted : refused
    tally.observe(tookMs / 1000)
  }

  countBytes(transport: Transport, wireBytes: number, bodyBytes: number): void {
    this.#bytes.add(wireBytes, transport, 'wire')
    this.#bytes.add(bodyBytes, transport, 'body')
  }

  countClose(transport: Transport, reason: CloseReason): void {
    this.#closes.add(1, transport, reason)
  }

  addConnections(transport: Transport, difference: 1 | -1): void {
    this.#connections[transport] += difference
  }
}

interface Durations {
  readonly accepted: DurationTally
  readonly refused: DurationTally
}

function durationsOf(seconds: DurationHistogram, transport: Transport): Durations {
  return {
    accepted: seconds.tally({ transport, accepted: 'yes' }),
    refused: seconds.tally({ transport, accepted: 'no' }),
  }
}

function exposeAdmission(registry: Registry, admission: Admission): void {
  new Gauge({
    name: 'tributary_receive_in_flight_bytes_max',
    help: 'The bound of bytes in flight: at it calls are told to retry',
    registers: [registry],
    collect() {
      this.set(admission.inFlightBytesMax)
    },
  })
  new Gauge({
    name: 'tributary_receive_in_flight_bytes',
    help: 'Bytes reserved by calls in flight',
    registers: [registry],
    collect() {
      this.set(admission.inFlightBytes)
    },
  })
  new Counter({
    name: 'tributary_receive_share_refusals_total',
    help: 'Calls refused because their tenant held its share of the bytes in flight',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(admission.shareRefusals)
    },
  })
  new Gauge({
    name: 'tributary_receive_in_flight_calls',
    help: 'Calls in flight',
    registers: [registry],
    collect() {
      this.set(admission.reservations)
    },
  })
}

/** Counts under label values; the key of a set of labels is made without an object per count. */
class LabelledCounts {
  readonly #counts = new Map<string, { readonly labels: readonly string[]; value: number }>()

  add(value: number, ...labels: readonly string[]): void {
    const key = labels.join('|')
    const count = this.#counts.get(key)
    if (count === undefined) this.#counts.set(key, { labels, value })
    else count.value += value
  }

  get all(): Iterable<{ readonly labels: readonly string[]; readonly value: number }> {
    return this.#counts.values()
  }
}

interface CounterSettings {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
  readonly registers: Registry[]
}

function expose(counts: LabelledCounts, settings: CounterSettings): void {
  new Counter({
    name: settings.name,
    help: settings.help,
    labelNames: [...settings.labelNames],
    registers: settings.registers,
    collect() {
      this.reset()
      for (const { labels, value } of counts.all) {
        this.labels(...labels).inc(value)
      }
    },
  })
}
