import { hash } from 'node:crypto'

import type { ChunkRoute } from '../../src/otlp/chunk-route.ts'

/**
 * Routes by nothing but hashes: every stream to one partition or, where the hash of its resource is
 * even, each of its chunks to one. Knows the streams that it was told, and forgets some.
 */
export class HashRoute implements ChunkRoute {
  isSpread = false
  isTimed = false
  readonly #partitions: number
  readonly #known = new Map<number, number>()

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  find(view: DataView, length: number, hashOfResource: number): number {
    const known = this.#known.get(hashOfResource)
    if (known === undefined) return -1
    return this.#enter(digest(new Uint8Array(view.buffer, view.byteOffset, length)))
  }

  add(bytes: Uint8Array, _view: DataView, length: number, hashOfResource: number): number {
    const stream = digest(bytes.subarray(0, length))
    if (stream % 3 > 0) this.#known.set(hashOfResource, stream)
    return this.#enter(stream)
  }

  chunk(body: Uint8Array, from: number, end: number, ordinal: number): number {
    return (digest(body.subarray(from, end)) + ordinal) % this.#partitions
  }

  #enter(stream: number): number {
    this.isSpread = stream % 2 === 0
    return stream % this.#partitions
  }
}

function digest(bytes: Uint8Array): number {
  return hash('sha256', bytes, 'buffer').readUInt32LE(0)
}
