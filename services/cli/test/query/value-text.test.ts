import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { DuckDBInstance } from '@duckdb/node-api'
import type { DuckDBConnection } from '@duckdb/node-api'

import { jsonText, plainText } from '../../src/query/value-text.ts'

describe('value texts', () => {
  let connection: DuckDBConnection

  before(async () => {
    connection = await (await DuckDBInstance.create(':memory:')).connect()
    await connection.run(`SET TimeZone = 'America/New_York'`)
  })

  after(() => {
    connection.closeSync()
  })

  async function texts(expression: string): Promise<[string, string]> {
    const reader = await connection.runAndReadAll(`SELECT ${expression}`)
    const value = reader.getRows()[0]![0]!
    const type = reader.columnTypes()[0]!
    return [jsonText(value, type), plainText(value, type)]
  }

  for (const [expression, json, plain] of [
    ['NULL', 'null', ''],
    ['true', 'true', 'true'],
    ['9223372036854775807', '9223372036854775807', '9223372036854775807'],
    ['18446744073709551615::UBIGINT', '18446744073709551615', '18446744073709551615'],
    ['-0.0::DOUBLE', '-0.0', '-0.0'],
    ['1e300::DOUBLE', '1e+300', '1e+300'],
    [`'nan'::DOUBLE`, '"NaN"', 'NaN'],
    [`'-inf'::DOUBLE`, '"-Infinity"', '-Infinity'],
    ['1.10::DECIMAL(5,2)', '1.10', '1.10'],
    [`'a"b'`, '"a\\"b"', 'a"b'],
    [`'\\xAA\\x00'::BLOB`, '"qgA="', 'qgA='],
    [`'{"a": 1.0}'::JSON`, '{"a": 1.0}', '{"a": 1.0}'],
    [`['{}'::JSON, NULL]`, '[{},null]', '[{},null]'],
    [`{'j': '[1]'::JSON, 't': 'x'}`, '{"j":[1],"t":"x"}', '{"j":[1],"t":"x"}'],
    [`map {'k"': [1.5::DOUBLE]}`, '{"k\\"":[1.5]}', '{"k\\"":[1.5]}'],
    [`[1, 2]::INTEGER[2]`, '[1,2]', '[1,2]'],
    [`timestamptz '2026-11-21 03:00:00Z'`, '"2026-11-21T03:00:00Z"', '2026-11-21T03:00:00Z'],
    [
      `timestamptz '1969-12-31 23:59:59.999999Z'`,
      '"1969-12-31T23:59:59.999999Z"',
      '1969-12-31T23:59:59.999999Z',
    ],
    [`timestamptz '2026-01-01 00:00:00.5Z'`, '"2026-01-01T00:00:00.5Z"', '2026-01-01T00:00:00.5Z'],
    [`date '2026-01-01'`, '"2026-01-01"', '2026-01-01'],
  ] as const) {
    it(`writes ${expression}`, async () => {
      assert.deepEqual(await texts(expression), [json, plain])
    })
  }

  it('writes a time that no calendar holds as its number', async () => {
    const [json] = await texts(`make_timestamptz(9223372036854775806)`)
    assert.match(json, /^".*"$/)
  })
})
