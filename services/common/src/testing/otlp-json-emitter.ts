/** OTLP/JSON text of models, in every form that the JSON mapping allows; `random` chooses. */
import type { Field, Type } from 'protobufjs'

import type { Model, ModelValue } from './otlp-model.ts'
import { doubleOfBits, messageTypeOf } from './otlp-model.ts'
import type { SeededRandom } from './seeded-random.ts'

const HEX_FIELDS: ReadonlySet<string> = new Set(['traceId', 'spanId', 'parentSpanId'])

/** Collects text and raw bytes: strings may hold bytes that are not UTF-8. */
class TextParts {
  readonly parts: Uint8Array[] = []

  add(text: string | Uint8Array): void {
    this.parts.push(typeof text === 'string' ? Buffer.from(text) : text)
  }
}

/** UTF-8 text of a model; without `random` the plainest form. */
export function encodeModelJson(type: Type, model: Model, random?: SeededRandom): Uint8Array {
  const out = new TextParts()
  const emitter = new JsonEmitter(out, random)
  emitter.space()
  emitter.message(type, model)
  emitter.space()
  return Buffer.concat(out.parts)
}

class JsonEmitter {
  readonly #out: TextParts
  readonly #random: SeededRandom | undefined

  constructor(out: TextParts, random: SeededRandom | undefined) {
    this.#out = out
    this.#random = random
  }

  #chance(probability: number): boolean {
    return this.#random?.chance(probability) ?? false
  }

  space(): void {
    if (this.#chance(0.05)) this.#out.add(this.#random!.pick([' ', '\n', '\t', '\r\n  ']))
  }

  message(type: Type, model: Model): void {
    let fields = type.fieldsArray.filter((field) => model[field.name] !== undefined)
    if (this.#chance(0.3)) fields = this.#random!.shuffled(fields)
    let count = 0
    const separate = (): void => {
      if (count++ > 0) this.#out.add(',')
      this.space()
    }
    this.#out.add('{')
    for (const field of fields) {
      if (this.#chance(0.03)) {
        separate()
        this.#unknownMember(type)
      }
      separate()
      this.#name(field.name)
      this.space()
      this.#out.add(':')
      this.space()
      this.#fieldValue(field, model[field.name]!)
      this.space()
    }
    const absent = type.fieldsArray.filter((field) => model[field.name] === undefined)
    if (absent.length > 0 && this.#chance(0.05)) {
      separate()
      this.#name(this.#random!.pick(absent).name)
      this.#out.add(': null')
    }
    this.#out.add('}')
  }

  /** A member that no OTLP version knows, or a known one in snake_case, which is unknown too. */
  #unknownMember(type: Type): void {
    const random = this.#random!
    const field = random.pick(type.fieldsArray)
    const snakeCase = field.name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    const name = snakeCase !== field.name && random.chance(0.5) ? snakeCase : 'futureField'
    this.#out.add(`${JSON.stringify(name)}:`)
    this.#out.add(
      random.pick([
        'null',
        'true',
        '-1.5e+3',
        '"text \\" \\u0041 }]"',
        '[1,[2,{"a":[]}],"]"]',
        '{"resource":{"x":"}"},"b":[null,false]}',
      ]),
    )
  }

  #name(name: string): void {
    if (this.#chance(0.02)) {
      const escaped = [...name].map(
        (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
      )
      this.#out.add(`"${escaped.join('')}"`)
    } else this.#out.add(`"${name}"`)
  }

  #fieldValue(field: Field, value: ModelValue): void {
    if (!field.repeated) {
      this.#singular(field, value)
      return
    }
    this.#out.add('[')
    ;(value as readonly ModelValue[]).forEach((element, index) => {
      if (index > 0) this.#out.add(',')
      this.space()
      this.#singular(field, element)
    })
    this.space()
    this.#out.add(']')
  }

  #singular(field: Field, value: ModelValue): void {
    const messageType = messageTypeOf(field)
    if (messageType !== undefined) this.message(messageType, value as Model)
    else if (field.type === 'string') this.#string(value as string | Uint8Array)
    else if (value instanceof Uint8Array) this.#bytes(field.name, value)
    else if (typeof value === 'boolean') this.#out.add(String(value))
    else if (field.type === 'double') this.#double(value as bigint)
    else this.#integer(field, value as bigint | number)
  }

  #string(value: string | Uint8Array): void {
    if (typeof value !== 'string') {
      // these bytes hold nothing that JSON would have to escape
      this.#out.add('"')
      this.#out.add(value)
      this.#out.add('"')
      return
    }
    if (!this.#chance(0.2)) {
      this.#out.add(JSON.stringify(value))
      return
    }
    const random = this.#random!
    const units = Array.from({ length: value.length }, (_, index) => value.charCodeAt(index))
    let text = ''
    for (let index = 0; index < units.length; index++) {
      const unit = units[index]!
      const isPair = unit >= 0xd800 && unit < 0xdc00
      const escapes = random.chance(0.5)
      const escape = (code: number): string => {
        const digits = code.toString(16).padStart(4, '0')
        return `\\u${random.chance(0.5) ? digits.toUpperCase() : digits}`
      }
      if (unit === 0x2f && escapes) text += '\\/'
      else if (isPair && escapes) text += escape(unit) + escape(units[++index]!)
      else if (isPair) text += value.slice(index, ++index + 1)
      else if (escapes) text += escape(unit)
      else text += JSON.stringify(value[index]).slice(1, -1)
    }
    this.#out.add(`"${text}"`)
  }

  #bytes(name: string, value: Uint8Array): void {
    const buffer = Buffer.from(value)
    if (HEX_FIELDS.has(name)) {
      const hex = buffer.toString('hex')
      this.#out.add(`"${this.#chance(0.3) ? hex.toUpperCase() : hex}"`)
      return
    }
    let text = buffer.toString('base64')
    if (this.#chance(0.3)) text = text.replaceAll('+', '-').replaceAll('/', '_')
    if (this.#chance(0.3)) text = text.replaceAll('=', '')
    this.#out.add(`"${text}"`)
  }

  #integer(field: Field, value: bigint | number): void {
    const { resolvedType } = field
    if (resolvedType !== null && 'valuesById' in resolvedType) {
      const name = resolvedType.valuesById[Number(value)]
      this.#out.add(name !== undefined && this.#chance(0.3) ? `"${name}"` : String(value))
      return
    }
    let text = String(value)
    if (this.#chance(0.05) && /^-?[1-9]0+$/.test(text)) {
      text = `${text.replace(/0+$/, '')}${this.#random!.pick(['e', 'E', 'e+'])}${text.match(/0+$/)![0].length}`
    } else if (this.#chance(0.02)) text += '.0'
    const isString = typeof value === 'bigint' ? !this.#chance(0.3) : this.#chance(0.1)
    this.#out.add(isString ? `"${text}"` : text)
  }

  #double(bits: bigint): void {
    const value = doubleOfBits(bits)
    if (!Number.isFinite(value)) {
      this.#out.add(`"${value}"`)
      return
    }
    let text = Object.is(value, -0) ? '-0' : String(value)
    if (this.#chance(0.1)) text = Object.is(value, -0) ? '-0.0' : value.toExponential()
    this.#out.add(this.#chance(0.1) ? `"${text}"` : text)
  }
}
