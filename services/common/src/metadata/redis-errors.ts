/**
 * What an error of ioredis or of Redis means. Redis errors have no code, only a text that begins with a
 * word; it is read here and nowhere else.
 */
import { AppError } from '../errors.ts'

export type RedisTrouble =
  // the command may have been executed, now or later
  | 'timeout'
  | 'disconnected'
  // Redis refused it
  | 'out_of_memory'
  | 'read_only'
  | 'loading'
  | 'busy'
  | 'no_script'
  | 'moved'
  | 'cluster_down'
  | 'cross_slot'
  | 'no_replicas'
  | 'disk_failed'
  | 'no_access'
  | 'wrong_type'
  // the connection refused it
  | 'not_connected'
  | 'overloaded'
  | 'closed'
  | 'unknown'

/** First words of Redis' own errors (src/server.c, createSharedObjects, and the cluster's). */
const FIRST_WORDS: Readonly<Record<string, RedisTrouble>> = {
  OOM: 'out_of_memory',
  READONLY: 'read_only',
  LOADING: 'loading',
  BUSY: 'busy',
  NOSCRIPT: 'no_script',
  MOVED: 'moved',
  ASK: 'moved',
  TRYAGAIN: 'moved',
  CLUSTERDOWN: 'cluster_down',
  CROSSSLOT: 'cross_slot',
  MASTERDOWN: 'read_only',
  NOREPLICAS: 'no_replicas',
  MISCONF: 'disk_failed',
  NOAUTH: 'no_access',
  WRONGPASS: 'no_access',
  NOPERM: 'no_access',
  WRONGTYPE: 'wrong_type',
}

/** Texts of ioredis 6, and of errors inside a script, which Redis 6 puts behind words of its own. */
const TEXTS: readonly (readonly [RegExp, RedisTrouble])[] = [
  [/^Command timed out/, 'timeout'],
  [/^Socket timeout/, 'disconnected'],
  [/max retries per request/, 'disconnected'],
  [/^Command aborted due to connection close/, 'disconnected'],
  [/^Connection is closed/, 'disconnected'],
  [/enableOfflineQueue/, 'not_connected'],
  [/-OOM command not allowed/, 'out_of_memory'],
  [/-READONLY You can't write/, 'read_only'],
]

export function redisTrouble(error: unknown): RedisTrouble {
  if (!(error instanceof Error)) return 'unknown'
  const word = /^-?([A-Z]+)(?: |$)/.exec(error.message)?.[1]
  const trouble = word === undefined ? undefined : FIRST_WORDS[word]
  if (trouble !== undefined) return trouble
  return TEXTS.find(([text]) => text.test(error.message))?.[1] ?? 'unknown'
}

/** The node that owns the keys now, from `MOVED 3999 127.0.0.1:6381`; undefined for anything else. */
export function movedTo(error: unknown): { host: string; port: number } | undefined {
  const match = error instanceof Error ? /^MOVED \d+ (.*):(\d+)$/.exec(error.message) : null
  // without a host it is another port of the same one
  return match === null || match[1] === '' ? undefined : { host: match[1]!, port: Number(match[2]) }
}

/** Whether the node is one that cannot take writes any more: another connection may find the master. */
export function isWrongNode(trouble: RedisTrouble): boolean {
  return trouble === 'read_only' || trouble === 'moved'
}

export function metadataUnavailable(
  reason: RedisTrouble | 'overtaken' | 'full',
  cause?: unknown,
): AppError {
  return new AppError('metadata_unavailable', 'metadata store does not answer', {
    ...(cause === undefined ? {} : { cause }),
    details: { reason },
  })
}
