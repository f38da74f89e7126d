import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '@tributary/common/errors'
import { parseRedisKey, RedisKeyKind, redisKey } from '@tributary/common/metadata/redis-keys'

describe('redisKey', () => {
  it('builds keys that its parser reads, all under one hash tag', () => {
    for (const kind of Object.values(RedisKeyKind)) {
      const key = redisKey('my_cluster-1', kind)
      assert.ok(key.startsWith('{my_cluster-1}:'))
      assert.deepEqual(parseRedisKey(key), { prefix: 'my_cluster-1', kind })
    }
  })

  it('refuses prefixes that would leave the hash tag', () => {
    for (const prefix of ['', 'a}b', '{a', 'a b', 'a'.repeat(65)]) {
      assert.throws(
        () => redisKey(prefix, 'cluster'),
        (error: unknown) => error instanceof AppError && error.code === 'invalid_key',
      )
    }
  })

  it('knows no keys of others', () => {
    for (const key of ['cluster', '{a}:other', '{a}cluster', '{a}:', 'x{a}:cluster']) {
      assert.equal(parseRedisKey(key), undefined)
    }
  })
})
