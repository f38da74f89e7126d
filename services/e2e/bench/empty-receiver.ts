/** The gRPC receiver of the product with a handler that does nothing: the floor for small requests. */
import { systemClock } from '@tributary/common/clock'
import { createLogger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import { Admission } from '@tributary/router/admission'
import { createGrpcReceiver } from '@tributary/router/receive/grpc-receiver'
import { ReceiverMetrics } from '@tributary/router/receive/receiver-metrics'
import { anyTenants } from '@tributary/router/testing/test-account'

const registry = createRegistry()
const admission = new Admission({ inFlightBytesMax: 256 * 1024 * 1024, clock: systemClock })
const receiver = createGrpcReceiver({
  host: '127.0.0.1',
  port: 0,
  handler: () => Promise.resolve({ rejectedItems: 0, storedItems: 0, message: '' }),
  admission,
  tenants: anyTenants(),
  logger: createLogger({ name: 'empty-receiver', level: 'silent' }),
  metrics: new ReceiverMetrics(registry, admission),
  clock: systemClock,
})
await receiver.start()
process.stdout.write(`${receiver.port}\n`)
