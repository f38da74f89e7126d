/**
 * The hash by which chunks of equal content are known: XXH3 with 128 bits, in a wasm module of a few
 * hundred bytes. It runs at 7 GB/s and 0.1 us for a small chunk where sha256 takes 2 GB/s and half a
 * microsecond for the call alone, which was a sixth of decoding logs and more of requests of many
 * resources.
 *
 * It is not a cryptographic hash, and need not be one: only chunks of one tenant can be equal (its
 * name is part of what is hashed), and to have a chunk of somebody else dropped one would have to
 * know all of its bytes, ids and times among them, before it is sent. Two that differ by accident
 * are equal once in 2^128.
 *
 * What is hashed: u32 length | bytes | zeros up to 256 where it is shorter, so that one form of
 * XXH3 serves for all. The module's memory holds one input at a time, from INPUT_AT on.
 */
import { randomInt } from 'node:crypto'
import { copyBytes } from '../columnar/byte-kernels.ts'
import { CHUNK_HASH_BYTES } from '../columnar/chunk-list.ts'
import { CHUNK_HASH_KERNELS_BASE64 } from './chunk-hash-kernels.ts'

const RESULT_AT = 192
const INPUT_AT = 256
const CONTENT_AT = INPUT_AT + 4
const INPUT_BYTES_MIN = 256
const WASM_PAGE_BYTES = 64 * 1024
/** Items of up to a whole request are hashed in one go; after more than this memory is given back. */
const RETAINED_BYTES_MAX = 4 * 1024 * 1024

interface Kernels {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  hash(byteCount: number): void
}

/** As much of the global as is used here: its declarations come with the DOM's only. */
interface WasmEngine {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: Kernels }
}

const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WasmEngine }

const compiled = new WebAssembly.Module(Buffer.from(CHUNK_HASH_KERNELS_BASE64, 'base64'))

/** An instance of the module with views of its memory. */
class HashMemory {
  readonly kernels = new WebAssembly.Instance(compiled).exports
  bytes = new Uint8Array(this.kernels.memory.buffer)
  view = new DataView(this.kernels.memory.buffer)
  result = new Int32Array(this.kernels.memory.buffer, RESULT_AT, CHUNK_HASH_BYTES / 4)

  reserve(byteCount: number): void {
    const missing = byteCount - this.bytes.length
    if (missing <= 0) return
    const { memory } = this.kernels
    memory.grow(Math.ceil(missing / WASM_PAGE_BYTES))
    this.bytes = new Uint8Array(memory.buffer)
    this.view = new DataView(memory.buffer)
    this.result = new Int32Array(memory.buffer, RESULT_AT, CHUNK_HASH_BYTES / 4)
  }
}

let memory = new HashMemory()

/** The hash that `hashRange` made last, as words and as bytes. */
export const digestWords = new Int32Array(CHUNK_HASH_BYTES / 4)
export const digestBytes = new Uint8Array(digestWords.buffer)

/** Hashes the bytes [start, end) of a buffer with its view; the result is in `digestWords`. */
export function hashRange(bytes: Uint8Array, view: DataView, start: number, end: number): void {
  const byteCount = end - start
  const inputEnd = CONTENT_AT + byteCount
  memory.reserve(Math.max(inputEnd, INPUT_AT + INPUT_BYTES_MIN))
  memory.view.setUint32(INPUT_AT, byteCount, true)
  copyBytes(bytes, view, start, end, memory.bytes, memory.view, CONTENT_AT)
  const fillEnd = INPUT_AT + INPUT_BYTES_MIN
  for (let at = inputEnd; at < fillEnd; at++) memory.bytes[at] = 0
  memory.kernels.hash(Math.max(inputEnd - INPUT_AT, INPUT_BYTES_MIN))
  const { result } = memory
  for (let word = 0; word < digestWords.length; word++) digestWords[word] = result[word]!
  if (memory.bytes.length > RETAINED_BYTES_MAX) memory = new HashMemory()
}

const WORDS = CHUNK_HASH_BYTES / 4
const SLOTS_MIN = 64
/** Drawn per process: chunks can be made whose hashes share words, so slots come from a secret. */
const SEED = randomInt(2 ** 32) | 0

/** A number to choose the slot of a hash in a table in memory; never equal between processes. */
export function slotHash(first: number, second: number): number {
  let hash = Math.imul(first ^ SEED, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 15) ^ second, 0x85ebca6b)
  return hash ^ (hash >>> 13)
}

/** How often each hash has come. */
export class DigestCounts {
  #size = 0
  #words = new Int32Array((WORDS * SLOTS_MIN) / 2)
  #counts = new Int32Array(SLOTS_MIN / 2)
  /** Place in the lists + 1, 0 where free. */
  #slots = new Int32Array(SLOTS_MIN)

  /** Forgets all, and keeps its memory. */
  clear(): void {
    this.#size = 0
    this.#slots.fill(0)
  }

  /** Counts `words` once more; returns how often it had come before. */
  add(words: Int32Array): number {
    const mask = this.#slots.length - 1
    let slot = slotHash(words[0]!, words[1]!) & mask
    for (;;) {
      const index = this.#slots[slot]! - 1
      if (index < 0) break
      if (this.#isAt(index, words)) return this.#counts[index]!++
      slot = (slot + 1) & mask
    }
    if (this.#size === this.#counts.length) this.#grow()
    this.#words.set(words, WORDS * this.#size)
    this.#counts[this.#size] = 1
    this.#insert(this.#size++)
    return 0
  }

  #isAt(index: number, words: Int32Array): boolean {
    for (let word = 0; word < WORDS; word++) {
      if (this.#words[WORDS * index + word] !== words[word]) return false
    }
    return true
  }

  #insert(index: number): void {
    const mask = this.#slots.length - 1
    let slot = slotHash(this.#words[WORDS * index]!, this.#words[WORDS * index + 1]!) & mask
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
    this.#slots[slot] = index + 1
  }

  #grow(): void {
    const words = new Int32Array(this.#words.length * 2)
    words.set(this.#words)
    const counts = new Int32Array(this.#counts.length * 2)
    counts.set(this.#counts)
    this.#words = words
    this.#counts = counts
    this.#slots = new Int32Array(this.#slots.length * 2)
    for (let index = 0; index < this.#size; index++) this.#insert(index)
  }
}
