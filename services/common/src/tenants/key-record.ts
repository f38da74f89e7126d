/**
 * What a key store keeps of an API key: everything but the key. A revoked key stays as a record,
 * so that a store that lost records can be told from one whose keys were revoked.
 */
import { JsonReader } from '../object-store/json-reader.ts'
import { isTenantName } from '../paths.ts'
import { KEY_HASH, KEY_ID } from './api-key.ts'

/** The tenant of keys that write as whichever tenant the header names: those of gateways. */
export const ANY_TENANT = '*'

export const KEY_NOTE_LENGTH_MAX = 200
/** About 350 bytes a record with a long note. */
export const KEY_RECORD_BYTES_MAX = 2048

export interface KeyRecord {
  readonly id: string
  /** A tenant's name, or ANY_TENANT. */
  readonly tenant: string
  /** See hashApiKey. */
  readonly hash: string
  /** For people: whose key it is. */
  readonly note: string
  /** Times are ISO 8601 in UTC. */
  readonly createdAt: string
  readonly expiresAt: string | undefined
  readonly revokedAt: string | undefined
}

export type KeyStanding = 'live' | 'expired' | 'revoked'

export function standingOf(record: KeyRecord, nowUnixMs: number): KeyStanding {
  if (record.revokedAt !== undefined) return 'revoked'
  const expiresAt = record.expiresAt
  return expiresAt !== undefined && Date.parse(expiresAt) <= nowUnixMs ? 'expired' : 'live'
}

/** @throws AppError credentials_unavailable where the object is no record */
export function readKeyRecord(reader: JsonReader): KeyRecord {
  const tenant = reader.text('tenant', KEY_RECORD_BYTES_MAX)
  if (tenant !== ANY_TENANT && !isTenantName(tenant)) {
    throw reader.problem('tenant', 'is no tenant name')
  }
  return {
    id: reader.matching('id', KEY_ID),
    tenant,
    hash: reader.matching('hash', KEY_HASH),
    note: reader.has('note') ? reader.text('note', KEY_NOTE_LENGTH_MAX) : '',
    createdAt: timeOf(reader, 'createdAt'),
    expiresAt: reader.has('expiresAt') ? timeOf(reader, 'expiresAt') : undefined,
    revokedAt: reader.has('revokedAt') ? timeOf(reader, 'revokedAt') : undefined,
  }
}

/** One record as a text of its own. */
export function keyRecordText(record: KeyRecord): string {
  return JSON.stringify(record)
}

/** @throws AppError credentials_unavailable where the text is no record */
export function parseKeyRecord(text: string): KeyRecord {
  const reader = JsonReader.parse(
    Buffer.from(text),
    KEY_RECORD_BYTES_MAX,
    'credentials_unavailable',
  )
  return readKeyRecord(reader)
}

function timeOf(reader: JsonReader, name: string): string {
  const text = reader.text(name, 40)
  if (Number.isNaN(Date.parse(text))) throw reader.problem(name, 'is no time')
  return text
}
