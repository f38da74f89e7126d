/**
 * How the values of one column chunk lie over its rows, and the level sections of its pages:
 * repetition then definition levels, each a hybrid with its length in four bytes before it, and
 * neither where the schema leaves no choice (data page V1).
 */
import assert from 'node:assert/strict'
import type { LeafColumn } from './column-values.ts'
import {
  bitWidthOf,
  hybridBytesMax,
  writeBitmapHybrid,
  writeHybrid,
  writeRun,
} from './hybrid-encoder.ts'
import { definitionLevels, type ListSlots } from './list-levels.ts'
import type { PageBuffer } from './page-buffer.ts'
import { countBits } from './presence.ts'
import type { ListField, SchemaLeaf } from './schema.ts'

export interface ColumnLevels {
  readonly rowCount: number
  readonly slotCount: number
  slotsBetween(rowFrom: number, rowTo: number): number
  /** Present values of the rows. Pages ask in order, each from where the last one ended. */
  valuesBetween(rowFrom: number, rowTo: number): number
  write(page: PageBuffer, rowFrom: number, rowTo: number): void
}

export function flatLevels(leaf: SchemaLeaf, column: LeafColumn, rowCount: number): ColumnLevels {
  const { values, count, presence } = column
  const hasLevels = leaf.maxDefinitionLevel > 0
  if (count === rowCount) return new UniformLevels(rowCount, hasLevels, 1)
  assert(hasLevels, 'a required column has no nulls')
  if (count === 0) return new UniformLevels(rowCount, hasLevels, 0)
  if (values.kind === 'runs') return new RunLevels(rowCount, values.runLengths, values.runIds)
  assert(presence !== undefined, 'a column with nulls says which rows are present')
  assert.equal(countBits(presence, 0, rowCount), count, 'presence has a bit per present value')
  return new BitmapLevels(rowCount, presence)
}

/** All rows present, or all null. */
class UniformLevels implements ColumnLevels {
  readonly rowCount: number
  readonly slotCount: number
  readonly #hasLevels: boolean
  readonly #level: 0 | 1

  constructor(rowCount: number, hasLevels: boolean, level: 0 | 1) {
    this.rowCount = rowCount
    this.slotCount = rowCount
    this.#hasLevels = hasLevels
    this.#level = level
  }

  slotsBetween(rowFrom: number, rowTo: number): number {
    return rowTo - rowFrom
  }

  valuesBetween(rowFrom: number, rowTo: number): number {
    return this.#level === 1 ? rowTo - rowFrom : 0
  }

  write(page: PageBuffer, rowFrom: number, rowTo: number): void {
    if (!this.#hasLevels) return
    const start = openSection(page)
    page.reserve(8)
    page.length = writeRun(page.bytes, page.length, rowTo - rowFrom, this.#level, 1)
    closeSection(page, start)
  }
}

class BitmapLevels implements ColumnLevels {
  readonly rowCount: number
  readonly slotCount: number
  readonly #presence: Uint8Array

  constructor(rowCount: number, presence: Uint8Array) {
    this.rowCount = rowCount
    this.slotCount = rowCount
    this.#presence = presence
  }

  slotsBetween(rowFrom: number, rowTo: number): number {
    return rowTo - rowFrom
  }

  valuesBetween(rowFrom: number, rowTo: number): number {
    return countBits(this.#presence, rowFrom, rowTo)
  }

  write(page: PageBuffer, rowFrom: number, rowTo: number): void {
    const start = openSection(page)
    writeBitmapHybrid(page, this.#presence, rowFrom, rowTo)
    closeSection(page, start)
  }
}

/** Presence that stands still over runs of rows. */
class RunLevels implements ColumnLevels {
  readonly rowCount: number
  readonly slotCount: number
  readonly #lengths: Int32Array
  readonly #ids: Int32Array
  /** The run that holds row `#runRow` as its first, where the last page ended or before. */
  #run = 0
  #runRow = 0

  constructor(rowCount: number, lengths: Int32Array, ids: Int32Array) {
    this.rowCount = rowCount
    this.slotCount = rowCount
    this.#lengths = lengths
    this.#ids = ids
    let rows = 0
    for (const length of lengths) rows += length
    assert.equal(rows, rowCount, 'runs cover the row group')
  }

  slotsBetween(rowFrom: number, rowTo: number): number {
    return rowTo - rowFrom
  }

  valuesBetween(rowFrom: number, rowTo: number): number {
    let values = 0
    let row = this.#seek(rowFrom)
    for (let run = this.#run; row < rowTo; run++) {
      const end = row + this.#lengths[run]!
      if (this.#ids[run]! >= 0) values += Math.min(end, rowTo) - Math.max(row, rowFrom)
      row = end
    }
    return values
  }

  write(page: PageBuffer, rowFrom: number, rowTo: number): void {
    const start = openSection(page)
    let row = this.#seek(rowFrom)
    let run = this.#run
    while (row < rowTo) {
      const isPresent = this.#ids[run]! >= 0
      const from = Math.max(row, rowFrom)
      do row += this.#lengths[run++]!
      while (row < rowTo && this.#ids[run]! >= 0 === isPresent)
      page.reserve(8)
      const count = Math.min(row, rowTo) - from
      if (count > 0) page.length = writeRun(page.bytes, page.length, count, isPresent ? 1 : 0, 1)
    }
    closeSection(page, start)
  }

  /** Moves to the run that holds `row`; returns that run's first row. */
  #seek(row: number): number {
    if (row < this.#runRow) {
      this.#run = 0
      this.#runRow = 0
    }
    while (this.#runRow + this.#lengths[this.#run]! <= row) {
      this.#runRow += this.#lengths[this.#run++]!
    }
    return this.#runRow
  }
}

export class ListLevels implements ColumnLevels {
  readonly rowCount: number
  readonly slotCount: number
  readonly #slots: ListSlots
  readonly #presence: Uint8Array | undefined
  readonly #definition: Uint8Array
  readonly #definitionWidth: number

  constructor(field: ListField, slots: ListSlots, leaf: SchemaLeaf, column: LeafColumn) {
    this.rowCount = slots.rowCount
    this.slotCount = slots.repetition.length
    this.#slots = slots
    this.#presence = column.presence
    this.#definitionWidth = bitWidthOf(leaf.maxDefinitionLevel)
    const present =
      column.presence === undefined
        ? slots.elementCount
        : countBits(column.presence, 0, slots.elementCount)
    assert.equal(present, column.count, 'a leaf has as many values as elements that are present')
    assert(present === slots.elementCount || leaf.field.optional, 'a required leaf has no nulls')
    this.#definition = definitionLevels(field, slots, column, leaf.maxDefinitionLevel)
  }

  slotsBetween(rowFrom: number, rowTo: number): number {
    return this.#slots.slotOffsets[rowTo]! - this.#slots.slotOffsets[rowFrom]!
  }

  valuesBetween(rowFrom: number, rowTo: number): number {
    const from = this.#slots.elementOffsets[rowFrom]!
    const to = this.#slots.elementOffsets[rowTo]!
    return this.#presence === undefined ? to - from : countBits(this.#presence, from, to)
  }

  write(page: PageBuffer, rowFrom: number, rowTo: number): void {
    const from = this.#slots.slotOffsets[rowFrom]!
    const to = this.#slots.slotOffsets[rowTo]!
    const repetitionAt = openSection(page)
    writeHybrid(page, this.#slots.repetition, from, to, 1)
    closeSection(page, repetitionAt)
    const definitionAt = openSection(page)
    writeHybrid(page, this.#definition, from, to, this.#definitionWidth)
    closeSection(page, definitionAt)
  }
}

function openSection(page: PageBuffer): number {
  const at = page.reserve(4 + hybridBytesMax(0, 1))
  page.length = at + 4
  return at
}

function closeSection(page: PageBuffer, at: number): void {
  page.view.setInt32(at, page.length - at - 4, true)
}
