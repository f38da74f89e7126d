/**
 * The port to where records of API keys are kept: a JSON file or Redis. Processes that take
 * telemetry only ask for records; the `tributary keys` command alone writes them.
 */
import type { KeyRecord } from './key-record.ts'

export interface KeyStore {
  /**
   * Whether a record that is not there any more was revoked. A file is what people say it is; Redis
   * can lose what it holds, and there revoked keys stay as records.
   */
  readonly absenceRevokes: boolean
  /**
   * The records of those ids that are there; undefined for one that can not be understood.
   * @throws AppError credentials_unavailable: nobody can say now, which is never a no
   */
  find(ids: readonly string[]): Promise<FoundKeys>
  /** Whether there is a store at all: it is made by the first `put`. @throws AppError credentials_unavailable */
  exists(): Promise<boolean>
  /** All records, oldest first. @throws AppError credentials_unavailable */
  list(): Promise<readonly KeyRecord[]>
  /**
   * Adds records, or replaces those with the same ids, all or none.
   * @throws AppError credentials_unavailable; invalid_config past KEYS_MAX
   */
  put(records: readonly KeyRecord[]): Promise<void>
  close(): Promise<void>
}

export type FoundKeys = ReadonlyMap<string, KeyRecord | undefined>

/** All keys of an installation: ten for each of 1,000 tenants, 4 MB. */
export const KEYS_MAX = 10_000
/** Ids of one question, so that no answer is long. */
export const KEYS_PER_QUESTION_MAX = 500
/** Revoked records are forgotten at this age: no process believes an older answer (keyStaleMaxMs). */
export const REVOKED_KEPT_MS = 90 * 86_400_000

/** Old and new records together, without those revoked long ago, oldest first. */
export function mergedRecords(
  old: readonly KeyRecord[],
  added: readonly KeyRecord[],
  nowUnixMs: number,
): KeyRecord[] {
  const byId = new Map([...old, ...added].map((record) => [record.id, record]))
  const oldest = nowUnixMs - REVOKED_KEPT_MS
  return [...byId.values()]
    .filter(({ revokedAt }) => revokedAt === undefined || Date.parse(revokedAt) > oldest)
    .sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0))
}
