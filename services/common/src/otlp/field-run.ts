/**
 * A run of equal repeated fields within an item, such as the events of a span: kept as one range of
 * bytes while the fields stand side by side, each in normal form; anything else is odd.
 */
import type { DecodeTally } from './decode-tally.ts'
import { isNormalMessage } from './message-check.ts'
import type { MessageSchema } from './message-schema.ts'
import { cursor, isShortLength } from './protobuf-cursor.ts'

export class FieldRun {
  readonly #schema: MessageSchema
  /** From the first field's tag to the end of the last; -1 when there is none. */
  start = -1
  end = -1

  constructor(schema: MessageSchema) {
    this.#schema = schema
  }

  clear(): void {
    this.start = -1
  }

  /** Takes in the field with its one-byte tag at `tagAt` and the payload from `cursor.start`. */
  extend(tagAt: number, end: number, tally: DecodeTally): boolean {
    const start = cursor.start
    if (this.start < 0) this.start = tagAt
    else if (this.end !== tagAt) return false
    this.end = end
    if (!isShortLength(tagAt + 1, start, end)) return false
    return isNormalMessage(this.#schema, start, end, 0, tally)
  }
}
