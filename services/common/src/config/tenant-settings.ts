/** Settings of who may write as which tenant, and of what each tenant may do. */
import { boolean, bytes, duration, integer, text, type Setting } from './setting.ts'

const SECOND_MS = 1000
const HOUR_MS = 3600 * SECOND_MS
const DAY_MS = 24 * HOUR_MS
const GIB = 1024 ** 3

export const credentialSettings = {
  apiKeys: text({
    default: undefined,
    bounds: 'path of a JSON file, or redis',
    sentence:
      'Where API keys are, as `tributary keys` writes them. Without it, anyone writes as any tenant.',
  }),
  apiKeyStaleMaxMs: duration({
    default: HOUR_MS,
    min: 30 * SECOND_MS,
    max: 24 * HOUR_MS,
    sentence:
      'How long keys in use are believed while the keys can not be read: they may be revoked.',
  }),
}

export const tenantSettings = {
  tenantSettings: text({
    default: undefined,
    bounds: 'path of a JSON file, or redis',
    sentence:
      'Where settings of tenants are, see below; changes are taken within 5s, broken ones are not.',
  }),
}

/** What one tenant may do: members of the document of --tenant-settings. */
export const tenantPolicySettings = {
  bytesPerSecond: bytes({
    default: 0,
    min: 0,
    max: 64 * GIB,
    sentence: 'Bytes of requests after decompression, over all routers; 0: as many as fit.',
  }),
  itemsPerSecond: integer({
    default: 0,
    min: 0,
    max: 1_000_000_000,
    sentence: 'Log records, spans and data points, over all routers; 0: as many as fit.',
  }),
  burstMs: duration({
    default: 10 * SECOND_MS,
    min: 100,
    max: HOUR_MS,
    sentence: 'What it did not use of its rates may be used later, up to this much time of them.',
  }),
  itemAgeMaxMs: duration({
    default: 0,
    min: 0,
    max: 36_500 * DAY_MS,
    sentence: 'Items older than this are rejected; 0 accepts any age. Default: --item-age-max.',
  }),
  itemAheadMaxMs: duration({
    default: DAY_MS,
    min: 0,
    max: 36_500 * DAY_MS,
    sentence: 'Items further in the future are rejected. Default: --item-ahead-max.',
  }),
  retryRemoval: boolean({
    default: true,
    sentence: 'Store a part of a request that is sent again once; --retry-removal false beats it.',
  }),
}

/** As flags have it: a duration carries its unit in the value. */
export function memberName(key: string, { kind }: Pick<Setting<unknown>, 'kind'>): string {
  return kind === 'duration' ? key.replace(/Ms$/, '') : key
}
