import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '../../src/errors.ts'
import { transcodeJson, transcodeJsonInSlices } from '../../src/otlp/json-transcoder.ts'
import { SIGNAL_NAMES, Signal } from '../../src/signal.ts'
import { fuzz } from '../../src/testing/fuzz-run.ts'
import {
  canonicalizeModels,
  canonicalizeProtobuf,
  compareCanonical,
} from '../../src/testing/otlp-canonical.ts'
import { generateJson, generateRequest } from '../../src/testing/otlp-generator.ts'
import { exportRequest } from '../../src/testing/otlp-messages.ts'
import { decodeModel } from '../../src/testing/otlp-model.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

/** Pieces that mean something to a JSON reader, to be put anywhere. */
const PIECES = [
  '"',
  '\\',
  '\\u',
  '\\ud800',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  'null',
  'true',
  'false',
  'NaN',
  '-',
  '0',
  '.',
  'e',
  'E+',
  '1e999',
  '18446744073709551616',
  '"intValue":',
  '"stringValue":',
  '"key":',
  '{"key":"","value":{}}',
  ' ',
  '\n',
  '\u0000',
  '\ufeff',
  '=',
  '"values":[',
].map((piece) => Buffer.from(piece))

function damaged(text: Uint8Array, random: SeededRandom): Uint8Array {
  let bytes = Buffer.from(text)
  for (let count = 1 + random.below(3); count > 0; count--) {
    const at = random.below(bytes.length + 1)
    const head = bytes.subarray(0, at)
    switch (random.below(4)) {
      case 0:
        bytes = Buffer.concat([head, random.pick(PIECES), bytes.subarray(at)])
        break
      case 1:
        bytes = Buffer.concat([head, random.pick(PIECES), bytes.subarray(at + random.below(10))])
        break
      case 2:
        bytes = Buffer.concat([head, random.bytes(1), bytes.subarray(at + 1)])
        break
      default:
        bytes = Buffer.concat([head, bytes.subarray(at + random.below(20))])
    }
  }
  return random.chance(0.1) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes
}

function isJson(text: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8').decode(text))
    return true
  } catch {
    return false
  }
}

function transcodeOrRefuse(signal: Signal, text: Uint8Array): Uint8Array | undefined {
  try {
    return transcodeJson(signal, text)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    assert.equal(error.code, 'malformed_body')
    assert.equal(typeof error.details['offset'], 'number')
    return undefined
  }
}

function inSlices(signal: Signal, text: Uint8Array, sliceBytes: number): Uint8Array | undefined {
  try {
    const slices = transcodeJsonInSlices(signal, text, { sliceBytes })
    for (;;) {
      const slice = slices.next()
      if (slice.done === true) return slice.value
    }
  } catch (error) {
    assert.ok(error instanceof AppError, String(error))
    return undefined
  }
}

describe('the JSON transcoder under fuzz', () => {
  for (const signal of SIGNAL_NAMES) {
    const { type } = exportRequest(signal)

    it(`keeps every value of generated ${signal}`, () => {
      fuzz((seed) => {
        const rules = { hasPlainNan: true }
        const expected = canonicalizeModels(signal, [generateRequest(signal, seed)], rules)
        const bytes = transcodeJson(Signal[signal], generateJson(signal, seed))
        const actual = canonicalizeProtobuf(signal, [bytes], rules)
        assert.deepEqual(compareCanonical(expected.items, actual.items), [])
        assert.equal(actual.rejectedItems, expected.rejectedItems)
      })
    })

    it(`takes damaged ${signal} only where they are still JSON, and then makes sound protobuf`, () => {
      fuzz((seed) => {
        const random = new SeededRandom(seed)
        const text = damaged(generateJson(signal, random.uint32()), random)
        const bytes = transcodeOrRefuse(Signal[signal], text)
        const sliced = inSlices(Signal[signal], text, 1 + random.below(500))
        assert.deepEqual(sliced === undefined, bytes === undefined)
        if (bytes === undefined) return
        assert.deepEqual(Buffer.from(sliced!), Buffer.from(bytes))
        assert.ok(isJson(text), Buffer.from(text).toString())
        decodeModel(type, bytes)
      })
    })
  }

  it('takes time linear in its input, whatever is nested or repeated', () => {
    const shapes: ((count: number) => string)[] = [
      (count) => `{"a":"${'\\u0041'.repeat(count)}"}`,
      (count) => `{"resourceLogs":[${'{},'.repeat(count)}{}]}`,
      (count) => `{"resourceLogs":[${'{"schemaUrl":"x"},'.repeat(count)}{}]}`,
      (count) => `{${'"a":1,'.repeat(count)}"b":2}`,
      (count) => `{"a":[${'[[]],'.repeat(count)}1]}`,
      (count) => `{"resourceLogs":[{"schemaUrl":"${'x'.repeat(count)}"}]}`,
      (count) => `{"a":${'9'.repeat(count)}}`,
      (count) => `${' '.repeat(count)}{}`,
      (count) => `{"a":${'['.repeat(count)}`,
    ]
    // a quadratic reader would need a quarter of an hour for one of these
    for (const shape of shapes) {
      transcodeOrRefuse(Signal.logs, Buffer.from(shape(1_000_000)))
    }
  })
})
