import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { unifyColumns } from '../../src/query/tenant-columns.ts'

function tenant(name: string, columns: Readonly<Record<string, string>>) {
  const pairs = Object.entries(columns)
  return { tenant: name, columns: pairs.map(([column, type]) => ({ name: column, type })) }
}

/** New names as `tenant: from -> to`. */
function renamed(...tenants: readonly ReturnType<typeof tenant>[]): string[] {
  const { renames, moved } = unifyColumns(tenants)
  const lines = [...renames].flatMap(([name, columns]) =>
    [...columns].map(([from, to]) => `${name}: ${from} -> ${to}`),
  )
  assert.deepEqual(
    moved.map((each) => `${each.tenant}: ${each.from} -> ${each.to}`).sort(),
    lines.sort(),
  )
  return lines
}

describe('unifyColumns', () => {
  it('leaves alone what agrees', () => {
    const columns = {
      timestamp: 'TIMESTAMP WITH TIME ZONE',
      'attributes.code': 'BIGINT',
      'attributes.code@string': 'VARCHAR',
      'attributes.list@json': 'JSON',
    }
    assert.deepEqual(renamed(tenant('a', columns), tenant('b', columns), tenant('c', {})), [])
  })

  it('gives the plain name to the type that most tenants gave it to', () => {
    const text = { 'attributes.code': 'VARCHAR', 'attributes.code@int': 'BIGINT' }
    const int = { 'attributes.code': 'BIGINT', 'attributes.code@string': 'VARCHAR' }
    assert.deepEqual(renamed(tenant('a', int), tenant('b', text), tenant('c', text)), [
      'a: attributes.code -> attributes.code@int',
      'a: attributes.code@string -> attributes.code',
    ])
  })

  it('lets the first tenant by name decide between equals', () => {
    assert.deepEqual(
      renamed(
        tenant('z', { 'resource.x': 'DOUBLE' }),
        tenant('b', { 'resource.x': 'BOOLEAN' }),
        tenant('c', { 'resource.x': 'BLOB' }),
      ),
      ['c: resource.x -> resource.x@bytes', 'z: resource.x -> resource.x@double'],
    )
  })

  it('keeps keys apart that differ only in case', () => {
    assert.deepEqual(
      renamed(
        tenant('a', { 'attributes.Code': 'VARCHAR', 'attributes.code@2': 'VARCHAR' }),
        tenant('b', { 'attributes.code': 'VARCHAR', 'attributes.code@int': 'BIGINT' }),
      ),
      [
        'b: attributes.code -> attributes.code@2',
        'b: attributes.code@int -> attributes.code@2@int',
      ],
    )
  })

  it('never gives one name twice in a tenant, nor two meanings to one name', () => {
    const types = { VARCHAR: 'string', BIGINT: 'int', JSON: 'json' } as const
    const names = Object.keys(types) as (keyof typeof types)[]
    const tenants = ['a', 'b', 'c'].flatMap((letter, place) =>
      names.slice(0, 2).map((owner) => {
        const key = place === 1 ? 'Key' : 'key'
        const columns = names.map((type) => {
          const name = type === owner ? `attributes.${key}` : `attributes.${key}@${types[type]}`
          return [name, type] as const
        })
        return tenant(`${letter}-${owner.toLowerCase()}`, Object.fromEntries(columns))
      }),
    )
    const { renames } = unifyColumns(tenants)
    const meanings = new Map<string, string>()
    for (const { tenant: name, columns } of tenants) {
      const finals = columns.map(({ name: column, type }) => {
        const final = renames.get(name)?.get(column) ?? column
        const meaning = `${type} ${column.replace(/@.*/, '')}`
        assert.equal(meanings.get(final) ?? meaning, meaning, final)
        meanings.set(final, meaning)
        return final.toLowerCase()
      })
      assert.equal(new Set(finals).size, columns.length)
    }
  })
})
