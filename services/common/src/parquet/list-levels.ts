/**
 * Repetition and definition levels of one list column (Dremel; parquet-format, Nested Encoding).
 * A row takes one slot per element, and a single slot where the list is null or empty.
 */
import assert from 'node:assert/strict'
import type { LeafColumn, ListColumn } from './column-values.ts'
import { bitAt } from './presence.ts'
import type { ListField } from './schema.ts'

export interface ListSlots {
  readonly rowCount: number
  /** rows + 1 positions of slots. */
  readonly slotOffsets: Int32Array
  /** rows + 1 positions of elements. */
  readonly elementOffsets: Int32Array
  /** 0 where a row begins, else 1. */
  readonly repetition: Uint8Array
  /** Per slot: 2 for an element, 1 for an empty list, 0 for a null one. */
  readonly states: Uint8Array
  readonly elementCount: number
}

const ELEMENT = 2
const EMPTY = 1
const NULL = 0

export function listSlots(column: ListColumn, rowCount: number): ListSlots {
  const { offsets, listPresence } = column
  assert(offsets.length > rowCount && offsets[0] === 0, 'a list has rows + 1 offsets from 0')
  const elementCount = offsets[rowCount]!
  const slotOffsets = new Int32Array(rowCount + 1)
  // an empty or null row takes a slot beside those of all elements
  const repetition = new Uint8Array(elementCount + rowCount)
  const states = new Uint8Array(elementCount + rowCount)
  let slot = 0
  for (let row = 0; row < rowCount; row++) {
    const length = offsets[row + 1]! - offsets[row]!
    assert(length >= 0, 'list offsets never fall')
    slotOffsets[row] = slot
    const isNull = listPresence !== undefined && bitAt(listPresence, row) === 0
    if (length === 0) {
      states[slot++] = isNull ? NULL : EMPTY
      continue
    }
    assert(!isNull, 'a null list has no elements')
    // no fill: most lists are shorter than its call is worth
    const end = slot + length
    states[slot++] = ELEMENT
    for (; slot < end; slot++) {
      states[slot] = ELEMENT
      repetition[slot] = 1
    }
  }
  slotOffsets[rowCount] = slot
  return {
    rowCount,
    slotOffsets,
    elementOffsets: offsets,
    repetition: repetition.subarray(0, slot),
    states: states.subarray(0, slot),
    elementCount,
  }
}

/** The definition level of every slot of one leaf, whose presence is over elements. */
export function definitionLevels(
  field: ListField,
  slots: ListSlots,
  leaf: LeafColumn,
  maxDefinitionLevel: number,
): Uint8Array {
  const { states } = slots
  const { presence } = leaf
  const levelOfState = [0, field.optional ? 1 : 0, maxDefinitionLevel]
  const levels = new Uint8Array(states.length)
  for (let slot = 0; slot < states.length; slot++) {
    const state = states[slot]!
    assert(state !== NULL || field.optional, 'a required list is never null')
    levels[slot] = levelOfState[state]!
  }
  if (presence !== undefined) lowerAbsent(levels, states, presence)
  return levels
}

/** Elements that are null stand one level below the present ones. */
function lowerAbsent(levels: Uint8Array, states: Uint8Array, presence: Uint8Array): void {
  let element = 0
  for (let slot = 0; slot < states.length; slot++) {
    if (states[slot] === ELEMENT) levels[slot]! -= 1 - bitAt(presence, element++)
  }
}
