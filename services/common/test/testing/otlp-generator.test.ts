import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { Type } from 'protobufjs'

import { SIGNAL_NAMES } from '../../src/signal.ts'
import {
  canonicalizeModels,
  canonicalizeProtobuf,
  compareCanonical,
} from '../../src/testing/otlp-canonical.ts'
import {
  generateJson,
  generateProtobuf,
  generateRequest,
} from '../../src/testing/otlp-generator.ts'
import { exportRequest } from '../../src/testing/otlp-messages.ts'
import type { Model, ModelValue } from '../../src/testing/otlp-model.ts'
import { encodeModel, messageTypeOf } from '../../src/testing/otlp-model.ts'

const COUNT = 150

function seeds(): number[] {
  return Array.from({ length: COUNT }, (_, seed) => seed)
}

function collectFields(type: Type, model: Model, seen: Set<string>): void {
  for (const [member, value] of Object.entries(model)) {
    const field = type.fields[member]
    assert.ok(field, `${type.name} has no field ${member}`)
    seen.add(`${type.name}.${member}`)
    const child = messageTypeOf(field)
    if (child === undefined) continue
    const children = (field.repeated ? value : [value]) as readonly ModelValue[]
    for (const each of children) collectFields(child, each as Model, seen)
  }
}

function allFields(type: Type, into = new Map<string, Type>()): Map<string, Type> {
  if (into.has(type.name)) return into
  into.set(type.name, type)
  for (const field of type.fieldsArray) {
    const child = messageTypeOf(field)
    if (child !== undefined) allFields(child, into)
  }
  return into
}

describe('the OTLP generator', () => {
  for (const signal of SIGNAL_NAMES) {
    const { type } = exportRequest(signal)

    it(`fills every field of ${signal}`, () => {
      const seen = new Set<string>()
      for (const seed of seeds()) collectFields(type, generateRequest(signal, seed), seen)
      const missing = [...allFields(type).values()].flatMap((each) =>
        each.fieldsArray
          .map((field) => `${each.name}.${field.name}`)
          .filter((name) => !seen.has(name)),
      )
      assert.deepEqual(missing, [])
    })

    it(`gives the same ${signal} for the same seed`, () => {
      assert.deepEqual(generateProtobuf(signal, 7), generateProtobuf(signal, 7))
      assert.deepEqual(generateJson(signal, 7), generateJson(signal, 7))
    })

    it(`sends the same ${signal} in plain, odd and split protobuf`, () => {
      for (const seed of seeds()) {
        const model = generateRequest(signal, seed)
        const expected = canonicalizeModels(signal, [model])
        const encodings = [
          encodeModel(type, model),
          generateProtobuf(signal, seed),
          generateProtobuf(signal, seed, { splitsMessages: true }),
        ]
        for (const bytes of encodings) {
          assert.deepEqual(canonicalizeProtobuf(signal, [bytes]), expected, `seed ${seed}`)
        }
      }
    })

    it(`sends ${signal} that protobufjs understands in the same way`, () => {
      for (const seed of seeds()) {
        const options = { hasInvalidUtf8: false }
        // protobufjs keeps doubles as numbers, which lose the payload of a NaN
        const rules = { hasPlainNan: true }
        const expected = canonicalizeModels(signal, [generateRequest(signal, seed, options)], rules)
        const bytes = generateProtobuf(signal, seed, { ...options, splitsMessages: true })
        const again = type.encode(type.decode(bytes)).finish()
        const actual = canonicalizeProtobuf(signal, [again], rules)
        assert.deepEqual(compareCanonical(expected.items, actual.items), [], `seed ${seed}`)
      }
    })

    it(`sends ${signal} as JSON that JSON.parse reads`, () => {
      for (const seed of seeds()) {
        const text = Buffer.from(generateJson(signal, seed)).toString()
        assert.equal(typeof JSON.parse(text), 'object', `seed ${seed}`)
      }
    })
  }
})
