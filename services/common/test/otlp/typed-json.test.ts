import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { OutputBuffer } from '../../src/otlp/output-buffer.ts'
import {
  anyValueToJson,
  appendKeyValuesOfJson,
  jsonToAnyValue,
  keyValuesToJson,
} from '../../src/otlp/typed-json.ts'
import { OddValues } from '../../src/testing/odd-values.ts'
import { otlpRoot } from '../../src/testing/otlp-messages.ts'
import type { Model } from '../../src/testing/otlp-model.ts'
import { doubleBits, encodeModel } from '../../src/testing/otlp-model.ts'
import { runPython } from '../../src/testing/python.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

const anyValue = otlpRoot().lookupType('opentelemetry.proto.common.v1.AnyValue')
const keyValue = otlpRoot().lookupType('opentelemetry.proto.common.v1.KeyValue')

function textOf(model: Model): string {
  return Buffer.from(anyValueToJson(encodeModel(anyValue, model))).toString()
}

/** A KeyValue without a value and one with an empty value are the same message of ours. */
function plain(model: Model): Model {
  const result: Model = {}
  for (const [member, value] of Object.entries(model)) {
    if (Array.isArray(value)) {
      result[member] = (value as readonly Model[]).map((each) => plain(each))
      continue
    }
    const isMessage = typeof value === 'object' && !(value instanceof Uint8Array)
    const inner = isMessage ? plain(value as Model) : value
    const isEmptyValue = member === 'value' && Object.keys(inner).length === 0
    if (!isEmptyValue && !(member === 'key' && value === '')) result[member] = inner
  }
  return result
}

const CASES: readonly (readonly [string, Model, string])[] = [
  ['no value', {}, 'null'],
  ['an empty string', { stringValue: '' }, '""'],
  [
    'quotes and controls',
    { stringValue: 'a"\\\n\u0001\u007fé😀/' },
    '"a\\"\\\\\\n\\u0001\u007fé😀/"',
  ],
  ['false', { boolValue: false }, 'false'],
  ['the least integer', { intValue: -(2n ** 63n) }, '-9223372036854775808'],
  ['the greatest integer', { intValue: 2n ** 63n - 1n }, '9223372036854775807'],
  ['an integer past 2^53', { intValue: 2n ** 53n + 1n }, '9007199254740993'],
  ['zero', { intValue: 0n }, '0'],
  ['a double without a fraction', { doubleValue: doubleBits(5) }, '5.0'],
  ['minus zero', { doubleValue: doubleBits(-0) }, '-0.0'],
  ['a large double', { doubleValue: doubleBits(1e22) }, '1e+22'],
  ['the least double', { doubleValue: doubleBits(5e-324) }, '5e-324'],
  ['NaN', { doubleValue: 0x7ff8_0000_0000_0000n }, '{"@double":"NaN"}'],
  ['NaN with bits', { doubleValue: 0xfff8_dead_beef_0042n }, '{"@double":"NaN:fff8deadbeef0042"}'],
  [
    'a signalling NaN',
    { doubleValue: 0x7ff0_0000_0000_0001n },
    '{"@double":"NaN:7ff0000000000001"}',
  ],
  ['infinity', { doubleValue: doubleBits(-Infinity) }, '{"@double":"-Infinity"}'],
  ['bytes', { bytesValue: Uint8Array.of(0, 255, 1, 254) }, '{"@bytes":"AP8B/g=="}'],
  ['no bytes', { bytesValue: new Uint8Array(0) }, '{"@bytes":""}'],
  ['an empty array', { arrayValue: {} }, '[]'],
  ['an empty map', { kvlistValue: {} }, '{}'],
  [
    'nested arrays',
    { arrayValue: { values: [{}, { arrayValue: { values: [{ intValue: 1n }] } }] } },
    '[null,[1]]',
  ],
  [
    'a map',
    { kvlistValue: { values: [{ key: 'b', value: { intValue: 1n } }, { key: 'a' }] } },
    '{"b":1,"a":null}',
  ],
  ['a map with the empty key', { kvlistValue: { values: [{}] } }, '{"":null}'],
  [
    'a map that looks tagged',
    { kvlistValue: { values: [{ key: '@bytes', value: { stringValue: 'AA==' } }] } },
    '{"@map":{"@bytes":"AA=="}}',
  ],
  [
    'a map that looks escaped',
    {
      kvlistValue: {
        values: [{ key: '@map', value: { kvlistValue: { values: [{ key: '@map' }] } } }],
      },
    },
    '{"@map":{"@map":{"@map":{"@map":null}}}}',
  ],
  [
    'a map of two members that start like tags',
    { kvlistValue: { values: [{ key: '@a', value: { boolValue: true } }, { key: '@b' }] } },
    '{"@a":true,"@b":null}',
  ],
]

describe('typed JSON', () => {
  for (const [name, model, text] of CASES) {
    it(`writes ${name} and reads it back`, () => {
      assert.equal(textOf(model), text)
      const bytes = encodeModel(anyValue, plain(model))
      assert.deepEqual(Buffer.from(jsonToAnyValue(Buffer.from(text))), Buffer.from(bytes))
    })
  }

  it('gives back what it wrote for generated values', () => {
    const values = new OddValues(new SeededRandom(42), {
      depthMax: 6,
      hasInvalidUtf8: false,
      timeMaxUnixNano: 0n,
    })
    for (let count = 0; count < 3000; count++) {
      const bytes = encodeModel(anyValue, plain(values.anyValue(0)))
      const text = anyValueToJson(bytes)
      assert.deepEqual(
        Buffer.from(jsonToAnyValue(text)),
        Buffer.from(bytes),
        Buffer.from(text).toString(),
      )
      JSON.parse(Buffer.from(text).toString())
    }
  })

  it('writes attributes as one object and reads them back as fields', () => {
    const lists: Model[][] = [
      [],
      [{ key: '@double', value: { stringValue: 'x' } }],
      [{ key: 'a', value: { intValue: 1n } }, { key: '@b' }],
    ]
    for (const models of lists) {
      const entries = models.map((model) => encodeModel(keyValue, model))
      const out = new OutputBuffer()
      appendKeyValuesOfJson(out, keyValuesToJson(entries), 0x32)
      const expected = entries.flatMap((entry) => [0x32, entry.length, ...entry])
      assert.deepEqual([...out.toBytes()], expected)
    }
    assert.equal(Buffer.from(keyValuesToJson([])).toString(), '{}')
  })

  it('reads what other JSON writers make of it', () => {
    const text = ' { "\\u0040bytes" : "AP8B_g" } '
    const bytes = encodeModel(anyValue, { bytesValue: Uint8Array.of(0, 255, 1, 254) })
    assert.deepEqual(Buffer.from(jsonToAnyValue(Buffer.from(text))), Buffer.from(bytes))
  })

  it('refuses what it never wrote', () => {
    for (const text of [
      '',
      '{',
      '{"@what":1}',
      '{"@bytes":1}',
      '{"@double":"x"}',
      '1 2',
      '9223372036854775808',
      '[1,]',
      'nul',
    ]) {
      assert.throws(() => jsonToAnyValue(Buffer.from(text)), { code: 'malformed_body' }, text)
    }
  })

  it('is JSON for Python and DuckDB, with the same numbers', () => {
    const values = [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n]
    const text = `[${values.map((each) => textOf({ intValue: each })).join(',')},${textOf({ doubleValue: doubleBits(0.1) })}]`
    const script = `
import json, sys, duckdb
text = sys.stdin.read()
duck = duckdb.sql("select (json_extract(j, '$[0]'))::BIGINT, json_type(j, '$[2]'), json_type(j, '$[3]') from (select ?::JSON as j)", params=[text]).fetchall()[0]
print(json.dumps([json.loads(text), duck]))
`
    const [python, duck] = JSON.parse(
      runPython(script, [], Buffer.from(text))
        .replace(/\b\d{16,}\b/g, '"$&"')
        .replace(/-"/g, '"-'),
    ) as [unknown[], unknown[]]
    assert.deepEqual(python, [...values.map(String), 0.1])
    assert.deepEqual(duck, ['9223372036854775807', 'UBIGINT', 'DOUBLE'])
  })
})
