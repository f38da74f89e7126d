/** Receivers of one process that ask for API keys, which lie in a real file. */
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Endpoint } from '@tributary/cli/conformance/conformance-case'
import { KeyRing } from '@tributary/cli/keys/key-ring'
import { systemClock } from '@tributary/common/clock'
import { createLogger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import { KeyFile } from '@tributary/common/tenants/key-file'
import { openCredentials } from '@tributary/router/tenants/credentials'
import { startReceivers, type ReceiverHarness } from '@tributary/router/testing/receiver-harness'

export interface GuardedReceivers {
  readonly harness: ReceiverHarness
  readonly endpoint: Endpoint
  readonly keys: KeyRing
  /** A good key of the tenant `shop`. */
  readonly key: string
  /** Runs while the file of keys is gone. */
  readonly withoutStore: <T>(run: () => Promise<T>) => Promise<T>
  readonly close: () => Promise<void>
}

const STALE_MAX_MS = 60_000

export async function startGuardedReceivers(): Promise<GuardedReceivers> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-keys-'))
  const path = join(folder, 'keys.json')
  const keys = new KeyRing(new KeyFile(path, systemClock), systemClock)
  const { key } = await keys.create('shop', '', 0)
  const credentials = await openCredentials({
    apiKeys: path,
    apiKeyStaleMaxMs: STALE_MAX_MS,
    areCertificatesNamed: false,
    clock: systemClock,
    logger: createLogger({ name: 'guarded-receivers', level: 'silent' }),
    registry: createRegistry({ hasProcessMetrics: false }),
  })
  const harness = await startReceivers({ authenticator: credentials.authenticator! })
  return {
    harness,
    endpoint: { grpc: harness.grpcTarget, http: harness.httpUrl },
    keys,
    key,
    withoutStore: async (run) => {
      await rename(path, `${path}.gone`)
      try {
        return await run()
      } finally {
        await rename(`${path}.gone`, path)
      }
    },
    close: async () => {
      await harness.close()
      await credentials.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
