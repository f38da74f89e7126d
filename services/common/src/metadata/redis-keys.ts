/**
 * Every key in Redis, built here and nowhere else, each with its parser beside it (docs/format/redis.md).
 *
 *   {<prefix>}:cluster        hash     incarnation, age, revision
 *   {<prefix>}:members        hash     member id -> who it is and until when it lives
 *   {<prefix>}:leases         hash     partition -> epoch, owner, request id
 *   {<prefix>}:routing        hash     version and text of the routing table
 *   {<prefix>}:maker          string   the router that makes it; expires
 *   {<prefix>}:rates          hash     router -> until when, and what it publishes
 *
 * The braces are a hash tag: a Redis Cluster keeps all keys of one prefix on one node, so that a script
 * may use any of them together.
 */
import { AppError } from '../errors.ts'

const PREFIX = /^[A-Za-z0-9_-]{1,64}$/
const KEY = /^\{([A-Za-z0-9_-]{1,64})\}:(.+)$/

export const RedisKeyKind = {
  cluster: 'cluster',
  members: 'members',
  leases: 'leases',
  routing: 'routing',
  maker: 'maker',
  rates: 'rates',
} as const
export type RedisKeyKind = (typeof RedisKeyKind)[keyof typeof RedisKeyKind]

/** @throws AppError invalid_key for a prefix that is none */
export function redisKey(prefix: string, kind: RedisKeyKind): string {
  return `${redisTag(prefix)}${kind}`
}

/** What a key is; undefined for keys of others. */
export function parseRedisKey(key: string): { prefix: string; kind: RedisKeyKind } | undefined {
  const [, prefix, rest] = KEY.exec(key) ?? []
  const kind = Object.values(RedisKeyKind).find((known) => known === rest)
  return prefix === undefined || kind === undefined ? undefined : { prefix, kind }
}

function redisTag(prefix: string): string {
  if (PREFIX.test(prefix)) return `{${prefix}}:`
  throw new AppError('invalid_key', 'prefix cannot stand in a key of redis', {
    details: { prefix: prefix.slice(0, 100) },
  })
}
