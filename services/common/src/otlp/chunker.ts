/**
 * Cuts the items of one request into chunks and hashes them. A chunk is a run of items of one
 * Resource* message, at most `chunkBytesMax` of OTLP and `CHUNK_ITEMS_MAX` items (a larger item is
 * a chunk of its own). Boundaries and hashes are a function of the tenant, the signal and the bytes
 * of that Resource* message alone, so that a retry makes the same chunks in whatever batch it ends.
 *
 *     segment   = varint(scope length) scope sha256(bytes from the first item to the last)
 *     content   = sha256(signal varint(tenant length) tenant varint(resource length) resource
 *                        [metric that the chunk begins within] segment... [metric that it ends within])
 *     hash      = the first 16 bytes of content, or, for the k-th equal content of the request
 *                 (k from 1), of sha256(content varint(k))
 */
import { hash } from 'node:crypto'
import type { BatchBuilder } from '../columnar/batch-builder.ts'
import type { Signal } from '../signal.ts'
import { LIMITS } from '../limits.ts'
import { ProtobufWriter } from './protobuf-writer.ts'

/** Keeps the rows of a chunk of tiny items well below those of a batch. */
export const CHUNK_ITEMS_MAX = 4096

/** What a chunk hash needs to know about where the decoder stands. */
export interface ChunkContext {
  readonly builder: BatchBuilder
  readonly resourceId: number
  readonly scopeId: number
  /** Identity of the metric that the next item continues; undefined between metrics. */
  openMetric(): Uint8Array | undefined
}

export class Chunker {
  readonly #body: Uint8Array
  readonly #context: ChunkContext
  readonly #head: Uint8Array
  readonly #preimage = new ProtobufWriter()
  #equalContents: Map<string, number> | undefined = undefined
  #firstContent: string | undefined = undefined
  #rowStart = 0
  #itemCount = 0
  #byteCount = 0
  #segmentStart = -1
  #segmentEnd = -1
  #isRemovable = true

  constructor(signal: Signal, tenant: string, body: Uint8Array, context: ChunkContext) {
    this.#body = body
    this.#context = context
    const head = new ProtobufWriter()
    head.byte(signal)
    const name = Buffer.from(tenant, 'latin1')
    head.varint(name.length)
    head.raw(name)
    this.#head = head.take()
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
    if (this.#itemCount === 0) this.#rowStart = this.#context.builder.rowCount
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
    const { bytes, offsets } = builder.scope.entries
    const scope = bytes.subarray(offsets[scopeId]!, offsets[scopeId + 1]!)
    this.#preimage.varint(scope.length)
    this.#preimage.raw(scope)
    const items = this.#body.subarray(this.#segmentStart, this.#segmentEnd)
    this.#preimage.raw(hash('sha256', items, 'buffer'))
    this.#segmentStart = -1
  }

  /** Ends the chunk and records it where it has rows. */
  cut(): void {
    this.endScope()
    const { builder, resourceId } = this.#context
    const rowCount = builder.rowCount - this.#rowStart
    const openMetric = this.#context.openMetric()
    if (this.#itemCount > 0 && rowCount > 0) {
      if (openMetric !== undefined) this.#preimage.raw(openMetric)
      const content = this.#contentHash(builder, resourceId)
      builder.chunks.push(this.#distinct(content), this.#rowStart, rowCount, this.#isRemovable)
    }
    this.#preimage.clear()
    if (openMetric !== undefined) this.#preimage.raw(openMetric)
    this.#itemCount = 0
    this.#byteCount = 0
    this.#isRemovable = true
  }

  #contentHash(builder: BatchBuilder, resourceId: number): Buffer {
    const { bytes, offsets } = builder.resource.entries
    const resource = bytes.subarray(offsets[resourceId]!, offsets[resourceId + 1]!)
    contentWriter.clear()
    contentWriter.raw(this.#head)
    contentWriter.varint(resource.length)
    contentWriter.raw(resource)
    contentWriter.raw(this.#preimage.written)
    return hash('sha256', contentWriter.written, 'buffer')
  }

  /** Equal chunks of one request differ by their ordinal: all of them are meant. */
  #distinct(content: Buffer): Uint8Array {
    const text = content.toString('latin1')
    if (this.#firstContent === undefined) {
      this.#firstContent = text
      return content
    }
    this.#equalContents ??= new Map([[this.#firstContent, 1]])
    const ordinal = this.#equalContents.get(text) ?? 0
    this.#equalContents.set(text, ordinal + 1)
    if (ordinal === 0) return content
    contentWriter.clear()
    contentWriter.raw(content)
    contentWriter.varint(ordinal)
    return hash('sha256', contentWriter.written, 'buffer')
  }
}

/** Shared by all chunkers: used and done with within one call. */
const contentWriter = new ProtobufWriter()
