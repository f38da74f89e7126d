/**
 * Cuts the items of one request into chunks and hashes them. A chunk is a run of items of one
 * Resource* message, at most `chunkBytesMax` of OTLP and `CHUNK_ITEMS_MAX` items (a larger item is
 * a chunk of its own). Boundaries and hashes are a function of the tenant, the signal and the bytes
 * of that Resource* message alone, so that a retry makes the same chunks in whatever batch it ends.
 *
 *     items     = the bytes from the first item to the last where they are less than 2 KiB, else
 *                 their hash
 *     segment   = varint(scope length) scope varint(length of the bytes) items
 *     content   = hash(signal varint(tenant length) tenant varint(resource length) resource
 *                      [metric that the chunk begins within] segment... [metric that it ends within])
 *     chunk     = content, or, for the k-th equal content of the request (k from 1),
 *                 hash(content varint(k))
 */
import type { BatchBuilder } from '../columnar/batch-builder.ts'
import type { ByteDictionary } from '../columnar/byte-dictionary.ts'
import type { Signal } from '../signal.ts'
import { LIMITS } from '../limits.ts'
import { DigestCounts, digestBytes, digestWords, hashRange } from './chunk-hash.ts'
import { ProtobufWriter } from './protobuf-writer.ts'

/** Keeps the rows of a chunk of tiny items well below those of a batch. */
export const CHUNK_ITEMS_MAX = 4096

/** Below, hashing the bytes on their own costs more than copying them once more. */
const HASHED_BYTES_MIN = 2048

/** What a chunk hash needs to know about where the decoder stands. */
export interface ChunkContext {
  readonly builder: BatchBuilder
  readonly resourceId: number
  readonly scopeId: number
  /** Identity of the metric that the next item continues; undefined between metrics. */
  openMetric(): Uint8Array | undefined
  /** Called before a chunk takes its first item, in [from, end) with its tag: may change the batch. */
  beginChunk(from: number, end: number): void
}

/** What chunkers of one request after the other work with: of one request at a time. */
export class ChunkMemory {
  /** The chunk at hand. */
  readonly preimage = new ProtobufWriter()
  readonly firstContent = new Int32Array(digestWords.length)
  /** Contents of the request; filled from its second one on. Steps of a synchronous decode bound it. */
  readonly contents = new DigestCounts()
}

export class Chunker {
  readonly #body: Uint8Array
  readonly #view: DataView
  readonly #context: ChunkContext
  readonly #signal: Signal
  readonly #tenant: string
  readonly #memory: ChunkMemory
  readonly #preimage: ProtobufWriter
  readonly #removesRepeats: boolean
  #contentCount = 0
  #rowStart = 0
  #itemCount = 0
  #byteCount = 0
  #segmentStart = -1
  #segmentEnd = -1
  #isRemovable: boolean
  /** Identity of the metric that the next chunk begins within. */
  #continued: Uint8Array | undefined

  /**
   * `memory` is the chunker's own until its last `cut`; without `removesRepeats` no chunk may ever be
   * dropped as one.
   */
  constructor(
    signal: Signal,
    tenant: string,
    body: Uint8Array,
    view: DataView,
    context: ChunkContext,
    memory: ChunkMemory,
    removesRepeats: boolean,
  ) {
    this.#signal = signal
    this.#tenant = tenant
    this.#body = body
    this.#view = view
    this.#context = context
    this.#memory = memory
    this.#preimage = memory.preimage
    this.#removesRepeats = removesRepeats
    this.#isRemovable = removesRepeats
  }

  /** OTLP bytes in the chunk at hand. */
  get byteCount(): number {
    return this.#byteCount
  }

  /** Whether an item that ends at `end` has no room any more: then `cut` comes first. */
  mustCut(from: number, end: number): boolean {
    if (this.#itemCount === 0) return false
    if (this.#itemCount === CHUNK_ITEMS_MAX) return true
    const since = this.#segmentStart < 0 ? from : this.#segmentEnd
    return this.#byteCount + end - since > LIMITS.chunkBytesMax
  }

  /** Takes the item that begins (with its tag) at `from` and ends at `end` into the chunk. */
  add(from: number, end: number): void {
    if (this.#itemCount === 0) {
      this.#context.beginChunk(from, end)
      this.#rowStart = this.#context.builder.rowCount
      this.#beginContent()
    }
    if (this.#segmentStart < 0) {
      this.#segmentStart = from
      this.#segmentEnd = from
    }
    this.#itemCount += 1
    this.extend(end)
  }

  /** Counts the bytes up to `end` to the segment at hand, when there is one. */
  extend(end: number): void {
    if (this.#segmentStart < 0) return
    this.#byteCount += end - this.#segmentEnd
    this.#segmentEnd = end
  }

  /** Notes that a stored item may not be dropped as a repeat, nor may its chunk. */
  keep(): void {
    this.#isRemovable = false
  }

  /** At the end of a scope: what follows belongs to another. */
  endScope(): void {
    if (this.#segmentStart < 0) return
    const { builder, scopeId } = this.#context
    const preimage = this.#preimage
    writeEntry(preimage, builder.scope.entries, scopeId)
    const start = this.#segmentStart
    const end = this.#segmentEnd
    preimage.varint(end - start)
    if (end - start < HASHED_BYTES_MIN) preimage.range(this.#body, this.#view, start, end)
    else {
      hashRange(this.#body, this.#view, start, end)
      preimage.raw(digestBytes)
    }
    this.#segmentStart = -1
  }

  /** Ends the chunk and records it where it has rows. */
  cut(): void {
    this.endScope()
    const { builder } = this.#context
    const rowCount = builder.rowCount - this.#rowStart
    const openMetric = this.#context.openMetric()
    if (this.#itemCount > 0 && rowCount > 0) {
      const preimage = this.#preimage
      if (openMetric !== undefined) preimage.raw(openMetric)
      hashRange(preimage.buffer, preimage.view, 0, preimage.length)
      this.#distinguish()
      builder.chunks.push(digestBytes, this.#rowStart, rowCount, this.#isRemovable)
    }
    this.#continued = openMetric
    this.#itemCount = 0
    this.#byteCount = 0
    this.#isRemovable = this.#removesRepeats
  }

  /** What is hashed before the items of a chunk. */
  #beginContent(): void {
    const preimage = this.#preimage
    const { builder, resourceId } = this.#context
    preimage.clear()
    preimage.byte(this.#signal)
    preimage.varint(this.#tenant.length)
    preimage.latin1(this.#tenant)
    // of a resource that is rejected no item becomes a row
    if (resourceId >= 0) writeEntry(preimage, builder.resource.entries, resourceId)
    if (this.#continued !== undefined) preimage.raw(this.#continued)
  }

  /** Equal chunks of one request differ by their ordinal: all of them are meant. */
  #distinguish(): void {
    const { firstContent, contents } = this.#memory
    this.#contentCount += 1
    if (this.#contentCount === 1) {
      // most small requests have no other
      firstContent.set(digestWords)
      return
    }
    if (this.#contentCount === 2) {
      contents.clear()
      contents.add(firstContent)
    }
    const ordinal = contents.add(digestWords)
    if (ordinal === 0) return
    const preimage = this.#preimage
    preimage.clear()
    preimage.raw(digestBytes)
    preimage.varint(ordinal)
    hashRange(preimage.buffer, preimage.view, 0, preimage.length)
  }
}

/** The bytes of a dictionary's entry behind their length. */
function writeEntry(writer: ProtobufWriter, entries: ByteDictionary, id: number): void {
  const start = entries.offsets[id]!
  const end = entries.offsets[id + 1]!
  writer.varint(end - start)
  writer.range(entries.bytes, entries.view, start, end)
}
