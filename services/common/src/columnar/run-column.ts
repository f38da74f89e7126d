/**
 * The `resource` and `scope` columns: a dictionary of messages and, instead of an id per row, runs:
 * run i covers the rows from runStarts[i] to the next run's start (the last: to the batch's end).
 * Two runs in a row never have the same id. Entries stay until the rows that brought them are cut.
 */
import { ByteDictionary } from './byte-dictionary.ts'
import { growInt32 } from './row-numbers.ts'

export class RunColumn {
  readonly kind = 'runs'
  readonly name: string
  readonly type = 'binary'
  readonly entries = new ByteDictionary()
  runCount = 0
  runStarts: Int32Array = new Int32Array(4)
  runIds: Int32Array = new Int32Array(4)

  constructor(name: string) {
    this.name = name
  }

  /** The rows from `row` on belong to entry `id`. */
  start(row: number, id: number): void {
    if (this.runCount > 0 && this.runStarts[this.runCount - 1] === row) this.runCount -= 1
    const run = this.runCount
    if (run > 0 && this.runIds[run - 1] === id) return
    if (run === this.runStarts.length) {
      this.runStarts = growInt32(this.runStarts, run + 1)
      this.runIds = growInt32(this.runIds, run + 1)
    }
    this.runStarts[run] = row
    this.runIds[run] = id
    this.runCount = run + 1
  }

  /** Forgets the rows from `row` on, and the entries that came with them. */
  truncateRows(row: number): void {
    while (this.runCount > 0 && this.runStarts[this.runCount - 1]! >= row) this.runCount -= 1
    this.entries.truncateUses(row)
  }

  reset(): void {
    this.runCount = 0
    this.entries.clear()
  }

  byteSize(rowCount: number): number {
    return rowCount * this.entries.idBytes() + this.entries.byteSize()
  }
}
