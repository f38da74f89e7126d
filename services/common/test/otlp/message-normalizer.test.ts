import { strict as assert } from 'node:assert'
import test from 'node:test'

import { LIMITS } from '../../src/limits.ts'
import { DecodeTally, Reason } from '../../src/otlp/decode-tally.ts'
import { isNormalMessage } from '../../src/otlp/message-check.ts'
import { normalizeMessage } from '../../src/otlp/message-normalizer.ts'
import {
  ANY_VALUE,
  EVENT,
  RESOURCE_PART,
  type MessageSchema,
} from '../../src/otlp/message-schema.ts'
import { openSource, viewOf } from '../../src/otlp/protobuf-cursor.ts'
import { bytesField, parseFields, stringField } from '../../src/protobuf-message.ts'
import { fuzz } from '../../src/testing/fuzz-run.ts'
import { generateProtobuf } from '../../src/testing/otlp-generator.ts'

function normalized(schema: MessageSchema, hex: string): string {
  const { bytes, reason } = normalizeMessage(schema, Buffer.from(hex, 'hex'), 0, new DecodeTally())
  assert.equal(reason, Reason.none)
  return Buffer.from(bytes).toString('hex')
}

function isNormal(schema: MessageSchema, bytes: Uint8Array): boolean {
  openSource(bytes, viewOf(bytes), 0)
  return isNormalMessage(schema, 0, bytes.length, 0, new DecodeTally())
}

/** Schema, what comes in, its normal form. */
const CASES: readonly [string, MessageSchema, string, string][] = [
  ['fields in ascending order', EVENT, '12016109' + '0100000000000000', '090100000000000000120161'],
  ['defaults left out', EVENT, '0900000000000000001200' + '2000', ''],
  ['the last scalar wins', EVENT, '120161120162', '120162'],
  ['members of a oneof kept', ANY_VALUE, '0a00', '0a00'],
  ['false of a oneof kept', ANY_VALUE, '1000', '1000'],
  ['any true is 1', ANY_VALUE, '10ac02', '1001'],
  ['the last member wins', ANY_VALUE, '0a01611805', '1805'],
  ['shortest varints', ANY_VALUE, '18858000', '1805'],
  ['shortest lengths', ANY_VALUE, '0a818000' + '61', '0a0161'],
  ['an empty array is a value', ANY_VALUE, '2a00', '2a00'],
  [
    'pieces of a map merge',
    ANY_VALUE,
    '32050a030a0161' + '32050a030a0162',
    '320a0a030a01610a030a0162',
  ],
  ['unknown fields dropped', EVENT, '1201617a0102' + '9b3f9c3f', '120161'],
  ['an empty value of a key is none', EVENT, '1a050a01611200', '1a030a0161'],
  ['the last of equal keys wins', EVENT, '1a030a0161' + '1a070a016112021801', '1a070a016112021801'],
  ['an empty resource is none', RESOURCE_PART, '0a00', ''],
  ['an element without a value is kept', ANY_VALUE, '2a020a00', '2a020a00'],
]

for (const [claim, schema, input, output] of CASES) {
  test(`normal form: ${claim}`, () => {
    assert.equal(normalized(schema, input), output)
    assert.equal(isNormal(schema, Buffer.from(input, 'hex')), input === output)
    assert.ok(isNormal(schema, Buffer.from(output, 'hex')))
  })
}

test('a string over the limit is cut between characters and counted', () => {
  const tally = new DecodeTally()
  const head = 'x'.repeat(LIMITS.stringValueBytesMax - 1)
  const value = stringField(1, `${head}é and more`)
  assert.ok(!isNormal(ANY_VALUE, value))
  const { bytes } = normalizeMessage(ANY_VALUE, value, 0, tally)
  assert.deepEqual(Buffer.from(bytes), Buffer.from(stringField(1, head)))
  assert.equal(tally.truncatedStrings, 1)
  assert.ok(isNormal(ANY_VALUE, bytes))
})

test('many keys are compared without comparing all pairs, and the last of equal ones wins', () => {
  const keyValue = (key: string): Uint8Array => bytesField(1, stringField(1, key))
  const distinct = Array.from({ length: 20_000 }, (_, index) => keyValue(`key ${index}`))
  const map = bytesField(6, Buffer.concat(distinct))
  assert.ok(isNormal(ANY_VALUE, map))
  const twice = bytesField(6, Buffer.concat([keyValue('key 7'), ...distinct]))
  assert.ok(!isNormal(ANY_VALUE, twice))
  const tally = new DecodeTally()
  const { bytes } = normalizeMessage(ANY_VALUE, twice, 0, tally)
  assert.equal(tally.duplicateKeys, 1)
  assert.deepEqual(Buffer.from(bytes), Buffer.from(map))
})

test('what the normalizer makes is normal, and normalizing it again changes nothing', () => {
  fuzz((seed) => {
    const body = generateProtobuf('logs', seed, { splitsMessages: true })
    for (const part of parseFields(body) ?? []) {
      if (part.number !== 1 || typeof part.value === 'number') continue
      const first = normalizeMessage(RESOURCE_PART, part.value, 0, new DecodeTally())
      assert.equal(first.reason, Reason.none)
      assert.ok(isNormal(RESOURCE_PART, first.bytes))
      const second = normalizeMessage(RESOURCE_PART, first.bytes, 0, new DecodeTally())
      assert.deepEqual(Buffer.from(second.bytes), Buffer.from(first.bytes))
    }
  })
})
