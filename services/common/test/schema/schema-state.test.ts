import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'

import { ATTRIBUTE_TYPES, NAMESPACES, foldKey } from '../../src/schema/column-name.ts'
import type { SchemaAddition, WantedColumn } from '../../src/schema/schema-state.ts'
import { SCHEMA_COLUMNS_MAX, SchemaState } from '../../src/schema/schema-state.ts'

function extend(state: SchemaState, ...wanted: WantedColumn[]): SchemaState {
  const extension = state.extend(wanted)
  if (extension === undefined) return state
  const { additions, next } = extension
  assert.deepEqual(state.with(next.version, additions).snapshot(), next.snapshot())
  return next
}

const item = (key: string, type: WantedColumn['type']): WantedColumn => ({
  namespace: 'attributes',
  key,
  type,
})

describe('SchemaState', () => {
  it('gives the plain name to the first type and siblings to the others', () => {
    let state = SchemaState.empty('acme', 'logs')
    state = extend(state, item('code', 'int'))
    state = extend(state, ...ATTRIBUTE_TYPES.map((type) => item('code', type)))
    const columns = ATTRIBUTE_TYPES.map((type) => state.resolve('attributes', 'code', type))
    assert.deepEqual(columns, [
      'attributes.code@string',
      'attributes.code',
      'attributes.code@double',
      'attributes.code@bool',
      'attributes.code@bytes',
      'attributes.code@json',
    ])
    assert.equal(state.resolve('resource', 'code', 'int'), undefined)
  })

  it('keeps the plain name for a scalar where an array or map came first', () => {
    let state = extend(SchemaState.empty('acme', 'logs'), item('tags', 'any'))
    assert.equal(state.resolve('attributes', 'tags', 'any'), 'attributes.tags@json')
    state = extend(state, item('tags', 'string'), item('tags', 'int'))
    assert.equal(state.resolve('attributes', 'tags', 'string'), 'attributes.tags')
    assert.equal(state.resolve('attributes', 'tags', 'int'), 'attributes.tags@int')
  })

  it('numbers keys that differ only in case, all their types alike', () => {
    let state = extend(SchemaState.empty('acme', 'logs'), item('host', 'string'))
    state = extend(state, item('Host', 'string'), item('HOST', 'int'), item('Host', 'int'))
    assert.equal(state.resolve('attributes', 'Host', 'string'), 'attributes.Host@2')
    assert.equal(state.resolve('attributes', 'Host', 'int'), 'attributes.Host@2@int')
    assert.equal(state.resolve('attributes', 'HOST', 'int'), 'attributes.HOST@3')
    state = extend(state, { namespace: 'resource', key: 'HOST', type: 'int' })
    assert.equal(state.resolve('resource', 'HOST', 'int'), 'resource.HOST')
  })

  it('survives a structured clone', () => {
    const state = extend(SchemaState.empty('acme', 'spans'), item('a', 'int'), item('A', 'any'))
    const clone = SchemaState.restore(structuredClone(state.snapshot()))
    assert.deepEqual(clone.snapshot(), state.snapshot())
    assert.equal(clone.resolve('attributes', 'A', 'any'), 'attributes.A@2@json')
    assert.equal(clone.extend([item('a', 'int')]), undefined)
    const part = state.snapshot([item('A', 'any'), item('unknown', 'int')])
    assert.equal(part.additions.length, 1)
    const restored = SchemaState.restore(part)
    assert.equal(restored.resolve('attributes', 'A', 'any'), 'attributes.A@2@json')
    assert.equal(restored.version, state.version)
  })

  it('maps columns to what they hold, for the footer', () => {
    const state = extend(
      SchemaState.empty('acme', 'logs'),
      item('a', 'int'),
      item('__proto__', 'any'),
    )
    const map = state.columnMap(['timestamp', 'attributes.a', 'attributes.@__proto__@json'])
    assert.deepEqual(JSON.parse(JSON.stringify(map)), {
      'attributes.a': item('a', 'int'),
      'attributes.@__proto__@json': item('__proto__', 'any'),
    })
  })

  it('takes at most SCHEMA_COLUMNS_MAX columns per namespace, and goes on with what it has', () => {
    const wanted = Array.from({ length: SCHEMA_COLUMNS_MAX + 50 }, (_, n) => item(`k${n}`, 'int'))
    const state = extend(SchemaState.empty('acme', 'logs'), ...wanted)
    assert.equal(state.snapshot().additions.length, SCHEMA_COLUMNS_MAX)
    assert.equal(state.resolve('attributes', 'k0', 'int'), 'attributes.k0')
    assert.equal(state.resolve('attributes', `k${SCHEMA_COLUMNS_MAX}`, 'int'), undefined)
    assert.equal(state.extend(wanted), undefined)
    const other: WantedColumn = { namespace: 'resource', key: 'k', type: 'int' }
    assert.equal(state.extend([other])?.additions.length, 1)
  })

  it('refuses additions that contradict each other or their names', () => {
    const first: SchemaAddition = { ...item('a', 'int'), column: 'attributes.a' }
    const wrong: SchemaAddition[][] = [
      [first, first],
      [first, { ...item('a', 'string'), column: 'attributes.a' }],
      [first, { ...item('A', 'int'), column: 'attributes.A' }],
      [first, { ...item('a', 'string'), column: 'attributes.a@2@string' }],
      [{ ...item('a', 'int'), column: 'attributes.b' }],
      [{ ...item('a', 'int'), column: 'resource.a' }],
      [{ ...item('a', 'int'), column: 'attributes.a@string' }],
      [{ ...item('a', 'any'), column: 'attributes.a' }],
      [{ ...item('a', 'int'), column: 'timestamp' }],
      [{ ...item('a', 'int'), column: 'attributes._overflow' }],
    ]
    for (const additions of wrong) {
      assert.throws(
        () => SchemaState.restore({ tenant: 't', signal: 'logs', version: 1, additions }),
        { code: 'schema_conflict' },
        JSON.stringify(additions),
      )
    }
  })

  it('is a bijection of keys and columns, also where case is ignored, however it grew', () => {
    const key = fc.oneof(
      fc
        .array(
          fc.constantFrom('a', 'A', '@', '_', '2', 'ß', 'SS', 'ı', 'I', 'İ', 'string', '\0', '.'),
          {
            maxLength: 4,
          },
        )
        .map((parts) => parts.join('')),
      fc.string({ unit: 'binary', maxLength: 3 }),
    )
    const want = fc.record({
      namespace: fc.constantFrom(...NAMESPACES),
      key,
      type: fc.constantFrom(...ATTRIBUTE_TYPES),
    })
    const growth = fc.array(fc.array(want, { maxLength: 12 }), { maxLength: 8 })
    fc.assert(
      fc.property(growth, (batches) => {
        let state = SchemaState.empty('acme', 'logs')
        const earlier = new Map<string, string>()
        for (const batch of batches) {
          state = extend(state, ...batch)
          const columns = new Map<string, string>()
          for (const { namespace, key: name, type } of batches.flat()) {
            const column = state.resolve(namespace, name, type)
            const id = JSON.stringify([namespace, name, type])
            if (column === undefined) continue
            assert.equal(earlier.get(id) ?? column, column, 'a column never changes')
            earlier.set(id, column)
            for (const seen of [column.toLowerCase(), column.toUpperCase(), foldKey(column)]) {
              assert.equal(columns.get(seen) ?? id, id, 'a column belongs to one key and type')
              columns.set(seen, id)
            }
            const { namespace: n, key: k, type: t } = state.describe(column)!
            assert.equal(JSON.stringify([n, k, t]), id)
          }
          for (const { namespace, key: name, type } of batch) {
            assert.ok(state.resolve(namespace, name, type) !== undefined)
          }
        }
        assert.deepEqual(SchemaState.restore(state.snapshot()).snapshot(), state.snapshot())
      }),
      { numRuns: 500 },
    )
  })
})
