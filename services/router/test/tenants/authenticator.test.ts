import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '@tributary/common/errors'

import { Authenticator, checkStanding } from '../../src/tenants/authenticator.ts'
import type { CallHeaders } from '../../src/tenant-header.ts'

/** Keys named after their tenant. */
const keys = {
  check: (text: string) => {
    if (!text.startsWith('key-')) throw new AppError('unauthenticated', 'unknown')
    return { tenant: text.slice(4), isRevoked: false }
  },
}

/** The tenant, or the code of the refusal. */
function outcome(
  authenticator: Authenticator,
  headers: CallHeaders,
  certificateTenant?: string,
): string {
  try {
    const caller = authenticator.identify(headers, certificateTenant)
    assert.ok(!(caller instanceof Promise))
    return caller.tenant
  } catch (error) {
    return error instanceof AppError ? error.code : String(error)
  }
}

describe('Authenticator', () => {
  it('finds the key in either header', () => {
    const authenticator = new Authenticator({ keys, areCertificatesNamed: false })
    assert.equal(outcome(authenticator, { authorization: 'Bearer key-a' }), 'a')
    assert.equal(outcome(authenticator, { authorization: 'bearer  key-a ' }), 'a')
    assert.equal(outcome(authenticator, { 'x-api-key': 'key-a' }), 'a')
    assert.equal(outcome(authenticator, { authorization: 'Basic eA==', 'x-api-key': 'key-a' }), 'a')
  })

  it('refuses a call without a key', () => {
    const authenticator = new Authenticator({ keys, areCertificatesNamed: false })
    const calls: readonly CallHeaders[] = [
      {},
      { authorization: 'Basic a2V5LWE=' },
      { authorization: '' },
      { authorization: 'Bearer' },
      { 'x-api-key': '' },
      { 'x-tributary-tenant': 'a' },
    ]
    for (const headers of calls) {
      assert.equal(outcome(authenticator, headers), 'unauthenticated', JSON.stringify(headers))
    }
  })

  it('lets a key write as its own tenant alone', () => {
    const authenticator = new Authenticator({ keys, areCertificatesNamed: false })
    const as = (tenant: string): CallHeaders => ({
      'x-api-key': 'key-a',
      'x-tributary-tenant': tenant,
    })
    assert.equal(outcome(authenticator, as('a')), 'a')
    assert.equal(outcome(authenticator, as('b')), 'permission_denied')
    assert.equal(outcome(authenticator, as('Not/A/Name')), 'invalid_tenant')
    assert.equal(
      outcome(authenticator, { 'x-api-key': 'key-a', 'x-scope-orgid': 'b' }),
      'permission_denied',
    )
  })

  it('lets a key of any tenant write as the one of the header', () => {
    const authenticator = new Authenticator({ keys, areCertificatesNamed: false })
    assert.equal(outcome(authenticator, { 'x-api-key': 'key-*', 'x-scope-orgid': 'b' }), 'b')
    assert.equal(outcome(authenticator, { 'x-api-key': 'key-*' }), 'default')
  })

  it('takes a certificate that names a tenant for a credential, with keys and without', () => {
    for (const some of [keys, undefined]) {
      const authenticator = new Authenticator({ keys: some, areCertificatesNamed: true })
      assert.equal(outcome(authenticator, {}, 'a'), 'a')
      assert.equal(outcome(authenticator, { 'x-tributary-tenant': 'a' }, 'a'), 'a')
      assert.equal(outcome(authenticator, { 'x-tributary-tenant': 'b' }, 'a'), 'permission_denied')
      assert.equal(outcome(authenticator, {}), 'unauthenticated')
      assert.equal(outcome(authenticator, { 'x-tributary-tenant': 'a' }), 'unauthenticated')
    }
  })

  it('wants certificate and key to agree where both are there', () => {
    const authenticator = new Authenticator({ keys, areCertificatesNamed: false })
    assert.equal(outcome(authenticator, { 'x-api-key': 'key-a' }, 'a'), 'a')
    assert.equal(outcome(authenticator, { 'x-api-key': 'key-*' }, 'a'), 'a')
    assert.equal(outcome(authenticator, { 'x-api-key': 'key-b' }, 'a'), 'permission_denied')
    assert.equal(outcome(authenticator, { 'x-api-key': 'wrong' }, 'a'), 'unauthenticated')
  })

  it('looks at a key again before a body is stored', () => {
    const credential = { tenant: 'a', isRevoked: false }
    checkStanding({ tenant: 'a', credential })
    credential.isRevoked = true
    assert.throws(
      () => {
        checkStanding({ tenant: 'a', credential })
      },
      (error) => error instanceof AppError && error.code === 'unauthenticated',
    )
  })
})
