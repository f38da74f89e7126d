import { randomBytes } from 'node:crypto'

import type { RedisConfig } from '@tributary/common/config/redis-settings'
import { toAppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisConnection, redisScript } from '@tributary/common/metadata/redis-connection'
import { redisTrouble } from '@tributary/common/metadata/redis-errors'
import type { RedisTrouble } from '@tributary/common/metadata/redis-errors'
import { probeKey } from '@tributary/common/metadata/redis-keys'

import { errorText, failure, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

/** Connecting takes a few of these at most; a sentinel is asked first. */
const READY_TIMEOUTS = 4
const PINGS = 20
/** A beat is a round trip, and so is taking a partition. */
const LATENCY_OK_MS = 20
const MAJOR_MIN = 7

/** Writes, reads, asks the time and cleans up, as the scripts of members and of the index do. */
const TRIAL_SCRIPT = redisScript(`
redis.call('HSET', KEYS[1], 'a', ARGV[1])
local value = redis.call('HGET', KEYS[1], 'a')
redis.call('TIME')
redis.call('DEL', KEYS[1])
return value
`)

/** Whether Redis is there, lets us in, keeps what it is given and is quick. */
export async function checkRedis(config: RedisConfig): Promise<readonly Finding[]> {
  const connection = openConnection(config)
  if ('finding' in connection) return [connection.finding]
  try {
    const startMs = performance.now()
    await connection.untilReady(READY_TIMEOUTS * config.redisTimeoutMs)
    const tookMs = Math.ceil(performance.now() - startMs)
    const findings = [ok('redis', 'connection', `${placeOf(config)}, after ${tookMs} ms`)]
    findings.push(...(await attempt('server', () => serverFindings(connection))))
    findings.push(...(await attempt('scripts', () => scriptFindings(connection, config))))
    findings.push(...(await attempt('latency', () => latencyFindings(connection, config))))
    return findings
  } catch (error) {
    const found = `${placeOf(config)}: ${errorText(error)}`
    return [failure('redis', 'connection', found, remedyOf(troubleOf(error)))]
  } finally {
    connection.close()
  }
}

function openConnection(config: RedisConfig): RedisConnection | { readonly finding: Finding } {
  try {
    return new RedisConnection({
      address: redisAddress(config),
      name: 'tributary-doctor',
      timeoutMs: config.redisTimeoutMs,
      logger: createLogger({ name: 'tributary', level: 'silent' }),
    })
  } catch (error) {
    const remedy = 'look at the files that the --redis-... settings name'
    return { finding: failure('redis', 'connection', errorText(error), remedy) }
  }
}

/** Without what a URL may carry of a password. */
function placeOf({ redisUrl, redisSentinels, redisSentinelMaster }: RedisConfig): string {
  if (redisSentinels !== undefined) return `sentinel master ${redisSentinelMaster}`
  const { protocol, host } = new URL(redisUrl)
  return `${protocol}//${host}`
}

async function attempt(
  check: string,
  run: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return await run()
  } catch (error) {
    return [failure('redis', check, errorText(error), remedyOf(troubleOf(error)))]
  }
}

/** The reason that an error of a connection gives, or that of its cause. */
function troubleOf(error: unknown): RedisTrouble {
  const { cause, details } = toAppError(error)
  const inner = redisTrouble(cause)
  if (inner !== 'unknown') return inner
  return (details['reason'] as RedisTrouble | undefined) ?? 'unknown'
}

function remedyOf(trouble: RedisTrouble): string {
  switch (trouble) {
    case 'no_access':
      return 'look at --redis-password-file, the user in --redis-url, and its rights (docs/format/redis.md)'
    case 'out_of_memory':
      return 'give Redis more memory: beats are refused, nothing is taken over'
    case 'read_only':
      return 'this is a replica: name the master, or its sentinels with --redis-sentinels'
    case 'disk_failed':
      return 'the disk of Redis fails or is full: it refuses writes'
    case 'no_replicas':
      return 'min-replicas-to-write is not fulfilled: it refuses writes'
    case 'loading':
    case 'busy':
      return 'wait until it has loaded, or look for a script that never ends'
    case 'cross_slot':
    case 'cluster_down':
      return 'look after the Redis Cluster'
    default:
      return 'is it running? look at --redis-url (rediss:// for TLS) and the --redis-... files'
  }
}

async function serverFindings(connection: RedisConnection): Promise<readonly Finding[]> {
  const text = String(await connection.command('INFO'))
  const facts = new Map(
    text.split('\r\n').map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1)]
    }),
  )
  const fact = (name: string): string => facts.get(name) ?? ''
  return [
    versionFinding(fact('redis_version')),
    roleFinding(fact('role')),
    evictionFinding(fact('maxmemory_policy'), Number(fact('maxmemory'))),
    persistenceFinding(fact),
  ]
}

function versionFinding(version: string): Finding {
  const isNewEnough = Number(version.split('.')[0]) >= MAJOR_MIN
  return isNewEnough
    ? ok('redis', 'version', version)
    : failure('redis', 'version', version, `take Redis ${MAJOR_MIN} or later`)
}

function roleFinding(role: string): Finding {
  return role === 'master'
    ? ok('redis', 'role', role)
    : failure('redis', 'role', role, remedyOf('read_only'))
}

function evictionFinding(policy: string, bytesMax: number): Finding {
  const bound = bytesMax === 0 ? 'no bound of memory' : `${bytesMax} bytes`
  const found = `${policy}, ${bound}`
  if (policy === 'noeviction') return ok('redis', 'maxmemory-policy', found)
  const remedy = 'redis-cli CONFIG SET maxmemory-policy noeviction: evicted keys are lost leases'
  return bytesMax === 0
    ? warning('redis', 'maxmemory-policy', found, remedy)
    : failure('redis', 'maxmemory-policy', found, remedy)
}

function persistenceFinding(fact: (name: string) => string): Finding {
  const check = 'persistence'
  if (fact('aof_enabled') !== '1') {
    const remedy =
      'appendonly yes: API keys and settings of tenants are kept nowhere else, a restart without them costs seconds without takeovers'
    return warning('redis', check, 'appendonly no', remedy)
  }
  const isWritten =
    fact('aof_last_write_status') !== 'err' && fact('aof_last_bgrewrite_status') !== 'err'
  return isWritten
    ? ok('redis', check, 'appendonly yes')
    : failure('redis', check, 'the last write to its file failed', remedyOf('disk_failed'))
}

async function scriptFindings(
  connection: RedisConnection,
  { redisPrefix: prefix }: RedisConfig,
): Promise<readonly Finding[]> {
  const id = randomBytes(8).toString('hex')
  const value = await connection.run(TRIAL_SCRIPT, [probeKey(prefix, id)], [id])
  if (value !== id) {
    return [
      failure('redis', 'scripts', 'a script did not read what it wrote', 'take another Redis'),
    ]
  }
  const { members } = await new RedisClusterMetadata({ connection, prefix }).view()
  return [ok('redis', 'scripts', `allowed; ${members.length} members of cluster ${prefix}`)]
}

async function latencyFindings(
  connection: RedisConnection,
  { redisTimeoutMs }: RedisConfig,
): Promise<readonly Finding[]> {
  const tookMs: number[] = []
  for (let ping = 0; ping < PINGS; ping++) {
    const startMs = performance.now()
    await connection.command('PING')
    tookMs.push(performance.now() - startMs)
  }
  tookMs.sort((left, right) => left - right)
  const [medianMs, mostMs] = [tookMs[PINGS >> 1]!, tookMs.at(-1)!]
  const found = `${medianMs.toFixed(1)} ms, at most ${mostMs.toFixed(1)} ms`
  if (mostMs > redisTimeoutMs / 2) {
    const remedy = `near --redis-timeout of ${redisTimeoutMs} ms: take a nearer Redis, or raise it`
    return [failure('redis', 'latency', found, remedy)]
  }
  return medianMs > LATENCY_OK_MS
    ? [warning('redis', 'latency', found, 'take a nearer Redis: beats and takeovers wait for it')]
    : [ok('redis', 'latency', found)]
}
