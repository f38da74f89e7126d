/** Both receivers on free ports with a handler for tests behind them. */
import { systemClock } from '@tributary/common/clock'
import { createLogger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import type { Registry } from '@tributary/common/metrics'

import { Admission } from '../admission.ts'
import type { ExportHandler } from '../export-handler.ts'
import { createGrpcReceiver } from '../receive/grpc-receiver.ts'
import { createHttpReceiver } from '../receive/http-receiver.ts'
import { ReceiverMetrics } from '../receive/receiver-metrics.ts'
import type { Authenticator } from '../tenants/authenticator.ts'
import type { ReceiverTls } from '../receive/receiver-tls.ts'
import type { TenantDirectory } from '../tenants/tenant-directory.ts'
import { anyTenants } from './test-account.ts'
import type { ReceiverLimits } from '../receive/receiver-limits.ts'
import type { Receiver } from '../receive/receiver.ts'
import { createProbeHandler } from './probe-handler.ts'
import type { ProbeHandler } from './probe-handler.ts'

export interface HarnessOptions {
  readonly limits?: Partial<ReceiverLimits>
  readonly inFlightBytesMax?: number
  readonly authenticator?: Authenticator
  readonly tls?: ReceiverTls
  readonly tenants?: TenantDirectory
  /** Instead of the probe handler. */
  readonly handler?: ExportHandler
}

export interface ReceiverHarness {
  readonly grpc: Receiver
  readonly http: Receiver
  /** host:port */
  readonly grpcTarget: string
  readonly httpUrl: string
  readonly probe: ProbeHandler
  readonly admission: Admission
  readonly registry: Registry
  readonly close: () => Promise<void>
}

const IN_FLIGHT_BYTES_MAX = 512 * 1024 * 1024

export async function startReceivers(options: HarnessOptions = {}): Promise<ReceiverHarness> {
  const registry = createRegistry({ hasProcessMetrics: false })
  const admission = new Admission({
    inFlightBytesMax: options.inFlightBytesMax ?? IN_FLIGHT_BYTES_MAX,
    clock: systemClock,
  })
  const probe = createProbeHandler()
  const receiverOptions = {
    host: '127.0.0.1',
    port: 0,
    handler: options.handler ?? probe.handler,
    admission,
    limits: { sweepIntervalMs: 20, ...options.limits },
    authenticator: options.authenticator,
    tls: options.tls,
    tenants: options.tenants ?? anyTenants(),
    logger: createLogger({ name: 'receiver-test', level: 'silent' }),
    metrics: new ReceiverMetrics(registry, admission),
    clock: systemClock,
  }
  const grpc = createGrpcReceiver(receiverOptions)
  const http = createHttpReceiver(receiverOptions)
  await Promise.all([grpc.start(), http.start()])
  return {
    grpc,
    http,
    grpcTarget: `127.0.0.1:${grpc.port}`,
    httpUrl: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${http.port}`,
    probe,
    admission,
    registry,
    close: async () => {
      await Promise.all([grpc.close(), http.close()])
    },
  }
}
