/**
 * How far our clock is from those of Kafka and of the store. Nothing that is safe rests on clocks; but S3
 * refuses signatures of 15 minutes ago, and lag and freshness are told by append times.
 */
import type { KafkaConfig } from '@tributary/common/config/kafka-settings'

import type { StoreLocation } from '../store-options.ts'
import { errorText, ok, failure, warning } from './finding.ts'
import type { Finding } from './finding.ts'
import { trialTopic, tryKafka } from './kafka-trial.ts'

const OFFSET_OK_MS = 2000
const OFFSET_MS_MAX = 5 * 60_000
/** An HTTP date has whole seconds, cut. */
const DATE_UNCERTAINTY_MS = 500
const REQUEST_TIMEOUT_MS = 10_000
const ACKNOWLEDGED_OK_MS = 100
const NTP = 'run an NTP client (chrony, systemd-timesyncd) here and there'

/** Stores a record in Kafka and reads it back; also says how long that takes. */
export async function checkKafkaTrial(
  config: KafkaConfig,
  replication: number,
): Promise<readonly Finding[]> {
  try {
    const { acknowledgedMs, offsetMs, uncertaintyMs } = await tryKafka(config, replication)
    const found = `${acknowledgedMs.toFixed(1)} ms, all replicas in sync`
    const remedy = 'clients wait for it: look at the network and disks of the brokers'
    return [
      acknowledgedMs > ACKNOWLEDGED_OK_MS
        ? warning('kafka', 'acknowledgement', found, remedy)
        : ok('kafka', 'acknowledgement', found),
      offsetFinding('Kafka', offsetMs, uncertaintyMs),
    ]
  } catch (error) {
    const topic = trialTopic(config)
    const remedy = `allow CREATE, READ, WRITE and DELETE of topic ${topic} to measure it, or compare clocks by hand`
    const found = `not measured: ${errorText(error)}`
    return [warning('clock', 'against Kafka', found, remedy)]
  }
}

/** Against the Date header of the store's answer, whatever the answer is. */
export async function checkStoreClock(location: StoreLocation): Promise<readonly Finding[]> {
  const address = storeAddress(location)
  if (address === undefined) return []
  try {
    const startUnixMs = Date.now()
    const startMs = performance.now()
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS)
    const answer = await fetch(address, { method: 'HEAD', redirect: 'manual', signal })
    const halfMs = (performance.now() - startMs) / 2
    const date = Date.parse(answer.headers.get('date') ?? '')
    if (Number.isNaN(date)) {
      const remedy = 'compare clocks by hand'
      return [warning('clock', 'against the store', 'its answers have no date', remedy)]
    }
    const offsetMs = date + DATE_UNCERTAINTY_MS - (startUnixMs + halfMs)
    return [offsetFinding('the store', offsetMs, halfMs + DATE_UNCERTAINTY_MS)]
  } catch (error) {
    const remedy = 'is the store reachable from here? look at --object-store-endpoint'
    return [warning('clock', 'against the store', `not measured: ${errorText(error)}`, remedy)]
  }
}

function storeAddress({ objectStore, objectStoreEndpoint, objectStoreRegion }: StoreLocation) {
  if (objectStore?.startsWith('s3:') !== true) return undefined
  return objectStoreEndpoint ?? `https://s3.${objectStoreRegion}.amazonaws.com`
}

/** @param offsetMs their clock less ours */
export function offsetFinding(whose: string, offsetMs: number, uncertaintyMs: number): Finding {
  const check = `against ${whose}`
  const sure = Math.max(0, Math.abs(offsetMs) - uncertaintyMs)
  const direction = offsetMs > 0 ? 'behind' : 'ahead'
  const about = `${Math.round(Math.abs(offsetMs))} ms ${direction}, within ${Math.ceil(uncertaintyMs)} ms`
  if (sure > OFFSET_MS_MAX) return failure('clock', check, about, NTP)
  return sure > OFFSET_OK_MS ? warning('clock', check, about, NTP) : ok('clock', check, about)
}
