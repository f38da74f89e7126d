/**
 * Random batches with what must be read back: per column the text of each row's value, or null.
 * The texts are exact (bits of doubles) and easy to make by any reader: `i:-5`, `d:` and 16 hex
 * digits, `s:text`, `b:hex`, `true`, `[d:...,d:...]`.
 */
import { BatchBuilder, type ValueColumn } from '../../src/columnar/batch-builder.ts'
import { hashBytes } from '../../src/columnar/byte-kernels.ts'
import type { BytesColumn } from '../../src/columnar/bytes-column.ts'
import { columnCells, type Cell } from '../../src/columnar/batch-rows.ts'
import type { BatchView } from '../../src/columnar/batch-view.ts'
import type { ListColumn } from '../../src/columnar/fixed-columns.ts'
import type { RunColumn } from '../../src/columnar/run-column.ts'
import type { Signal } from '../../src/signal.ts'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'

export type ColumnTexts = Record<string, (string | null)[]>

export interface RandomBatch {
  readonly builder: BatchBuilder
  readonly expected: ColumnTexts
}

export const ODD_KEYS = [
  'http.method',
  '',
  '__proto__',
  'constructor',
  'a@string',
  'a.b c"d\\e',
  'a\u0000b',
  'line\nbreak',
  'ключ',
  '\u{1f600}',
  '\ufeffbom',
  'x'.repeat(1024),
]

const ODD_DOUBLES = [0, -0, 1.5, NaN, Infinity, -Infinity, 5e-324, 1.7976931348623157e308]
const ODD_HALVES = [0, 1, -1, 0x7fff_ffff, -0x8000_0000]

/** Fills a batch of `rowCount` rows; every column has its own density and number of values. */
export function randomBatch(
  random: SeededRandom,
  signal: Signal,
  rowCount: number,
  builder = new BatchBuilder(signal),
): RandomBatch {
  const expected: ColumnTexts = Object.create(null) as ColumnTexts
  const runs = [builder.resource, builder.scope]
  for (const column of runs) expected[column.name] = fillRuns(column, random, rowCount)
  for (const column of builder.fixedColumns) fill(column, random, rowCount, expected)
  for (const key of ODD_KEYS) {
    if (rowCount === 0 || random.chance(0.3)) continue
    for (const column of attributeColumns(builder, key, random)) {
      fill(column, random, rowCount, expected, 1)
    }
  }
  if (random.chance(0.7)) fillSparse(builder, random, rowCount, expected)
  builder.rowCount = rowCount
  return { builder, expected }
}

/** What an opened batch holds, as the same texts. */
export function viewTexts(view: BatchView): ColumnTexts {
  const texts: ColumnTexts = Object.create(null) as ColumnTexts
  for (const column of view.columns) {
    const cells = columnCells(column)
    const isDouble = column.type === 'float64' || column.type === 'list_float64'
    texts[column.name] = Array.from({ length: view.rowCount }, (_, row) =>
      cellText(cells(row), isDouble),
    )
  }
  return texts
}

export function cellText(cell: Cell, isDouble: boolean): string | null {
  if (cell === null) return null
  if (typeof cell === 'string') return `s:${cell}`
  if (typeof cell === 'bigint') return `i:${cell}`
  if (typeof cell === 'boolean') return String(cell)
  if (typeof cell === 'number') return isDouble ? doubleText(cell) : `i:${cell}`
  if (cell instanceof Uint8Array) return `b:${Buffer.from(cell).toString('hex')}`
  return `[${cell.map((item) => cellText(item, isDouble)).join(',')}]`
}

function doubleText(value: number): string {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return `d:${bytes.toString('hex')}`
}

/** A run column's entry for `bytes`, added when it is new, for the rows from `row` on. */
export function startRun(column: RunColumn, row: number, bytes: Uint8Array): void {
  const { entries } = column
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const hash = entries.hash(view, 0, bytes.length)
  const known = entries.find(view, 0, bytes.length, hash)
  column.start(row, known < 0 ? entries.add(bytes, view, 0, bytes.length, hash, row) : known)
}

export function appendBytes(column: BytesColumn, row: number, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  column.append(row, bytes, view, 0, bytes.byteLength, false)
}

export function appendText(column: BytesColumn, row: number, text: string): void {
  appendBytes(column, row, new TextEncoder().encode(text))
}

/** The columns of an attribute key for a random choice of types. */
function attributeColumns(
  builder: BatchBuilder,
  keyText: string,
  random: SeededRandom,
): ValueColumn[] {
  const bytes = new TextEncoder().encode(keyText)
  const { attributes } = builder
  const key = attributes.key(bytes, new DataView(bytes.buffer), 0, bytes.length)
  const makers = [
    () => attributes.stringColumn(key),
    () => attributes.intColumn(key),
    () => attributes.doubleColumn(key),
    () => attributes.boolColumn(key),
    () => attributes.bytesColumn(key),
    () => attributes.anyColumn(key),
  ]
  return makers.filter(() => random.chance(0.4)).map((make) => make())
}

function fillRuns(column: RunColumn, random: SeededRandom, rowCount: number): string[] {
  const pool = Array.from({ length: random.pick([1, 3, 200]) }, () =>
    random.bytes(random.below(40)),
  )
  const turnover = random.pick([0, 0.1, 1])
  const texts: string[] = []
  for (let row = 0; row < rowCount; row++) {
    if (row === 0 || random.chance(turnover)) {
      const bytes = random.pick(pool)
      startRun(column, row, bytes)
      texts.push(cellText(bytes, false)!)
    } else texts.push(texts[row - 1]!)
  }
  return texts
}

/** All but one: apache-arrow drops a byte order mark at the start of a value. */
const SPARSE_KEYS = ODD_KEYS.filter((key) => !key.startsWith('\ufeff'))

/** Gives rows pairs of odd keys, with few values or many. */
function fillSparse(
  builder: BatchBuilder,
  random: SeededRandom,
  rowCount: number,
  expected: ColumnTexts,
): void {
  const { attributes } = builder
  const pool = random.pick([1, 100, 40_000])
  const density = random.pick([0.01, 0.5, 1])
  const keys: string[] = []
  const values: string[] = []
  for (let row = 0; row < rowCount; row++) {
    const rowKeys: string[] = []
    const rowValues: string[] = []
    for (const text of random.chance(density) ? random.shuffled(SPARSE_KEYS).slice(0, 3) : []) {
      const value = Buffer.from(`value ${random.below(pool)}`)
      addSparse(attributes, row, text, value)
      rowKeys.push(cellText(text, false)!)
      rowValues.push(cellText(value, false)!)
    }
    keys.push(`[${rowKeys.join(',')}]`)
    values.push(`[${rowValues.join(',')}]`)
  }
  if (attributes.sparse.count === 0) return
  expected['sparse_keys'] = keys
  expected['sparse_values'] = values
}

function addSparse(
  attributes: BatchBuilder['attributes'],
  row: number,
  text: string,
  value: Uint8Array,
): void {
  const bytes = new TextEncoder().encode(text)
  const key = attributes.key(bytes, new DataView(bytes.buffer), 0, bytes.length)
  const view = new DataView(value.buffer, value.byteOffset, value.length)
  const hash = hashBytes(view, 0, value.length)
  const { sparse } = attributes
  const known = sparse.find(view, 0, value.length, hash)
  const id = known < 0 ? sparse.addValue(value, view, 0, value.length, hash) : known
  sparse.push(row, key, id)
}

/** Fills a column; one that gets no value is not expected, unless it must have at least one. */
function fill(
  column: ValueColumn,
  random: SeededRandom,
  rowCount: number,
  expected: ColumnTexts,
  valuesMin = 0,
): void {
  const density = random.pick([0, 0.02, 0.5, 0.98, 1, 1])
  const append = appender(column, random, rowCount)
  const texts: (string | null)[] = []
  for (let row = 0; row < rowCount; row++) {
    const isMissing = row === rowCount - 1 && column.count < valuesMin
    texts.push(isMissing || random.chance(density) ? append(row) : null)
  }
  if (column.count > 0) expected[column.name] = texts
}

type Append = (row: number) => string | null

function appender(column: ValueColumn, random: SeededRandom, rowCount: number): Append {
  const half = (): number => (random.chance(0.3) ? random.pick(ODD_HALVES) : random.uint32() | 0)
  switch (column.kind) {
    case 'bytes':
      return bytesAppender(column, random, rowCount)
    case 'fixed64':
      return (row) => {
        const [low, high] = column.type === 'float64' ? doubleHalves(random) : [half(), half()]
        column.append(row, low, high)
        return text64(low, high, column.type)
      }
    case 'fixed32':
      return (row) => {
        const value = half()
        column.append(row, value)
        return `i:${column.type === 'uint32' ? value >>> 0 : value}`
      }
    case 'bool':
      return (row) => {
        const value = random.chance(0.5)
        column.append(row, value ? 1 : 0)
        return String(value)
      }
    case 'fixed_bytes':
      return (row) => {
        const bytes = random.bytes(column.width)
        column.append(row, new DataView(bytes.buffer), 0)
        return cellText(bytes, false)
      }
    case 'list':
      return (row) => appendList(column, row, random)
  }
}

function bytesAppender(column: BytesColumn, random: SeededRandom, rowCount: number): Append {
  const poolSize = random.pick([1, 4, 127, 128, 129, 2 * rowCount + 1])
  const pool = Array.from({ length: Math.min(poolSize, 2 * rowCount + 1) }, (_, index) =>
    column.type === 'utf8'
      ? Buffer.from(random.pick(['', 'value ', 'ä', '\u{1f600}']) + (index === 0 ? '' : index))
      : random.bytes(random.below(20)),
  )
  return (row) => {
    const bytes = Uint8Array.from(random.pick(pool))
    appendBytes(column, row, bytes)
    return cellText(column.type === 'utf8' ? Buffer.from(bytes).toString() : bytes, false)
  }
}

function appendList(column: ListColumn, row: number, random: SeededRandom): string {
  const type = column.type === 'list_float64' ? 'float64' : 'uint64'
  const length = 1 + random.below(random.pick([1, 4, 30]))
  const texts: string[] = []
  for (let index = 0; index < length; index++) {
    const [low, high] =
      type === 'float64' ? doubleHalves(random) : [random.uint32() | 0, random.pick(ODD_HALVES)]
    column.push(index, low, high)
    texts.push(text64(low, high, type))
  }
  column.append(row, length)
  return `[${texts.join(',')}]`
}

function doubleHalves(random: SeededRandom): [number, number] {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(random.chance(0.5) ? random.pick(ODD_DOUBLES) : random.fraction() * 1e6)
  return [bytes.readInt32LE(0), bytes.readInt32LE(4)]
}

function text64(low: number, high: number, type: 'uint64' | 'int64' | 'float64'): string {
  const bytes = Buffer.alloc(8)
  bytes.writeInt32LE(low, 0)
  bytes.writeInt32LE(high, 4)
  if (type === 'uint64') return `i:${bytes.readBigUInt64LE()}`
  if (type === 'int64') return `i:${bytes.readBigInt64LE()}`
  return `d:${bytes.swap64().toString('hex')}`
}
