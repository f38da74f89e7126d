/**
 * API keys in Redis, one hash: `#format` -> version, id -> record as JSON. Redis can come back empty
 * or with what it held an hour ago. So an absent `#format` is no answer (nobody would hear of a lost
 * hash otherwise than by refusals), revoked keys stay as records, and an absent record revokes nothing.
 */
import type { Clock } from '../clock.ts'
import { AppError } from '../errors.ts'
import { redisScript } from '../metadata/redis-connection.ts'
import type { RedisConnection, RedisReply } from '../metadata/redis-connection.ts'
import { RedisKeyKind, redisKey } from '../metadata/redis-keys.ts'
import { keyRecordText, parseKeyRecord, type KeyRecord } from './key-record.ts'
import { KEYS_MAX, mergedRecords, type FoundKeys, type KeyStore } from './key-store.ts'

export interface RedisKeyStoreOptions {
  /** This one's own: it is closed with it. */
  readonly connection: Pick<RedisConnection, 'command' | 'run' | 'close'>
  readonly prefix: string
  readonly clock: Pick<Clock, 'nowUnixMs'>
}

const FORMAT_FIELD = '#format'
const FORMAT = '1'

/**
 * KEYS: the hash. ARGV: most records, count of records to forget, their ids, then id and text of each.
 * A write that was given up may come late: it never revives a key that was revoked meanwhile.
 */
const PUT_SCRIPT = redisScript(`
local forgotten = tonumber(ARGV[2])
local format = redis.call('HGET', KEYS[1], '${FORMAT_FIELD}')
if format and format ~= '${FORMAT}' then return 'format' end
local added = 0
for i = 3 + forgotten, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then added = added + 1 end
end
local count = redis.call('HLEN', KEYS[1]) - (format and 1 or 0)
if count - forgotten + added > tonumber(ARGV[1]) then return 'full' end
redis.call('HSET', KEYS[1], '${FORMAT_FIELD}', '${FORMAT}')
for i = 3, 2 + forgotten do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = 3 + forgotten, #ARGV, 2 do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  local is_old_read, was = pcall(cjson.decode, old or '{}')
  local revives = is_old_read and was.revokedAt and not cjson.decode(ARGV[i + 1]).revokedAt
  if not revives then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 'ok'`)

export class RedisKeyStore implements KeyStore {
  readonly absenceRevokes = false
  readonly #connection: RedisKeyStoreOptions['connection']
  readonly #key: string
  readonly #clock: Pick<Clock, 'nowUnixMs'>

  constructor({ connection, prefix, clock }: RedisKeyStoreOptions) {
    this.#connection = connection
    this.#key = redisKey(prefix, RedisKeyKind.keys)
    this.#clock = clock
  }

  async find(ids: readonly string[]): Promise<FoundKeys> {
    const reply = await this.#command('HMGET', FORMAT_FIELD, ...ids)
    const [format, ...texts] = listOf(reply)
    checkFormat(format)
    const found = new Map<string, KeyRecord | undefined>()
    for (const [index, id] of ids.entries()) {
      const text = texts[index]
      if (typeof text === 'string') found.set(id, readable(text))
    }
    return found
  }

  async list(): Promise<readonly KeyRecord[]> {
    const fields = await this.#fields()
    checkFormat(fields.get(FORMAT_FIELD))
    fields.delete(FORMAT_FIELD)
    const records = [...fields.values()].map((text) => parseKeyRecord(text))
    return mergedRecords(records, [], this.#clock.nowUnixMs())
  }

  async exists(): Promise<boolean> {
    const [format] = listOf(await this.#command('HMGET', FORMAT_FIELD))
    return typeof format === 'string'
  }

  async put(records: readonly KeyRecord[]): Promise<void> {
    const old = [...(await this.#fields()).values()].flatMap((text) => readable(text) ?? [])
    const kept = new Set(mergedRecords(old, [], this.#clock.nowUnixMs()).map(({ id }) => id))
    const forgotten = old.flatMap(({ id }) => (kept.has(id) ? [] : [id]))
    const words = records.flatMap((record) => [record.id, keyRecordText(record)])
    const args = [KEYS_MAX, forgotten.length, ...forgotten, ...words]
    const outcome = await asked(this.#connection.run(PUT_SCRIPT, [this.#key], args))
    if (outcome === 'format') throw unavailable('keys in redis are of another version')
    if (outcome === 'full') {
      throw new AppError('invalid_config', 'too many keys', { details: { keysMax: KEYS_MAX } })
    }
  }

  close(): Promise<void> {
    this.#connection.close()
    return Promise.resolve()
  }

  async #fields(): Promise<Map<string, string>> {
    const flat = listOf(await this.#command('HGETALL')).map(String)
    return new Map(
      flat.flatMap((field, index) => (index % 2 === 0 ? [[field, flat[index + 1]!] as const] : [])),
    )
  }

  #command(name: string, ...args: readonly string[]): Promise<RedisReply> {
    return asked(this.#connection.command(name, this.#key, ...args))
  }
}

async function asked(reply: Promise<RedisReply>): Promise<RedisReply> {
  try {
    return await reply
  } catch (cause) {
    throw unavailable('keys can not be read from redis', cause)
  }
}

/** A record of a later version, or damaged: nobody can say what it means, but it is there. */
function readable(text: string): KeyRecord | undefined {
  try {
    return parseKeyRecord(text)
  } catch {
    return undefined
  }
}

function checkFormat(format: RedisReply | undefined): void {
  if (format === FORMAT) return
  throw unavailable(
    typeof format === 'string'
      ? 'keys in redis are of another version'
      : 'redis holds no keys: none were made yet, or they are lost',
  )
}

function listOf(reply: RedisReply | undefined): readonly RedisReply[] {
  return Array.isArray(reply) ? (reply as readonly RedisReply[]) : []
}

function unavailable(message: string, cause?: unknown): AppError {
  return new AppError('credentials_unavailable', message, { cause })
}
