/**
 * What a router publishes for the maker of the routing table: OTLP bytes a second of its busiest
 * tenants and signals, and of their largest streams where they have several partitions.
 *
 *     {"tenants":[{"tenant":"acme","signal":"logs","rate":1200000}],
 *      "streams":[{"tenant":"acme","signal":"logs","stream":"00ff00ff00ff00ff","rate":900000}]}
 */
import { AppError } from '../errors.ts'
import { PUBLISHED_RATES_BYTES_MAX } from '../metadata/rate-store.ts'
import { JsonReader } from '../object-store/json-reader.ts'
import { isTenantName } from '../paths.ts'
import { SIGNAL_NAMES, Signal, type SignalName } from '../signal.ts'
import { entryKey } from './routing-table.ts'

/** At 120 bytes at most each, both lists stay below what a member may publish. */
export const PUBLISHED_TENANTS_MAX = 256
export const PUBLISHED_STREAMS_MAX = 192
const RATE_MAX = 1e15
const STREAM = /^[0-9a-f]{16}$/

export interface TenantRate {
  readonly tenant: string
  readonly signal: SignalName
  /** OTLP bytes a second. */
  readonly rate: number
}

export interface StreamRate extends TenantRate {
  /** Stream hash, 16 hex digits. */
  readonly stream: string
}

export interface RouterRates {
  readonly tenants: readonly TenantRate[]
  readonly streams: readonly StreamRate[]
}

/** What all routers see of one tenant and signal. */
export interface Load {
  readonly tenant: string
  readonly signal: SignalName
  rate: number
  readonly streams: Map<string, number>
}

/** The largest first: what is past the bounds is left out. */
export function serializeRouterRates({ tenants, streams }: RouterRates): string {
  const rounded = <Each extends TenantRate>(rates: readonly Each[], countMax: number): Each[] =>
    rates
      .toSorted((left, right) => right.rate - left.rate)
      .slice(0, countMax)
      .map((each) => ({ ...each, rate: Math.round(each.rate) }))
  return JSON.stringify({
    tenants: rounded(tenants, PUBLISHED_TENANTS_MAX),
    streams: rounded(streams, PUBLISHED_STREAMS_MAX),
  })
}

/** @throws AppError routing_table_damaged */
export function parseRouterRates(text: string): RouterRates {
  const json = JsonReader.parse(
    Buffer.from(text, 'utf8'),
    PUBLISHED_RATES_BYTES_MAX,
    'routing_table_damaged',
  )
  return {
    tenants: json.list('tenants', PUBLISHED_TENANTS_MAX).map(readTenant),
    streams: json.list('streams', PUBLISHED_STREAMS_MAX).map((stream) => ({
      ...readTenant(stream),
      stream: stream.matching('stream', STREAM),
    })),
  }
}

/** The loads that all routers see together, by `entryKey`; one that can't be read is left out. */
export function sumRates(texts: Iterable<string>): Map<string, Load> {
  const loads = new Map<string, Load>()
  for (const text of texts) {
    const rates = tryParse(text)
    for (const { tenant, signal, rate } of rates?.tenants ?? []) {
      loadOf(loads, tenant, signal).rate += rate
    }
    for (const { tenant, signal, stream, rate } of rates?.streams ?? []) {
      const { streams } = loadOf(loads, tenant, signal)
      streams.set(stream, (streams.get(stream) ?? 0) + rate)
    }
  }
  return loads
}

function loadOf(loads: Map<string, Load>, tenant: string, signal: SignalName): Load {
  const key = entryKey(tenant, Signal[signal])
  const known = loads.get(key)
  if (known !== undefined) return known
  const load = { tenant, signal, rate: 0, streams: new Map<string, number>() }
  loads.set(key, load)
  return load
}

function tryParse(text: string): RouterRates | undefined {
  try {
    return parseRouterRates(text)
  } catch (error) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

function readTenant(json: JsonReader): TenantRate {
  const tenant = json.text('tenant', 63)
  if (!isTenantName(tenant)) throw json.problem('tenant', 'is no tenant name')
  const signal = json.oneOf('signal', SIGNAL_NAMES)
  return { tenant, signal, rate: json.integer('rate', 0, RATE_MAX) }
}
