import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { REDIS_RELATIONS, redisSettings } from '@tributary/common/config/redis-settings'
import { parseSettings, settingProblems } from '@tributary/common/config/setting-table'
import { redisAddress } from '@tributary/common/metadata/redis-address'

function addressOf(...args: readonly string[]) {
  return redisAddress(parseSettings(redisSettings, { args, relations: REDIS_RELATIONS }).config)
}

function problemsOf(...args: readonly string[]): readonly string[] {
  try {
    addressOf(...args)
    return []
  } catch (error) {
    return settingProblems(error)
  }
}

describe('redisSettings', () => {
  it('say where Redis is and how to get in', () => {
    const plain = addressOf()
    assert.deepEqual(
      { ...plain },
      {
        ...{ host: '127.0.0.1', port: 6379, database: 0, username: undefined, password: undefined },
        ...{ passwordFile: undefined, tls: undefined, sentinels: [], sentinelMaster: 'mymaster' },
        sentinelPasswordFile: undefined,
      },
    )
    const url = 'rediss://app%40x:p%2Fw@[2001:db8::1]:7000/3'
    const full = addressOf('--redis-url', url, '--redis-ca-file', '/ca')
    assert.equal(full.host, '2001:db8::1')
    assert.equal(full.port, 7000)
    assert.equal(full.database, 3)
    assert.equal(full.username, 'app@x')
    assert.equal(full.password, 'p/w')
    assert.equal(full.tls?.caFile, '/ca')
    const sentinels = addressOf(
      '--redis-sentinels',
      'a:26379,[::1]:1',
      '--redis-sentinel-master',
      'm',
    )
    assert.deepEqual(sentinels.sentinels, [
      { host: 'a', port: 26379 },
      { host: '::1', port: 1 },
    ])
    assert.equal(sentinels.sentinelMaster, 'm')
  })

  it('refuse what can not be meant', () => {
    assert.equal(problemsOf('--redis-url', 'http://a').length, 1)
    assert.equal(problemsOf('--redis-url', 'redis://a/x').length, 1)
    assert.equal(problemsOf('--redis-sentinels', 'a').length, 1)
    assert.equal(problemsOf('--redis-prefix', 'a}b').length, 1)
    assert.equal(problemsOf('--redis-ca-file', '/ca').length, 1)
    const tls = ['--redis-url', 'rediss://a']
    assert.equal(problemsOf(...tls, '--redis-cert-file', '/c').length, 1)
    assert.deepEqual(problemsOf(...tls, '--redis-cert-file', '/c', '--redis-key-file', '/k'), [])
    assert.equal(problemsOf('--member-time-to-live', '2s').length, 1)
    assert.equal(problemsOf('--beat-interval', '2s').length, 1)
    assert.deepEqual(problemsOf('--beat-interval', '200ms', '--member-time-to-live', '1s'), [])
  })
})
