import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { settingProblems } from '../../src/config/setting-table.ts'
import {
  defaultPolicy,
  parseTenantPolicies,
  TENANTS_IN_DOCUMENT_MAX,
} from '../../src/tenants/tenant-policy.ts'

const BASE = defaultPolicy({ itemAgeMaxMs: 5000 })

function parse(document: unknown) {
  return parseTenantPolicies(JSON.stringify(document), BASE)
}

function problemsOf(document: unknown): readonly string[] {
  try {
    parse(document)
  } catch (error) {
    return settingProblems(error)
  }
  return []
}

describe('parseTenantPolicies', () => {
  it('lays the policy of a tenant over the one for all, and that over the process', () => {
    const policies = parse({
      format: 1,
      default: { bytesPerSecond: '10MiB', itemAheadMax: '1h' },
      tenants: { shop: { bytesPerSecond: 5000, itemAgeMax: '7d', retryRemoval: false } },
    })
    const forAll = { ...BASE, bytesPerSecond: 10 * 1024 * 1024, itemAheadMaxMs: 3_600_000 }
    assert.deepEqual(policies.of('other'), forAll)
    assert.deepEqual(policies.of('shop'), {
      ...forAll,
      bytesPerSecond: 5000,
      itemAgeMaxMs: 7 * 86_400_000,
      retryRemoval: false,
    })
  })

  it('knows nobody but those it names where it refuses others', () => {
    const policies = parse({ format: 1, unknownTenants: 'refuse', tenants: { shop: {} } })
    assert.deepEqual(policies.of('shop'), BASE)
    assert.equal(policies.of('other'), undefined)
    assert.equal(policies.of('toString'), undefined)
    assert.equal(policies.of('constructor'), undefined)
  })

  it('tells all problems at once, each with its place', () => {
    const problems = problemsOf({
      format: 2,
      unknownTenants: 'maybe',
      defaults: {},
      default: { bytesPerSecond: 'fast', burst: '1ms', rate: 5 },
      tenants: { 'Not/A/Name': {}, shop: { itemsPerSecond: -1, retryRemoval: 'yes' }, other: 5 },
    })
    assert.deepEqual(problems, [
      'defaults is no member of the document',
      'format must be 1',
      'unknownTenants must be allow or refuse',
      'default.bytesPerSecond must be a size such as 1048576, 64MiB or 1GB',
      'default.burst must be 100ms to 1h',
      'default: rate is no setting of a tenant',
      "tenants.Not/A/Name: the name is no tenant's",
      'tenants.shop.itemsPerSecond must be 0 to 1000000000',
      'tenants.shop.retryRemoval must be true or false',
      'tenants.other must be an object',
    ])
  })

  it('takes no document that is something else, or too large', () => {
    for (const text of ['', '[]', 'null', '5', '{"format":1', '{"format":1,"default":[]}']) {
      assert.throws(() => parseTenantPolicies(text, BASE), { code: 'invalid_config' }, text)
    }
    const tenants: Record<string, object> = {}
    for (let index = 0; index <= TENANTS_IN_DOCUMENT_MAX; index++) tenants[`t${index}`] = {}
    assert.equal(problemsOf({ format: 1, tenants }).length, 1)
    const long = JSON.stringify({ format: 1 }) + ' '.repeat(5 * 1024 * 1024)
    assert.throws(() => parseTenantPolicies(long, BASE), { code: 'invalid_config' })
  })
})
