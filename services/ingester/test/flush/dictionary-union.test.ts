import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DictionaryUnion } from '../../src/flush/dictionary-union.ts'

void test('a value has one id however far the dictionary has grown', () => {
  const union = new DictionaryUnion()
  const values = Array.from({ length: 5000 }, (_, index) => Buffer.from(`value ${String(index)}`))
  values.forEach((value, index) => {
    assert.equal(union.add(value, 0, value.length), index)
  })
  values.forEach((value, index) => {
    assert.equal(union.add(value, 0, value.length), index)
  })
  const { count, data, offsets } = union.finish()
  assert.equal(count, values.length)
  assert.deepEqual(data.subarray(offsets[4321], offsets[4322]), new Uint8Array(values[4321]!))
})
