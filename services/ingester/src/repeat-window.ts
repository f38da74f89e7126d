/**
 * Hashes of the chunks stored lately: a client that resends after a lost answer makes the same
 * chunks again, and those are stored once. A ring in append order with an open-addressing index
 * over it: 28 bytes an entry, no object per chunk.
 *
 * The window forgets by age, and by its bound of entries (counted: past it a late retry would be
 * stored twice). What it holds follows from the log alone, so a restart rebuilds it from the
 * sidecars of the last commits and the replayed frames.
 */
import { slotHash } from '@tributary/common/otlp/chunk-hash'

const HASH_WORDS = 4
const CAPACITY_MIN = 1024

export class RepeatWindow {
  readonly #windowMs: number
  readonly #entriesMax: number
  #capacity = CAPACITY_MIN
  #hashes = new Int32Array(CAPACITY_MIN * HASH_WORDS)
  #timesMs = new Float64Array(CAPACITY_MIN)
  #index = new Int32Array(CAPACITY_MIN * 2).fill(-1)
  #head = 0
  #size = 0
  #evicted = 0

  /** @param entriesMax at least 1,024; memory is 28 bytes an entry */
  constructor(windowMs: number, entriesMax: number) {
    this.#windowMs = windowMs
    this.#entriesMax = Math.max(CAPACITY_MIN, entriesMax)
  }

  get size(): number {
    return this.#size
  }

  /** Entries that the bound pushed out before their time. */
  get evicted(): number {
    return this.#evicted
  }

  /**
   * True if the 16-byte hash at `at` was met within the window before `timeMs`, its append time in
   * Unix milliseconds; any other is remembered from then on. One probe does both: in a window of
   * millions it is the cache misses that cost.
   */
  meet(hashes: Uint8Array, at: number, timeMs: number): boolean {
    this.#expire(timeMs)
    const words = wordsOf(hashes, at)
    const known = this.#find(words)
    if (known >= 0) {
      const isRepeat = timeMs - this.#timesMs[known]! <= this.#windowMs
      // only where clocks went back: what is older than the window has left it
      if (!isRepeat) this.#timesMs[known] = timeMs
      return isRepeat
    }
    if (this.#size === this.#capacity) this.#makeRoom()
    const next = this.#head + this.#size
    const entry = next < this.#capacity ? next : next - this.#capacity
    for (let word = 0; word < HASH_WORDS; word++) {
      this.#hashes[entry * HASH_WORDS + word] = words[word]!
    }
    this.#timesMs[entry] = timeMs
    this.#size++
    this.#place(entry)
    return false
  }

  /** Called when the ring is full: it begins at the head and ends just before it. */
  #makeRoom(): void {
    if (this.#capacity >= this.#entriesMax) {
      this.#removeOldest()
      this.#evicted++
      return
    }
    const capacity = Math.min(this.#capacity * 2, this.#entriesMax)
    const hashes = new Int32Array(capacity * HASH_WORDS)
    const timesMs = new Float64Array(capacity)
    const older = this.#size - this.#head
    hashes.set(this.#hashes.subarray(this.#head * HASH_WORDS))
    hashes.set(this.#hashes.subarray(0, this.#head * HASH_WORDS), older * HASH_WORDS)
    timesMs.set(this.#timesMs.subarray(this.#head))
    timesMs.set(this.#timesMs.subarray(0, this.#head), older)
    this.#capacity = capacity
    this.#hashes = hashes
    this.#timesMs = timesMs
    this.#head = 0
    let slots = 2
    while (slots < capacity * 2) slots *= 2
    this.#index = new Int32Array(slots).fill(-1)
    for (let entry = 0; entry < this.#size; entry++) this.#place(entry)
  }

  #expire(nowMs: number): void {
    while (this.#size > 0 && nowMs - this.#timesMs[this.#head]! > this.#windowMs) {
      this.#removeOldest()
    }
  }

  #removeOldest(): void {
    const mask = this.#index.length - 1
    let hole = this.#slotOf(this.#head) & mask
    while (this.#index[hole] !== this.#head) hole = (hole + 1) & mask
    // Entries behind the hole move up if their own slot lies at or before it, so that no probe stops early.
    for (let slot = (hole + 1) & mask; this.#index[slot]! >= 0; slot = (slot + 1) & mask) {
      const home = this.#slotOf(this.#index[slot]!) & mask
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        this.#index[hole] = this.#index[slot]!
        hole = slot
      }
    }
    this.#index[hole] = -1
    this.#head = (this.#head + 1) % this.#capacity
    this.#size--
  }

  #place(entry: number): void {
    const mask = this.#index.length - 1
    let slot = this.#slotOf(entry) & mask
    while (this.#index[slot]! >= 0) slot = (slot + 1) & mask
    this.#index[slot] = entry
  }

  #slotOf(entry: number): number {
    const at = entry * HASH_WORDS
    return slotHash(this.#hashes[at]!, this.#hashes[at + 1]!)
  }

  #find(words: Int32Array): number {
    const mask = this.#index.length - 1
    let slot = slotHash(words[0]!, words[1]!) & mask
    for (;;) {
      const entry = this.#index[slot]!
      if (entry < 0) return -1
      const at = entry * HASH_WORDS
      if (
        this.#hashes[at] === words[0] &&
        this.#hashes[at + 1] === words[1] &&
        this.#hashes[at + 2] === words[2] &&
        this.#hashes[at + 3] === words[3]
      ) {
        return entry
      }
      slot = (slot + 1) & mask
    }
  }
}

const words = new Int32Array(HASH_WORDS)
const wordBytes = new Uint8Array(words.buffer)

/** The hash at `at` as four words; the array is shared and valid until the next call. */
function wordsOf(hashes: Uint8Array, at: number): Int32Array {
  for (let byte = 0; byte < wordBytes.length; byte++) wordBytes[byte] = hashes[at + byte]!
  return words
}
