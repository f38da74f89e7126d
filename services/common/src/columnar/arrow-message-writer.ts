/**
 * Writes the metadata of dictionary and record batches straight into the output: the same few
 * tables each time, copied from a template made once, with the numbers filled in.
 *
 *     prefix | root, vtables | Message | DictionaryBatch (dictionaries only) | RecordBatch
 *            | u32 nodes  | nodes, 16 bytes each: rows i64, nulls i64
 *            | pad, u32 buffers | buffers, 16 bytes each: offset i64, length i64
 */
import {
  BUFFER_BYTES,
  CONTINUATION,
  FIELD_NODE_BYTES,
  MESSAGE_PREFIX_BYTES,
  METADATA_VERSION_5,
  MessageHeader,
} from './arrow-format.ts'
import { FlatbufferWriter } from './flatbuffer-writer.ts'

/** The bytes before the nodes and where in them the numbers of a batch go; from the prefix on. */
interface Template {
  readonly bytes: Uint8Array
  readonly bodyBytesAt: number
  readonly dictionaryIdAt: number
  readonly rowCountAt: number
  readonly buffersReferenceAt: number
}

const RECORD_BATCH = makeTemplate(MessageHeader.recordBatch)
const DICTIONARY_BATCH = makeTemplate(MessageHeader.dictionaryBatch)

function makeTemplate(headerType: 2 | 3): Template {
  const isDictionary = headerType === MessageHeader.dictionaryBatch
  const out = new FlatbufferWriter()
  const prefix = out.reserve(MESSAGE_PREFIX_BYTES)
  out.setInt32(prefix, CONTINUATION | 0)
  const root = out.reserve(4)
  const messageVtable = out.vtable(20, [16, 18, 4, 8])
  const batchVtable = out.vtable(20, [8, 4, 16])
  const dictionaryVtable = isDictionary ? out.vtable(16, [8, 4]) : 0
  out.align(8)
  const message = out.table(messageVtable, 20)
  out.pointTo(root, message)
  out.setInt16(message + 16, METADATA_VERSION_5)
  out.setUint8(message + 18, headerType)
  out.align(8)
  const dictionary = isDictionary ? out.table(dictionaryVtable, 16) : 0
  const batch = out.table(batchVtable, 20)
  if (isDictionary) out.pointTo(dictionary + 4, batch)
  out.pointTo(message + 4, isDictionary ? dictionary : batch)
  out.pointHere(batch + 4)
  out.reserve(4) // the number of nodes: ends at a multiple of 8, where the nodes begin
  return {
    bytes: out.finish(8),
    bodyBytesAt: message + 8,
    dictionaryIdAt: dictionary + 8,
    rowCountAt: batch + 8,
    buffersReferenceAt: batch + 16,
  }
}

/** A dictionary of utf8 or binary: one node; validity, offsets, data. */
const DICTIONARY_NODES = 1
const DICTIONARY_BUFFERS = 3
export const DICTIONARY_METADATA_BYTES = metadataBytes(
  DICTIONARY_BATCH,
  DICTIONARY_NODES,
  DICTIONARY_BUFFERS,
)

/** Bytes of a record batch's prefix and metadata. */
export function recordMetadataBytes(nodeCount: number, bufferCount: number): number {
  return metadataBytes(RECORD_BATCH, nodeCount, bufferCount)
}

function metadataBytes(template: Template, nodeCount: number, bufferCount: number): number {
  const nodesEnd = template.bytes.byteLength + FIELD_NODE_BYTES * nodeCount
  return nodesEnd + 8 + BUFFER_BYTES * bufferCount
}

/**
 * Writes one message's nodes and buffers into zeroed output, in the order of the schema: `node`,
 * then `buffer` for each of its buffers, which gives where the buffer's bytes go.
 */
export class BatchMessage {
  readonly #view: DataView
  #nodeAt = 0
  #bufferAt = 0
  #bodyStart = 0
  #bodyAt = 0

  constructor(view: DataView) {
    this.#view = view
  }

  startRecordBatch(
    out: Uint8Array,
    at: number,
    rowCount: number,
    nodeCount: number,
    bufferCount: number,
    bodyBytes: number,
  ): void {
    this.#start(RECORD_BATCH, out, at, rowCount, nodeCount, bufferCount, bodyBytes)
  }

  startDictionary(
    out: Uint8Array,
    at: number,
    id: number,
    entryCount: number,
    bodyBytes: number,
  ): void {
    const nodes = DICTIONARY_NODES
    this.#start(DICTIONARY_BATCH, out, at, entryCount, nodes, DICTIONARY_BUFFERS, bodyBytes)
    this.#view.setUint32(at + DICTIONARY_BATCH.dictionaryIdAt, id, true)
  }

  #start(
    template: Template,
    out: Uint8Array,
    at: number,
    rowCount: number,
    nodeCount: number,
    bufferCount: number,
    bodyBytes: number,
  ): void {
    const view = this.#view
    const metadataEnd = at + metadataBytes(template, nodeCount, bufferCount)
    out.set(template.bytes, at)
    view.setUint32(at + 4, metadataEnd - at - MESSAGE_PREFIX_BYTES, true)
    view.setUint32(at + template.bodyBytesAt, bodyBytes, true)
    view.setUint32(at + template.rowCountAt, rowCount, true)
    this.#nodeAt = at + template.bytes.byteLength
    view.setUint32(this.#nodeAt - 4, nodeCount, true)
    this.#bufferAt = this.#nodeAt + FIELD_NODE_BYTES * nodeCount + 8
    view.setUint32(this.#bufferAt - 4, bufferCount, true)
    const reference = at + template.buffersReferenceAt
    view.setUint32(reference, this.#bufferAt - 4 - reference, true)
    this.#bodyStart = metadataEnd
    this.#bodyAt = metadataEnd
  }

  node(length: number, nullCount: number): void {
    this.#view.setUint32(this.#nodeAt, length, true)
    this.#view.setUint32(this.#nodeAt + 8, nullCount, true)
    this.#nodeAt += FIELD_NODE_BYTES
  }

  /** Takes the next bytes of the body, padded to 8, for a buffer and gives their position. */
  buffer(byteCount: number): number {
    const at = this.#bodyAt
    this.#view.setUint32(this.#bufferAt, at - this.#bodyStart, true)
    this.#view.setUint32(this.#bufferAt + 8, byteCount, true)
    this.#bufferAt += BUFFER_BYTES
    this.#bodyAt = at + ((byteCount + 7) & ~7)
    return at
  }

  /** Where the body ended, which is where the next message begins. */
  get end(): number {
    return this.#bodyAt
  }
}
