/**
 * Every key in Redis, built here and nowhere else, each with its parser beside it (docs/format/redis.md).
 *
 *   {<prefix>}:cluster        hash     incarnation, age, revision
 *   {<prefix>}:lives          hash     member id -> until when it lives
 *   {<prefix>}:members        hash     member id -> what it says of itself
 *   {<prefix>}:leases         hash     partition -> epoch, owner, request id
 *   {<prefix>}:routing        hash     version and text of the routing table
 *   {<prefix>}:maker          string   the router that makes it; expires
 *   {<prefix>}:rates          hash     router -> until when, and what it publishes
 *   {<prefix>}:index          hash     generation of the file index, its store, the one being built
 *   {<prefix>}:retired        set      generations to delete
 *   {<prefix>}:tenants        string   settings of tenants, see tenants/tenant-policy.ts
 *   {<prefix>}:keys           hash     API key id -> record, see tenants/redis-key-store.ts
 *   {<prefix>}:doctor-<id>    hash     a probe of `tributary doctor`; gone at once
 *
 * and of each generation of the file index
 *
 *   {<prefix>}:<generation>:ends                             hash        partition -> indexed up to
 *   {<prefix>}:<generation>:hours                            sorted set  <tenant>/<signal>/<hour>
 *   {<prefix>}:<generation>:files:<tenant>/<signal>/<hour>   hash        file name -> its facts
 *
 * The braces are a hash tag: a Redis Cluster keeps all keys of one prefix on one node, so that a script
 * may use any of them together.
 */
import { AppError } from '../errors.ts'

const PREFIX = /^[A-Za-z0-9_-]{1,64}$/
const GENERATION = /^[0-9a-f]{16}$/
const KEY = /^\{([A-Za-z0-9_-]{1,64})\}:(.+)$/

export const RedisKeyKind = {
  cluster: 'cluster',
  lives: 'lives',
  members: 'members',
  leases: 'leases',
  routing: 'routing',
  maker: 'maker',
  rates: 'rates',
  index: 'index',
  retired: 'retired',
  keys: 'keys',
  tenants: 'tenants',
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

/** A key that nothing else uses. @param id hex digits */
export function probeKey(prefix: string, id: string): string {
  return `${redisTag(prefix)}doctor-${id}`
}

/** What a generation of the file index is called: 16 hex digits. */
export type IndexPart = 'ends' | 'hours' | `files:${string}`

/** @throws AppError invalid_key for a generation that is none */
export function indexKey(prefix: string, generation: string, part: IndexPart): string {
  if (GENERATION.test(generation)) return `${redisTag(prefix)}${generation}:${part}`
  throw new AppError('invalid_key', 'generation cannot stand in a key of redis', {
    details: { generation: generation.slice(0, 100) },
  })
}

export function parseIndexKey(
  key: string,
): { prefix: string; generation: string; part: IndexPart } | undefined {
  const [, prefix, rest] = KEY.exec(key) ?? []
  const [, generation, part] = /^([0-9a-f]{16}):(ends|hours|files:.+)$/.exec(rest ?? '') ?? []
  if (prefix === undefined || generation === undefined) return undefined
  return { prefix, generation, part: part as IndexPart }
}

function redisTag(prefix: string): string {
  if (PREFIX.test(prefix)) return `{${prefix}}:`
  throw new AppError('invalid_key', 'prefix cannot stand in a key of redis', {
    details: { prefix: prefix.slice(0, 100) },
  })
}
