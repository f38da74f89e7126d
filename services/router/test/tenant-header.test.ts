import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '@tributary/common/errors'

import { tenantOf } from '../src/tenant-header.ts'

describe('tenantOf', () => {
  it('takes x-tributary-tenant before x-scope-orgid, and default without either', () => {
    assert.equal(tenantOf({ 'x-tributary-tenant': 'a', 'x-scope-orgid': 'b' }), 'a')
    assert.equal(tenantOf({ 'x-scope-orgid': 'b' }), 'b')
    assert.equal(tenantOf({}), 'default')
    assert.equal(tenantOf({ 'x-scope-orgid': '0'.repeat(63) }), '0'.repeat(63))
  })

  it('refuses every other name', () => {
    const names = [
      '',
      ' ',
      'A',
      '-a',
      '_a',
      'a b',
      'a/b',
      'a.b',
      '..',
      'é',
      'a, b',
      '0'.repeat(64),
      'a\n',
    ]
    for (const name of [...names, ['a', 'b']]) {
      assert.throws(
        () => tenantOf({ 'x-tributary-tenant': name }),
        (error) => error instanceof AppError && error.code === 'invalid_tenant',
        String(name),
      )
    }
  })
})
