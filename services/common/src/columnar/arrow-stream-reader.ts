/**
 * Splits an Arrow IPC stream into its messages and reads the one record batch in it.
 *
 *     stream:   schema message | dictionary batch, one per dictionary | record batch | end
 *     message:  ff ff ff ff | i32 metadata bytes | metadata (a flatbuffer, padded to 8) | body
 *     end:      ff ff ff ff 00 00 00 00
 *
 * The end mark is required, so that no cut goes unseen. A stream without a record batch has no
 * rows. Deltas, replacements, a second record batch, compressed bodies and messages from before
 * Arrow 0.15 are refused: no batch of ours has them.
 */
import {
  ALIGNMENT_BYTES,
  CONTINUATION,
  DictionaryBatchSlot,
  MESSAGE_PREFIX_BYTES,
  METADATA_VERSION_5,
  MessageHeader,
  MessageSlot,
} from './arrow-format.ts'
import {
  emptyColumns,
  readColumns,
  readDictionary,
  type ColumnValues,
} from './arrow-body-reader.ts'
import { schemaPlan, type SchemaPlan } from './arrow-schema-reader.ts'
import type { ColumnView } from './batch-view.ts'
import { envelopeDamage } from './envelope-damage.ts'
import { FlatbufferReader } from './flatbuffer-reader.ts'

export interface ArrowBatch {
  readonly rowCount: number
  readonly columns: readonly ColumnView[]
  readonly indexByName: ReadonlyMap<string, number>
}

interface Message {
  readonly reader: FlatbufferReader
  readonly headerType: number
  /** Position of the header's table in the metadata. */
  readonly header: number
  readonly body: Uint8Array
}

/** Reads a whole stream; AppError('envelope_damaged') for anything but a batch. */
export function readArrowStream(bytes: Uint8Array): ArrowBatch {
  const stream = new MessageStream(aligned(bytes))
  const plan = stream.readSchema()
  const dictionaries = new Map<number, ColumnValues>()
  let batch: { rowCount: number; columns: ColumnView[] } | undefined
  for (let message = stream.next(); message !== undefined; message = stream.next()) {
    if (batch !== undefined) throw envelopeDamage('a message after the record batch')
    const { reader, header, body } = message
    if (message.headerType === MessageHeader.dictionaryBatch) {
      readDictionaryBatch(plan, message, dictionaries)
    } else if (message.headerType === MessageHeader.recordBatch) {
      batch = readColumns(plan, dictionaries, reader, header, body)
    } else {
      throw envelopeDamage('unexpected message', { headerType: message.headerType })
    }
  }
  const { rowCount, columns } = batch ?? { rowCount: 0, columns: emptyColumns(plan) }
  return { rowCount, columns, indexByName: plan.indexByName }
}

function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % ALIGNMENT_BYTES === 0 ? bytes : new Uint8Array(bytes)
}

function readDictionaryBatch(
  plan: SchemaPlan,
  message: Message,
  dictionaries: Map<number, ColumnValues>,
): void {
  const { reader, header, body } = message
  const id = reader.count(header, DictionaryBatchSlot.id, 0)
  const type = plan.dictionaryTypes.get(id)
  if (type === undefined) throw envelopeDamage('a dictionary that no column has', { id })
  if (dictionaries.has(id) || reader.uint8(header, DictionaryBatchSlot.isDelta, 0) !== 0) {
    throw envelopeDamage('a dictionary that changes', { id })
  }
  const data = reader.table(header, DictionaryBatchSlot.data)
  if (data === 0) throw envelopeDamage('a dictionary without data', { id })
  dictionaries.set(id, readDictionary(reader, data, body))
}

/** Walks the messages of a stream; every length is checked before it is used. */
class MessageStream {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  readSchema(): SchemaPlan {
    const metadata = this.#nextMetadata()
    if (metadata === undefined) throw envelopeDamage('the stream has no schema')
    return schemaPlan(metadata, () => {
      const { reader, headerType, header, body } = this.#readMessage(metadata)
      if (headerType !== MessageHeader.schema || body.byteLength > 0) {
        throw envelopeDamage('the stream does not start with a schema', { headerType })
      }
      return { reader, table: header }
    })
  }

  /** The next message, undefined at the end. */
  next(): Message | undefined {
    const metadata = this.#nextMetadata()
    return metadata === undefined ? undefined : this.#readMessage(metadata)
  }

  #nextMetadata(): Uint8Array | undefined {
    const at = this.#at
    const left = this.#bytes.byteLength - at
    if (left < MESSAGE_PREFIX_BYTES) throw envelopeDamage('the stream is cut off', { at })
    if (this.#view.getUint32(at, true) !== CONTINUATION) {
      throw envelopeDamage('no message where one should be', { at })
    }
    const length = this.#view.getUint32(at + 4, true)
    if (length === 0) {
      if (left > MESSAGE_PREFIX_BYTES) throw envelopeDamage('bytes after the end', { at })
      return undefined
    }
    if (length % ALIGNMENT_BYTES !== 0 || length > left - MESSAGE_PREFIX_BYTES) {
      throw envelopeDamage('metadata of a wrong length', { at, length })
    }
    this.#at += MESSAGE_PREFIX_BYTES + length
    return this.#slice(at + MESSAGE_PREFIX_BYTES, length)
  }

  #readMessage(metadata: Uint8Array): Message {
    const reader = new FlatbufferReader(metadata)
    const message = reader.rootTable()
    const version = reader.int16(message, MessageSlot.version, 0)
    if (version !== METADATA_VERSION_5) throw envelopeDamage('unknown Arrow version', { version })
    const header = reader.table(message, MessageSlot.header)
    if (header === 0) throw envelopeDamage('a message without header')
    const headerType = reader.uint8(message, MessageSlot.headerType, 0)
    const bodyBytes = reader.count(message, MessageSlot.bodyLength, 0)
    const at = this.#at
    if (bodyBytes % ALIGNMENT_BYTES !== 0 || bodyBytes > this.#bytes.byteLength - at) {
      throw envelopeDamage('a body of a wrong length', { at, bodyBytes })
    }
    this.#at += bodyBytes
    return { reader, headerType, header, body: this.#slice(at, bodyBytes) }
  }

  #slice(at: number, byteCount: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, byteCount)
  }
}
