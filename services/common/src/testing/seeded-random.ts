/** A small seeded generator (mulberry32): the same seed gives the same sequence on every machine. */
export class SeededRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 32 random bits as an unsigned integer. */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  uint64(): bigint {
    return (BigInt(this.uint32()) << 32n) | BigInt(this.uint32())
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.uint32() / 0x1_0000_0000
  }

  /** An integer in [0, end). */
  below(end: number): number {
    return Math.floor(this.fraction() * end)
  }

  /** True with a chance of `probability`. */
  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  /** One of the choices. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.uint32() & 0xff)
  }

  /** The elements in a new random order. */
  shuffled<T>(elements: readonly T[]): T[] {
    const shuffled = [...elements]
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = this.below(last + 1)
      const kept = shuffled[last]!
      shuffled[last] = shuffled[other]!
      shuffled[other] = kept
    }
    return shuffled
  }
}

/** The fractions of a generator, one per call. */
export function randomSource(seed: number): () => number {
  const random = new SeededRandom(seed)
  return () => random.fraction()
}
