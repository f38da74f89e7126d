import type { ErrorCode } from '../errors.ts'
import { AppError } from '../errors.ts'
import { parseOffset } from '../paths.ts'

type Members = Readonly<Record<string, unknown>>

/**
 * Reads the members of a JSON object from the store, each with its type and bound; every
 * disagreement is one AppError that names the member.
 */
export class JsonReader {
  readonly #members: Members
  readonly #code: ErrorCode

  private constructor(members: Members, code: ErrorCode) {
    this.#members = members
    this.#code = code
  }

  /** @throws AppError of the given code unless the bytes are one JSON object in UTF-8 */
  static parse(bytes: Uint8Array, bytesMax: number, code: ErrorCode): JsonReader {
    if (bytes.length > bytesMax) {
      throw new AppError(code, 'document is too large', {
        details: { bytes: bytes.length, bytesMax },
      })
    }
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
      return JsonReader.#of(JSON.parse(text), code)
    } catch (error) {
      if (error instanceof AppError) throw error
      throw new AppError(code, 'document is not JSON', { cause: error })
    }
  }

  static #of(value: unknown, code: ErrorCode): JsonReader {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return new JsonReader(value as Members, code)
    }
    throw new AppError(code, 'document is not a JSON object')
  }

  names(countMax: number): string[] {
    const names = Object.keys(this.#members)
    if (names.length > countMax) throw this.problem('object', `has over ${countMax} members`)
    return names
  }

  /** Whether the member is there at all. */
  has(name: string): boolean {
    return this.#member(name) !== undefined
  }

  integer(name: string, min: number, max: number): number {
    const value = this.#member(name)
    if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) {
      // JSON has a -0; a count has none
      return (value as number) + 0
    }
    throw this.problem(name, `is no integer of ${min} to ${max}`)
  }

  text(name: string, lengthMax: number): string {
    const value = this.#member(name)
    if (typeof value === 'string' && value.length <= lengthMax) return value
    throw this.problem(name, `is no text of at most ${lengthMax} characters`)
  }

  matching(name: string, pattern: RegExp): string {
    const value = this.#member(name)
    if (typeof value === 'string' && pattern.test(value)) return value
    throw this.problem(name, `does not match ${pattern.source}`)
  }

  oneOf<Word extends string>(name: string, words: readonly Word[]): Word {
    const value = this.#member(name)
    const word = words.find((candidate) => candidate === value)
    if (word === undefined) throw this.problem(name, `is none of ${words.join(', ')}`)
    return word
  }

  /** A decimal offset, as text. */
  offset(name: string): string {
    const value = this.#member(name)
    if (parseOffset(value) === undefined) throw this.problem(name, 'is no offset')
    return value as string
  }

  isNull(name: string): boolean {
    return this.#member(name) === null
  }

  object(name: string): JsonReader {
    return JsonReader.#of(this.#member(name), this.#code)
  }

  list(name: string, countMax: number): JsonReader[] {
    const value = this.#member(name)
    if (!Array.isArray(value) || value.length > countMax) {
      throw this.problem(name, `is no list of at most ${countMax}`)
    }
    return value.map((element) => JsonReader.#of(element, this.#code))
  }

  texts(name: string, countMax: number, lengthMax: number): string[] {
    const value = this.#member(name)
    const isList =
      Array.isArray(value) &&
      value.length <= countMax &&
      value.every((text) => typeof text === 'string' && text.length <= lengthMax)
    if (isList) return value as string[]
    throw this.problem(name, `is no list of at most ${countMax} texts`)
  }

  integers(name: string, countMax: number, min: number, max: number): number[] {
    const value = this.#member(name)
    if (!Array.isArray(value) || value.length > countMax) {
      throw this.problem(name, `is no list of at most ${countMax}`)
    }
    return value.map((element: unknown) => {
      if (
        Number.isSafeInteger(element) &&
        (element as number) >= min &&
        (element as number) <= max
      ) {
        return (element as number) + 0
      }
      throw this.problem(name, `holds what is no integer of ${min} to ${max}`)
    })
  }

  problem(name: string, problem: string): AppError {
    return new AppError(this.#code, `${name} ${problem}`)
  }

  #member(name: string): unknown {
    return Object.hasOwn(this.#members, name) ? this.#members[name] : undefined
  }
}
