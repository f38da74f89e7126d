/** What clients were told is stored, against what lies in the bucket of a trial. */
import { setTimeout as sleep } from 'node:timers/promises'

import { createLogger } from '@tributary/common/logger'
import { openObjectStore } from '@tributary/common/object-store/object-store'

import { prove, type ProofFindings } from '../chaos/proof.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { StoreCopy } from '../oracle/store-copy.ts'
import { readStoredRequests } from '../oracle/stored-requests.ts'

import { TRIAL_STORE, type Trial } from './trial.ts'

const STORED_TIMEOUT_MS = 120_000
const POLL_MS = 2000

/**
 * Waits until every acknowledged item is in a committed file, or time is up, then judges all files.
 * @param logs of ingesters
 */
export async function proveStored(
  trial: Trial,
  ledger: Ledger,
  seed: number,
  logs: readonly string[],
): Promise<ProofFindings> {
  const forward = await trial.openStore()
  const { AWS_ACCESS_KEY_ID: accessKeyId = '', AWS_SECRET_ACCESS_KEY: secretAccessKey = '' } =
    await trial.storeCredentials()
  const store = await openObjectStore(TRIAL_STORE, {
    endpoint: `http://127.0.0.1:${String(forward.port)}`,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey },
    logger: createLogger({ name: 'judge', level: 'error' }),
  })
  const copy = await StoreCopy.create(store)
  try {
    const { acknowledged } = ledger.totals()
    for (
      const deadlineMs = performance.now() + STORED_TIMEOUT_MS;
      performance.now() < deadlineMs;
    ) {
      const stored = await readStoredRequests(await copy.refresh())
      if (stored.reduce((sum, { items }) => sum + items, 0) >= acknowledged) break
      await sleep(POLL_MS)
    }
    return await prove({ store, copy, ledger, seed, logs })
  } finally {
    await copy.remove()
    await store.close()
    await forward.close()
  }
}
