import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'

import {
  OFFSET_MAX,
  commitKey,
  dataKey,
  hashesKey,
  hourOf,
  isObjectKey,
  isTenantName,
  logTag,
  parseCommitKey,
  parseDataKey,
  parseHashesKey,
  parseOffset,
  parseQuarantineKey,
  parseReplayKey,
  parseSchemaKey,
  quarantineKey,
  replayKey,
  schemaKey,
} from '../src/paths.ts'
import type { PartitionId } from '../src/paths.ts'
import { SIGNAL_NAMES } from '../src/signal.ts'

const tenant = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,62}$/)
const offset = fc.bigInt({ min: 0n, max: OFFSET_MAX - 1n })
const range = fc
  .tuple(offset, offset)
  .map(([a, b]) => ({ start: a < b ? a : b, end: (a < b ? b : a) + 1n }))
const sha256 = fc.stringMatching(/^[0-9a-f]{64}$/)
const partition: fc.Arbitrary<PartitionId> = fc.record(
  {
    logId: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/),
    topic: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,248}$/),
    partition: fc.nat(2 ** 31 - 1),
  },
  { noNullPrototype: true },
)
// Unix 0 to what 64 bits of nanoseconds reach: the year 2554
const hour = fc.oneof(
  fc.constant('late'),
  fc.integer({ min: 0, max: 18_446_744_073_709 }).map(hourOf),
)
const signal = fc.constantFrom(...SIGNAL_NAMES)

const PARTITION: PartitionId = { logId: 'log', topic: 'topic', partition: 0 }
const RANGE = { start: 1n, end: 2n }
const HASH = 'ab'.repeat(32)

describe('object keys', () => {
  it('are what the design lays out', () => {
    const parts = { ...PARTITION, ...RANGE, tenant: 'acme', signal: 'logs', sha256: HASH } as const
    const tag = logTag(PARTITION)
    const name = `${tag}-0-00000000000000000001-00000000000000000002-abababababababab`
    assert.equal(
      dataKey({ ...parts, hour: '2026-11-21T03' }),
      `data/acme/logs/date=2026-11-21/hour=03/${name}.parquet`,
    )
    assert.equal(dataKey({ ...parts, hour: 'late' }), `late/acme/logs/${name}.parquet`)
    assert.equal(commitKey(PARTITION, 7n), 'commits/log/topic/0/00000000000000000007.json')
    assert.equal(schemaKey('acme', 'spans', 12), 'schemas/acme/spans/00000012.json')
  })

  it('read back as what they were made of', () => {
    fc.assert(
      fc.property(partition, range, tenant, signal, hour, sha256, (id, own, name, s, h, hash) => {
        const file = dataKey({ ...id, ...own, tenant: name, signal: s, hour: h, sha256: hash })
        const { partition: number } = id
        const content = hash.slice(0, 16)
        const table = { tenant: name, signal: s, hour: h, logTag: logTag(id) }
        assert.deepEqual(parseDataKey(file), { ...table, partition: number, content, ...own })
        assert.deepEqual(parseCommitKey(commitKey(id, own.start)), { ...id, start: own.start })
        assert.deepEqual(parseHashesKey(hashesKey(id, own, hash)), { ...id, ...own, content })
        assert.deepEqual(parseQuarantineKey(quarantineKey(id, own, hash)), {
          ...id,
          ...own,
          content,
        })
        const version = 1 + Number(own.start % 99_999_999n)
        assert.deepEqual(parseSchemaKey(schemaKey(name, s, version)), {
          tenant: name,
          signal: s,
          version,
        })
        const keys = [file, commitKey(id, own.start), hashesKey(id, own, hash)]
        for (const key of keys) {
          assert.ok(isObjectKey(key), key)
          assert.equal(parseSchemaKey(key), undefined)
        }
        assert.equal(parseHashesKey(quarantineKey(id, own, hash)), undefined)
        const quarantined = quarantineKey(id, own, hash)
        for (const step of ['claim', 'done'] as const) {
          const key = replayKey(quarantined, step)
          assert.deepEqual(parseReplayKey(key), { quarantined, step })
          assert.equal(parseQuarantineKey(key), undefined)
        }
        assert.equal(parseDataKey(commitKey(id, own.start)), undefined)
      }),
    )
  })

  it('ascend as their offsets do', () => {
    fc.assert(
      fc.property(offset, offset, (a, b) => {
        const isBelow = commitKey(PARTITION, a) < commitKey(PARTITION, b)
        assert.equal(isBelow, a < b)
      }),
    )
  })

  it('take no part that could leave its folder', () => {
    const bad = ['', '.', '..', '../x', 'a/b', '/a', 'a\\b', 'a\0', 'a b', '.hidden', '%2e%2e', 'ä']
    const data = { ...PARTITION, ...RANGE, tenant: 'acme', signal: 'logs', sha256: HASH } as const
    for (const part of bad) {
      assert.equal(isTenantName(part), false, part)
      assert.throws(() => dataKey({ ...data, tenant: part, hour: 'late' }), {
        code: 'invalid_tenant',
      })
      assert.throws(() => dataKey({ ...data, hour: part }), { code: 'invalid_key' })
      assert.throws(() => dataKey({ ...data, sha256: part, hour: 'late' }), { code: 'invalid_key' })
      assert.throws(() => commitKey({ ...PARTITION, topic: part }, 0n), { code: 'invalid_key' })
      assert.throws(() => commitKey({ ...PARTITION, logId: part }, 0n), { code: 'invalid_key' })
      assert.throws(() => schemaKey(part, 'logs', 1), { code: 'invalid_tenant' })
      if (part !== 'a/b') assert.equal(isObjectKey(`a/${part}`), false, part)
    }
    for (const tenantName of ['Acme', '_a', '-a', 'a.b', 'a'.repeat(64)]) {
      assert.equal(isTenantName(tenantName), false, tenantName)
    }
    for (const at of ['2026-02-30T03', '2026-11-21T24', '2026-11-21', '2026-11-21T3']) {
      assert.throws(() => dataKey({ ...data, hour: at }), { code: 'invalid_key' }, at)
    }
  })

  it('take no offset, version or partition beyond its digits', () => {
    assert.throws(() => commitKey(PARTITION, -1n), { code: 'invalid_key' })
    assert.throws(() => commitKey(PARTITION, OFFSET_MAX + 1n), { code: 'invalid_key' })
    assert.throws(() => hashesKey(PARTITION, { start: 2n, end: 2n }, HASH), { code: 'invalid_key' })
    for (const number of [-1, 1.5, NaN, 2 ** 31]) {
      assert.throws(() => commitKey({ ...PARTITION, partition: number }, 0n), {
        code: 'invalid_key',
      })
    }
    for (const version of [0, -1, 1.5, 100_000_000]) {
      assert.throws(() => schemaKey('a', 'logs', version), { code: 'invalid_key' })
    }
    assert.equal(parseCommitKey('commits/log/topic/007/00000000000000000007.json'), undefined)
    assert.equal(parseCommitKey('commits/log/../0/00000000000000000007.json'), undefined)
    assert.equal(parseCommitKey('commits/log/topic/0/99999999999999999999.json'), undefined)
    assert.equal(parseSchemaKey('schemas/acme/logs/00000000.json'), undefined)
  })
})

describe('parseOffset', () => {
  it('takes decimal numbers of 63 bits and nothing else', () => {
    assert.equal(parseOffset('0'), 0n)
    assert.equal(parseOffset(String(OFFSET_MAX)), OFFSET_MAX)
    for (const text of [
      '',
      '-1',
      '00',
      '01',
      '1.0',
      '1e3',
      ' 1',
      '0x1',
      String(OFFSET_MAX + 1n),
      5,
    ]) {
      assert.equal(parseOffset(text), undefined, String(text))
    }
  })
})
