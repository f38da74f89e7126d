/** Records of API keys for tests. */
import { generateApiKey, hashApiKey } from '../tenants/api-key.ts'
import type { KeyRecord } from '../tenants/key-record.ts'

/** The record of a new key that does not end. */
export function keyRecordOf(tenant: string): KeyRecord {
  const key = generateApiKey()
  return {
    id: key.id,
    tenant,
    hash: hashApiKey(key),
    note: '',
    createdAt: new Date().toISOString(),
    expiresAt: undefined,
    revokedAt: undefined,
  }
}
