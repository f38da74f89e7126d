/** Settings of the connection to Redis and of membership in the cluster, for every role of one. */
import type { ConfigOf, Relation } from './setting-table.ts'
import { duration, text, url } from './setting.ts'

const SECOND_MS = 1000

/** How to reach Redis: also for roles that are no member. */
export const redisConnectionSettings = {
  redisUrl: url({
    default: 'redis://127.0.0.1:6379',
    schemes: ['redis', 'rediss'],
    sentence:
      'Where Redis is, redis://user@host:port/database; rediss:// speaks TLS. With --redis-sentinels only the scheme, user and database count.',
  }),
  redisPasswordFile: text({
    default: undefined,
    sentence: 'File with the password; read again before every connection, so it may change.',
  }),
  redisCaFile: text({
    default: undefined,
    sentence: 'Authorities to trust, PEM; default: those of the system.',
  }),
  redisCertFile: text({
    default: undefined,
    sentence: 'Certificate to show to Redis, PEM; needs --redis-key-file.',
  }),
  redisKeyFile: text({ default: undefined, sentence: 'The key of that certificate, PEM.' }),
  redisSentinels: text({
    default: undefined,
    pattern: /^[^\s,/]+:\d{1,5}(,[^\s,/]+:\d{1,5})*$/,
    bounds: 'host:port,host:port',
    sentence: 'Sentinels to ask where the master is.',
  }),
  redisSentinelMaster: text({
    default: 'mymaster',
    sentence: 'The name that the sentinels know it by.',
  }),
  redisSentinelPasswordFile: text({
    default: undefined,
    sentence: 'File with the password of the sentinels themselves.',
  }),
  redisPrefix: text({
    default: 'tributary',
    pattern: /^[A-Za-z0-9_-]{1,64}$/,
    bounds: 'up to 64 letters, digits, _ and -',
    sentence: 'Begins every key: one Redis can serve several clusters, each with its own.',
  }),
  redisTimeoutMs: duration({
    default: SECOND_MS,
    min: 50,
    max: 60 * SECOND_MS,
    sentence: 'A command without an answer for this long has an unknown outcome.',
  }),
}
export type RedisConnectionConfig = ConfigOf<typeof redisConnectionSettings>

export const redisSettings = {
  ...redisConnectionSettings,
  beatIntervalMs: duration({
    default: SECOND_MS,
    min: 50,
    max: 60 * SECOND_MS,
    sentence: 'How often a process says that it lives.',
  }),
  memberTimeToLiveMs: duration({
    default: 5 * SECOND_MS,
    min: 150,
    max: 600 * SECOND_MS,
    sentence: 'A process that was silent for this long is dead, others take its partitions.',
  }),
}
export type RedisConfig = ConfigOf<typeof redisSettings>

export const REDIS_CONNECTION_RELATIONS: readonly Relation<typeof redisConnectionSettings>[] = [
  (config) =>
    (config.redisCertFile === undefined) === (config.redisKeyFile === undefined)
      ? undefined
      : '--redis-cert-file and --redis-key-file go together',
  (config) =>
    config.redisCaFile === undefined && config.redisCertFile === undefined
      ? undefined
      : config.redisUrl.startsWith('rediss://')
        ? undefined
        : '--redis-ca-file and --redis-cert-file need a --redis-url that starts with rediss://',
  (config) => {
    const { pathname } = new URL(config.redisUrl)
    return /^\/?\d{0,4}$/.test(pathname)
      ? undefined
      : `the path of --redis-url is the number of a database, not "${pathname}"`
  },
]

export const REDIS_RELATIONS: readonly Relation<typeof redisSettings>[] = [
  (config) =>
    config.memberTimeToLiveMs < 3 * config.beatIntervalMs
      ? '--member-time-to-live must be three times --beat-interval: a lost beat is no death'
      : undefined,
  ...REDIS_CONNECTION_RELATIONS,
]
