/**
 * The gRPC receiver of the product with a handler that does nothing: the floor for small requests.
 * With a number of milliseconds it answers all that have come by then together, as a log does once
 * it is synced.
 */
import { systemClock } from '@tributary/common/clock'
import { tuneCollector } from '@tributary/common/collector-tuning'
import { createLogger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import type { ExportOutcome } from '@tributary/router/export-handler'
import { Admission } from '@tributary/router/admission'
import { createGrpcReceiver } from '@tributary/router/receive/grpc-receiver'
import { ReceiverMetrics } from '@tributary/router/receive/receiver-metrics'
import { anyTenants } from '@tributary/router/testing/test-account'
import { setTimeout as sleep } from 'node:timers/promises'

tuneCollector()
const holdMs = Number(process.argv[2] ?? 0)
const OUTCOME: ExportOutcome = { rejectedItems: 0, storedItems: 0, message: '' }
let next: Promise<ExportOutcome> | undefined

function answer(): Promise<ExportOutcome> {
  if (holdMs === 0) return Promise.resolve(OUTCOME)
  next ??= sleep(holdMs).then(() => {
    next = undefined
    return OUTCOME
  })
  return next
}

const registry = createRegistry()
const admission = new Admission({ inFlightBytesMax: 256 * 1024 * 1024, clock: systemClock })
const receiver = createGrpcReceiver({
  host: '127.0.0.1',
  port: 0,
  handler: answer,
  admission,
  tenants: anyTenants(),
  logger: createLogger({ name: 'empty-receiver', level: 'silent' }),
  metrics: new ReceiverMetrics(registry, admission),
  clock: systemClock,
})
await receiver.start()
process.stdout.write(`${receiver.port}\n`)
