/** Values that break decoders: the leaves of generated requests, as model values. */
import type { Model, ModelValue } from './otlp-model.ts'
import { doubleBits } from './otlp-model.ts'
import type { SeededRandom } from './seeded-random.ts'

export interface OddValueOptions {
  readonly depthMax: number
  readonly hasInvalidUtf8: boolean
  readonly timeMaxUnixNano: bigint
}

const TEXTS: readonly string[] = [
  '',
  ' ',
  'a',
  'GET /index.html',
  'null',
  '0',
  'quote " backslash \\ slash / tick \'',
  'line\nfeed\r\ttab\b\f',
  '\u0000',
  'nul\u0000inside',
  '\u0001\u001f\u007f\u0080',
  'é',
  '汉字',
  '\u2028\u2029\ufeff',
  '😀',
  '𝒳𝒴 and 🏳️‍🌈',
  '\u{10ffff}\ufffd\uffff',
  'x'.repeat(63),
  'y'.repeat(64),
  'long '.repeat(60),
  '{"json":true}',
]

const KEYS: readonly string[] = [
  'service.name',
  'http.method',
  'Http.Method',
  'HTTP.METHOD',
  'http_method',
  'code',
  'code@int',
  'code@string',
  '@bytes',
  '@double',
  '@map',
  '@',
  '_overflow',
  '_',
  '__proto__',
  'constructor',
  'toString',
  '',
  ' ',
  '.',
  'a.b.c',
  'a..b',
  'dotted.',
  'ключ',
  'ΣΑΣ',
  'σας',
  'ß',
  '😀.emoji',
  'new\nline',
  'nul\u0000',
  'quote"d',
  'per%cent',
  'per%25cent',
  'timestamp',
  'body',
  '\u007f\u0085',
  'k'.repeat(120),
]

/** Bytes that are not UTF-8: lone continuation, cut sequences, overlong, surrogate, too large. */
const INVALID_TEXTS: readonly Uint8Array[] = [
  [0x80],
  [0xff],
  [0x61, 0xc3],
  [0xc3, 0x28, 0x62],
  [0xe2, 0x82],
  [0xe2, 0x28, 0xa1],
  [0xf0, 0x9f, 0x98],
  [0xf0, 0x9f, 0x98, 0x41],
  [0xc0, 0xaf],
  [0xe0, 0x80, 0xaf],
  [0xed, 0xa0, 0x80],
  [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xf8, 0x88, 0x80, 0x80, 0x80],
  [0x61, 0xfe, 0x62, 0xff, 0x63],
].map((bytes) => Uint8Array.from(bytes))

const INT64S: readonly bigint[] = [
  0n,
  1n,
  -1n,
  127n,
  128n,
  255n,
  2n ** 31n,
  -(2n ** 31n) - 1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 53n + 1n,
  -(2n ** 53n) - 1n,
  10n ** 18n,
  2n ** 63n - 1n,
  -(2n ** 63n),
]

/** Bits of doubles: zeros, limits, subnormals, infinities and NaNs of several payloads. */
const DOUBLES: readonly bigint[] = [
  ...[0, -0, 1, -1, 0.1, 1.5, -2.75, 5e-324, 2.2250738585072014e-308, Number.MAX_VALUE].map(
    doubleBits,
  ),
  ...[2 ** 53, 2 ** 53 + 2, 1e21, 1e22, 123456789.125, -1e-7, Infinity, -Infinity].map(doubleBits),
  0x7ff8_0000_0000_0000n,
  0x7ff8_0000_0000_0001n,
  0xfff8_0000_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  0xfff8_dead_beef_0042n,
]

const TIMES: readonly bigint[] = [
  0n,
  1n,
  999n,
  1000n,
  1_700_000_000_000_000_000n,
  1_700_000_000_123_456_789n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
]

const UINT32S: readonly number[] = [
  0,
  1,
  127,
  128,
  256,
  769,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
]

export class OddValues {
  readonly #random: SeededRandom
  readonly #options: OddValueOptions

  constructor(random: SeededRandom, options: OddValueOptions) {
    this.#random = random
    this.#options = options
  }

  text(): string | Uint8Array {
    const random = this.#random
    if (this.#options.hasInvalidUtf8 && random.chance(0.05)) return random.pick(INVALID_TEXTS)
    if (random.chance(0.7)) return random.pick(TEXTS)
    return `text ${random.uint32()}`
  }

  key(): string | Uint8Array {
    const random = this.#random
    if (this.#options.hasInvalidUtf8 && random.chance(0.02)) return random.pick(INVALID_TEXTS)
    return random.pick(KEYS)
  }

  bytes(): Uint8Array {
    const random = this.#random
    return random.bytes(random.pick([0, 1, 2, 3, 4, 16, 40, 300]))
  }

  int64(): bigint {
    const random = this.#random
    if (random.chance(0.6)) return random.pick(INT64S)
    return BigInt.asIntN(64, random.uint64() >> BigInt(random.below(64)))
  }

  uint64(): bigint {
    return BigInt.asUintN(64, this.int64())
  }

  int32(): number {
    const random = this.#random
    return random.chance(0.5)
      ? random.pick([0, 1, -1, 20, -10, 2 ** 31 - 1, -(2 ** 31)])
      : random.uint32() | 0
  }

  uint32(): number {
    const random = this.#random
    return random.chance(0.8) ? random.pick(UINT32S) : random.uint32()
  }

  /** Enums are open: numbers without a name are kept too. */
  enumNumber(last: number): number {
    const random = this.#random
    return random.chance(0.9)
      ? random.below(last + 1)
      : random.pick([last + 1, 1000, -1, 2 ** 31 - 1])
  }

  double(): bigint {
    const random = this.#random
    if (random.chance(0.6)) return random.pick(DOUBLES)
    const value = (random.fraction() - 0.5) * 10 ** random.below(20)
    return doubleBits(value)
  }

  time(): bigint {
    const random = this.#random
    const time = random.chance(0.4)
      ? random.pick(TIMES)
      : 1_750_000_000_000_000_000n + BigInt(random.below(4 * 3600)) * 1_000_000_001n
    return time > this.#options.timeMaxUnixNano ? this.#options.timeMaxUnixNano : time
  }

  attributes(): Model[] {
    const random = this.#random
    const count = random.chance(0.02) ? 60 : random.below(7)
    return this.#keyValues(count, 0)
  }

  #keyValues(count: number, depth: number): Model[] {
    const random = this.#random
    const entries = Array.from({ length: count }, () => {
      const entry: Model = {}
      if (!random.chance(0.02)) entry['key'] = this.key()
      if (!random.chance(0.05)) entry['value'] = this.anyValue(depth)
      return entry
    })
    const first = entries[0]
    // a duplicate on purpose, often of another type
    if (first?.['key'] !== undefined && random.chance(0.1)) {
      entries.push({ key: first['key'], value: this.anyValue(depth) })
    }
    return entries
  }

  anyValue(depth: number): Model {
    const random = this.#random
    const isLeaf = depth >= this.#options.depthMax
    switch (random.below(isLeaf ? 7 : 9)) {
      case 0:
        return {}
      case 1:
        return { boolValue: random.chance(0.5) }
      case 2:
        return { intValue: this.int64() }
      case 3:
        return { doubleValue: this.double() }
      case 4:
        return { bytesValue: this.bytes() }
      case 5:
      case 6:
        return { stringValue: this.text() }
      case 7: {
        const values: ModelValue[] = []
        for (let count = random.below(4); count > 0; count--) values.push(this.anyValue(depth + 1))
        return { arrayValue: random.chance(0.1) ? {} : { values } }
      }
      default:
        return { kvlistValue: { values: this.#keyValues(random.below(4), depth + 1) } }
    }
  }
}
