/**
 * Reads a flatbuffer without trusting it: every position is checked against the bytes before it is
 * read, so damaged metadata ends in AppError('envelope_damaged'). Positions are bytes from the start
 * of the buffer; 0 stands for an absent field (no table or value can be there).
 * What the numbers mean is left to the readers of Arrow's messages.
 *
 *     vtable:  u16 vtable bytes | u16 table bytes | u16 position of field 0 in its table, or 0 | ...
 *     table:   i32 (table position - vtable position) | fields; tables, vectors and strings are
 *              u32 forward offsets from where the offset stands
 *     vector:  u32 length | elements          string: u32 length | UTF-8
 */
import { envelopeDamage } from './envelope-damage.ts'

const VTABLE_HEADER_BYTES = 4
const OFFSET_BYTES = 4

export class FlatbufferReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #length: number

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#length = bytes.byteLength
  }

  rootTable(): number {
    return this.#follow(0)
  }

  /** Position of a field's value in its table, 0 when the table does not have it. */
  field(table: number, slot: number): number {
    this.#need(table, OFFSET_BYTES)
    const vtable = table - this.#view.getInt32(table, true)
    this.#need(vtable, VTABLE_HEADER_BYTES)
    const vtableBytes = this.#view.getUint16(vtable, true)
    const entry = VTABLE_HEADER_BYTES + 2 * slot
    if (entry + 2 > vtableBytes) return 0
    this.#need(vtable + entry, 2)
    const offset = this.#view.getUint16(vtable + entry, true)
    return offset === 0 ? 0 : table + offset
  }

  /** An unsigned byte (or a bool) of a table, `otherwise` when it is absent. */
  uint8(table: number, slot: number, otherwise: number): number {
    const at = this.field(table, slot)
    if (at === 0) return otherwise
    this.#need(at, 1)
    return this.#view.getUint8(at)
  }

  int16(table: number, slot: number, otherwise: number): number {
    const at = this.field(table, slot)
    if (at === 0) return otherwise
    this.#need(at, 2)
    return this.#view.getInt16(at, true)
  }

  int32(table: number, slot: number, otherwise: number): number {
    const at = this.field(table, slot)
    if (at === 0) return otherwise
    this.#need(at, 4)
    return this.#view.getInt32(at, true)
  }

  /** A 64-bit length, offset or id of a table; all of ours fit 2^53. */
  count(table: number, slot: number, otherwise: number): number {
    const at = this.field(table, slot)
    return at === 0 ? otherwise : this.countAt(at)
  }

  /** The 64-bit non-negative number at a position. */
  countAt(at: number): number {
    this.#need(at, 8)
    const low = this.#view.getUint32(at, true)
    const high = this.#view.getUint32(at + 4, true)
    if (high > 0x1fffff) throw envelopeDamage('a size is negative or beyond 2^53', { at })
    return high * 0x1_0000_0000 + low
  }

  /** The table that a field refers to, 0 when absent. */
  table(table: number, slot: number): number {
    const at = this.field(table, slot)
    return at === 0 ? 0 : this.#follow(at)
  }

  /** Position of a vector's first element, checked to its end; 0 when absent. */
  vector(table: number, slot: number, elementBytes: number): number {
    const at = this.field(table, slot)
    if (at === 0) return 0
    const vector = this.#follow(at)
    this.#need(vector + OFFSET_BYTES, this.#view.getUint32(vector, true) * elementBytes)
    return vector + OFFSET_BYTES
  }

  /** Elements of a vector by the position that `vector` gave. */
  vectorLength(firstElement: number): number {
    return firstElement === 0 ? 0 : this.#view.getUint32(firstElement - OFFSET_BYTES, true)
  }

  /** The table that an element of a vector of tables refers to. */
  tableAt(element: number): number {
    return this.#follow(element)
  }

  /** A string of at most `bytesMax` bytes, '' when absent. */
  string(table: number, slot: number, bytesMax: number): string {
    const start = this.vector(table, slot, 1)
    const length = this.vectorLength(start)
    if (length > bytesMax) throw envelopeDamage('a name is too long', { length, bytesMax })
    const { buffer, byteOffset } = this.#bytes
    return Buffer.from(buffer, byteOffset + start, length).toString('utf8')
  }

  #follow(at: number): number {
    this.#need(at, OFFSET_BYTES)
    const target = at + this.#view.getUint32(at, true)
    this.#need(target, OFFSET_BYTES)
    return target
  }

  #need(at: number, byteCount: number): void {
    if (at < 0 || at + byteCount > this.#length) {
      throw envelopeDamage('metadata points outside itself', {
        at,
        byteCount,
        length: this.#length,
      })
    }
  }
}
