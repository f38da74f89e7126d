/** The file's bytes in order: small pieces gathered, handed on in buffers that are never reused. */

/** Large enough that a sink's own cost per call is nothing beside the bytes. */
const CHUNK_BYTES = 256 * 1024

export class ByteSink {
  position = 0
  readonly #sink: (bytes: Uint8Array) => void
  #chunk = new Uint8Array(CHUNK_BYTES)
  #length = 0

  constructor(sink: (bytes: Uint8Array) => void) {
    this.#sink = sink
  }

  append(bytes: Uint8Array): void {
    this.position += bytes.length
    if (this.#length + bytes.length > CHUNK_BYTES) {
      this.flush()
      if (bytes.length >= CHUNK_BYTES) {
        // a copy: the caller's bytes may be a reused page
        this.#sink(bytes.slice())
        return
      }
    }
    this.#chunk.set(bytes, this.#length)
    this.#length += bytes.length
  }

  flush(): void {
    if (this.#length === 0) return
    const full = this.#chunk.subarray(0, this.#length)
    this.#chunk = new Uint8Array(CHUNK_BYTES)
    this.#length = 0
    this.#sink(full)
  }
}
