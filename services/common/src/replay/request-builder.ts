/**
 * One export request under construction: items under their scope under their resource, and points
 * under their metric. Equal resources and scopes merge, whatever order the rows come in.
 *
 * Invariant: `byteCount` is at least the bytes of build(). Whoever adds decides when it is full.
 */
import { OutputBuffer } from '../otlp/output-buffer.ts'
import { writePresentBytes } from './field-writer.ts'

/** A level on the way to an item. */
export interface GroupStep {
  /** Field number under which the group itself stands. */
  readonly field: number
  /** Encoded fields of the group besides its children. */
  readonly fields: Uint8Array
  /** What tells groups apart, where that is more than their fields. */
  readonly identity?: Uint8Array
}

interface Group extends GroupStep {
  readonly groups: Map<string, Group>
  readonly items: Uint8Array[]
}

/** Tag and length of a field: a byte and at most five, rounded up. */
const FIELD_OVERHEAD = 8
/** Bytes that the length of a group is expected to take: 16 KiB to 2 MiB. */
const LENGTH_BYTES = 3

function newGroup(step: GroupStep): Group {
  return { ...step, groups: new Map(), items: [] }
}

const ROOT: GroupStep = { field: 0, fields: new Uint8Array(0) }

export class RequestBuilder {
  itemCount = 0
  byteCount = 0
  #root = newGroup(ROOT)

  /** Adds an item to the group that `path` leads to. The bytes are kept. */
  add(path: readonly GroupStep[], item: Uint8Array): void {
    let group = this.#root
    for (const step of path) {
      const key = `${step.field} ${Buffer.from(step.identity ?? step.fields).toString('latin1')}`
      let next = group.groups.get(key)
      if (next === undefined) {
        next = newGroup(step)
        group.groups.set(key, next)
        this.byteCount += step.fields.length + FIELD_OVERHEAD
      }
      group = next
    }
    group.items.push(item)
    this.byteCount += item.length + FIELD_OVERHEAD
    this.itemCount++
  }

  /** The request with its items under field `itemField`; afterwards the builder is empty. */
  build(itemField: number): Uint8Array {
    const out = new OutputBuffer(this.byteCount)
    appendContent(out, this.#root, itemField)
    this.#root = newGroup(ROOT)
    this.itemCount = 0
    this.byteCount = 0
    return out.toBytes()
  }
}

function appendContent(out: OutputBuffer, group: Group, itemField: number): void {
  out.writeSlice(group.fields, 0, group.fields.length)
  for (const item of group.items) writePresentBytes(out, itemField, item)
  for (const child of group.groups.values()) {
    out.writeVarint((child.field << 3) | 2)
    const start = out.openLength(LENGTH_BYTES)
    appendContent(out, child, itemField)
    out.closeLength(start, LENGTH_BYTES)
  }
}
