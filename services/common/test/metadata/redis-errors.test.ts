import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { movedTo, redisTrouble } from '@tributary/common/metadata/redis-errors'

describe('redisTrouble', () => {
  // as Redis 6 and 7 and ioredis 6 write them
  const texts: readonly (readonly [string, string])[] = [
    ["OOM command not allowed when used memory > 'maxmemory'.", 'out_of_memory'],
    [
      "ERR Error running script (call to f_a1): @user_script:1: -OOM command not allowed when used memory > 'maxmemory'.",
      'out_of_memory',
    ],
    ["READONLY You can't write against a read only replica.", 'read_only'],
    [
      "ERR Error running script (call to f_a1): @user_script:1: -READONLY You can't write against a read only replica.",
      'read_only',
    ],
    [
      "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
      'read_only',
    ],
    ['LOADING Redis is loading the dataset in memory', 'loading'],
    [
      'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
      'busy',
    ],
    ['NOSCRIPT No matching script. Please use EVAL.', 'no_script'],
    ['MOVED 3999 127.0.0.1:6381', 'moved'],
    ['CLUSTERDOWN The cluster is down', 'cluster_down'],
    ["CROSSSLOT Keys in request don't hash to the same slot", 'cross_slot'],
    ['NOREPLICAS Not enough good replicas to write.', 'no_replicas'],
    [
      'MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk.',
      'disk_failed',
    ],
    ['NOAUTH Authentication required.', 'no_access'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'no_access'],
    ["NOPERM this user has no permissions to run the 'flushall' command", 'no_access'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'wrong_type'],
    ['Command timed out', 'timeout'],
    [
      'Reached the max retries per request limit (which is 0). Refer to "maxRetriesPerRequest" option for details.',
      'disconnected',
    ],
    ['Connection is closed.', 'disconnected'],
    ["Stream isn't writeable and enableOfflineQueue options is false", 'not_connected'],
    ['ERR syntax error', 'unknown'],
  ]
  for (const [text, trouble] of texts) {
    it(`reads "${text.slice(0, 40)}" as ${trouble}`, () => {
      assert.equal(redisTrouble(new Error(text)), trouble)
    })
  }
})

describe('movedTo', () => {
  it('reads host and port, also of IPv6', () => {
    assert.deepEqual(movedTo(new Error('MOVED 1 10.0.0.1:6381')), { host: '10.0.0.1', port: 6381 })
    assert.deepEqual(movedTo(new Error('MOVED 1 fe80::1:6381')), { host: 'fe80::1', port: 6381 })
    assert.equal(movedTo(new Error('MOVED 1 :6381')), undefined)
    assert.equal(movedTo(new Error('ASK 1 10.0.0.1:6381')), undefined)
  })
})
