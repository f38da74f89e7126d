/**
 * The routing table, the lease of its maker and the rates it is made from, in Redis. Versions only
 * ascend, so a late write changes nothing; a late lease or rate ends by itself.
 */
import assert from 'node:assert/strict'

import type { RateStore } from './rate-store.ts'
import type { RedisConnection } from './redis-connection.ts'
import type { RoutingStore, StoredRoutingTable } from './routing-store.ts'
import { PUBLISHED_RATES_BYTES_MAX, RATE_PUBLISHERS_MAX } from './rate-store.ts'
import { redisScript } from './redis-connection.ts'
import { metadataUnavailable } from './redis-errors.ts'
import { RedisKeyKind, redisKey } from './redis-keys.ts'
import { ROUTING_TABLE_BYTES_MAX } from './routing-store.ts'

const READ_TABLE_SCRIPT = redisScript(`
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version == ARGV[1] then return false end
return { version, redis.call('HGET', KEYS[1], 'text') or '' }
`)

const WRITE_TABLE_SCRIPT = redisScript(`
local stored = tonumber(redis.call('HGET', KEYS[1], 'version') or '0') or 0
if tonumber(ARGV[1]) <= stored then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'text', ARGV[2])
return 1
`)

const TAKE_MAKING_SCRIPT = redisScript(`
local maker = redis.call('GET', KEYS[1])
if maker and maker ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`)

const LEAVE_MAKING_SCRIPT = redisScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
`)

/** A value is 'deadline text', the deadline in ms of the server's clock. */
const RATES_PRELUDE = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function is_over(value) return (tonumber(string.match(value, '^(%d+) ')) or 0) <= now end
`

const PUBLISH_SCRIPT = redisScript(`${RATES_PRELUDE}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  if is_over(flat[i + 1]) then redis.call('HDEL', KEYS[1], flat[i]) end
end
local is_new = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0
if is_new and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
local deadline = string.format('%.0f', now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], ARGV[1], deadline .. ' ' .. ARGV[2])
return 1
`)

const READ_RATES_SCRIPT = redisScript(`${RATES_PRELUDE}
local flat, found = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #flat, 2 do
  if not is_over(flat[i + 1]) then
    found[#found + 1] = flat[i]
    found[#found + 1] = string.match(flat[i + 1], '^%d+ (.*)$')
  end
end
return found
`)

export interface RedisRoutingStoreOptions {
  readonly connection: RedisConnection
  readonly prefix: string
}

/** The connection is the caller's to close: others may use it too. */
export class RedisRoutingStore implements RoutingStore, RateStore {
  readonly #connection: RedisConnection
  readonly #tableKey: string
  readonly #makerKey: string
  readonly #ratesKey: string

  constructor({ connection, prefix }: RedisRoutingStoreOptions) {
    this.#connection = connection
    this.#tableKey = redisKey(prefix, RedisKeyKind.routing)
    this.#makerKey = redisKey(prefix, RedisKeyKind.maker)
    this.#ratesKey = redisKey(prefix, RedisKeyKind.rates)
  }

  async readTable(knownVersion: number): Promise<StoredRoutingTable | undefined> {
    const reply = await this.#connection.run(READ_TABLE_SCRIPT, [this.#tableKey], [knownVersion])
    if (!Array.isArray(reply)) return undefined
    const version = Number(reply[0])
    // what is no version is no table: the next maker overwrites it
    if (!Number.isSafeInteger(version) || version < 0) return { version: 0, text: '' }
    return { version, text: String(reply[1]) }
  }

  async writeTable({ version, text }: StoredRoutingTable): Promise<boolean> {
    checkTable({ version, text })
    const reply = await this.#connection.run(WRITE_TABLE_SCRIPT, [this.#tableKey], [version, text])
    return reply === 1
  }

  async takeMaking(member: string, timeToLiveMs: number): Promise<boolean> {
    const args = [member, timeToLiveMs]
    return (await this.#connection.run(TAKE_MAKING_SCRIPT, [this.#makerKey], args)) === 1
  }

  async leaveMaking(member: string): Promise<void> {
    await this.#connection.run(LEAVE_MAKING_SCRIPT, [this.#makerKey], [member])
  }

  async publishRates(member: string, text: string, timeToLiveMs: number): Promise<void> {
    checkRates(text)
    const args = [member, text, timeToLiveMs, RATE_PUBLISHERS_MAX]
    const reply = await this.#connection.run(PUBLISH_SCRIPT, [this.#ratesKey], args)
    if (reply !== 1) throw metadataUnavailable('full')
  }

  async readRates(): Promise<ReadonlyMap<string, string>> {
    const reply = await this.#connection.run(READ_RATES_SCRIPT, [this.#ratesKey])
    const flat = Array.isArray(reply) ? reply.map(String) : []
    const rates = new Map<string, string>()
    for (let at = 0; at + 1 < flat.length; at += 2) rates.set(flat[at]!, flat[at + 1]!)
    return rates
  }
}

/** Ours to keep: the maker and the routers bound what they write. */
export function checkTable({ version, text }: StoredRoutingTable): void {
  assert.ok(Number.isSafeInteger(version) && version > 0, 'a version is a number from 1 on')
  assert.ok(Buffer.byteLength(text) <= ROUTING_TABLE_BYTES_MAX, 'a routing table keeps its bound')
}

export function checkRates(text: string): void {
  assert.ok(Buffer.byteLength(text) <= PUBLISHED_RATES_BYTES_MAX, 'rates keep their bound')
}
