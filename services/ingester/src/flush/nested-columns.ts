/**
 * List columns. Numeric lists are copied; events, links, exemplars and quantiles travelled as their
 * own OTLP messages (docs/format/batch.md) and get their shape here, in the flush worker.
 */
import type { LeafColumn, ListColumn } from '@tributary/common/parquet/column-values'
import { keyValuesToJson } from '@tributary/common/otlp/typed-json'
import { takeInt32, takeZeroedInt32 } from './column-scratch.ts'
import { findSlots, int32Of, type Slots } from './gather.ts'
import { forEachView, gatherBytes } from './gather-bytes.ts'
import { MessageReader } from './message-reader.ts'
import type { RowPicks } from './row-picks.ts'
import { splitMicros } from './row-times.ts'
import type { TableColumnViews } from './source-table.ts'
import { BytesSink, Int64Sink } from './value-sinks.ts'

export type NestedKind = 'events' | 'links' | 'exemplars' | 'quantiles'

/** Element positions per row: a row without a list has no elements. */
function listOf(
  picks: RowPicks,
  slots: Slots,
  elementsOfSlot: Int32Array,
  leaves: readonly LeafColumn[],
): ListColumn {
  const offsets = takeZeroedInt32(picks.rowCount + 1)
  for (let pick = 0; pick < picks.rowCount; pick++) {
    const slot = slots.pickSlot[pick]!
    if (slot >= 0) offsets[picks.pickTarget[pick]! + 1] = elementsOfSlot[slot]!
  }
  for (let row = 0; row < picks.rowCount; row++) offsets[row + 1]! += offsets[row]!
  return slots.presence === undefined
    ? { offsets, leaves }
    : { offsets, leaves, listPresence: slots.presence }
}

/** A list of doubles or 64-bit integers; both are eight bytes that are copied as they are. */
export function numericList(
  views: TableColumnViews,
  picks: RowPicks,
  element: 'double' | 'int64',
): ListColumn {
  const slots = findSlots(views, picks)
  const elementsOfSlot = takeInt32(slots.count)
  forEachView(views, picks, (view, start, end) => {
    measureLists(view.offsets!, picks.pickRow, slots.pickSlot, start, end, elementsOfSlot)
  })
  const startOfSlot = takeInt32(slots.count + 1)
  startOfSlot[0] = 0
  for (let slot = 0; slot < slots.count; slot++) {
    startOfSlot[slot + 1] = startOfSlot[slot]! + elementsOfSlot[slot]!
  }
  const total = startOfSlot[slots.count]!
  const halves = takeInt32(2 * total)
  forEachView(views, picks, (view, start, end) => {
    const from = { halves: int32Of(view), offsets: view.offsets! }
    copyLists(from, picks.pickRow, slots.pickSlot, start, end, startOfSlot, halves)
  })
  const values: LeafColumn['values'] =
    element === 'int64'
      ? { kind: 'int64', halves }
      : { kind: 'double', values: new Float64Array(halves.buffer, halves.byteOffset, total) }
  return listOf(picks, slots, elementsOfSlot, [{ values, count: total }])
}

function measureLists(
  offsets: Int32Array,
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  elementsOfSlot: Int32Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    const row = pickRow[pick]!
    if (slot >= 0) elementsOfSlot[slot] = offsets[row + 1]! - offsets[row]!
  }
}

function copyLists(
  from: { readonly halves: Int32Array; readonly offsets: Int32Array },
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  startOfSlot: Int32Array,
  halves: Int32Array,
): void {
  const values = from.halves
  const { offsets } = from
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    if (slot < 0) continue
    const last = 2 * offsets[pickRow[pick]! + 1]!
    let at = 2 * startOfSlot[slot]!
    for (let index = 2 * offsets[pickRow[pick]!]!; index < last; index++) {
      halves[at++] = values[index]!
    }
  }
}

/** A list of structs out of a column of nested messages. */
export function nestedList(views: TableColumnViews, picks: RowPicks, kind: NestedKind): ListColumn {
  const slots = findSlots(views, picks)
  const { data, offsets } = gatherBytes(views, picks, slots)
  const elementsOfSlot = takeInt32(slots.count)
  const sink = createSink(kind)
  for (let slot = 0; slot < slots.count; slot++) {
    const reader = new MessageReader(data, offsets[slot], offsets[slot + 1])
    let elements = 0
    while (reader.next()) {
      sink.add(reader.child())
      elements++
    }
    elementsOfSlot[slot] = elements
  }
  return listOf(picks, slots, elementsOfSlot, sink.leaves())
}

/** Takes elements one by one and gives their leaf columns in the order of the table's fields. */
interface ElementSink {
  add(message: MessageReader): void
  leaves(): LeafColumn[]
}

function createSink(kind: NestedKind): ElementSink {
  switch (kind) {
    case 'events':
      return new EventSink()
    case 'links':
      return new LinkSink()
    case 'exemplars':
      return new ExemplarSink()
    case 'quantiles':
      return new QuantileSink()
  }
}

const timeHigh = new Uint32Array(1)
const timeLow = new Uint32Array(1)
const timeMicros = new Int32Array(2)
const timeNanos = new Int32Array(1)

/** A time as microseconds and nanoseconds; 0 is not set, so both are null. */
class TimeSink {
  readonly micros = new Int64Sink()
  readonly nanos = new Int64Sink()

  add(low: number, high: number): void {
    if (low === 0 && high === 0) {
      this.micros.addNull()
      this.nanos.addNull()
      return
    }
    timeLow[0] = low
    timeHigh[0] = high
    splitMicros(timeHigh, timeLow, 1, timeMicros, timeNanos)
    this.micros.add(timeMicros[0]!, timeMicros[1]!)
    this.nanos.add(timeNanos[0]!, 0)
  }

  columns(): LeafColumn[] {
    return [this.micros.int64Column(), this.nanos.int32Column()]
  }
}

/** Repeated KeyValue fields as one JSON object; null when there are none. */
class AttributesSink {
  readonly #json = new BytesSink()
  #pending: Uint8Array[] = []

  collect(keyValue: Uint8Array): void {
    this.#pending.push(keyValue)
  }

  finishElement(): void {
    if (this.#pending.length === 0) {
      this.#json.addNull()
      return
    }
    this.#json.add(keyValuesToJson(this.#pending))
    this.#pending = []
  }

  column(): LeafColumn {
    return this.#json.column()
  }
}

function addText(sink: BytesSink, text: Uint8Array | undefined): void {
  if (text === undefined) sink.addNull()
  else sink.add(text)
}

function addId(sink: BytesSink, id: Uint8Array | undefined): void {
  if (id === undefined) sink.addNull()
  else sink.addHex(id)
}

/** Proto3 counts: 0 is not sent, so it is null. */
function addCount(sink: Int64Sink, count: number): void {
  if (count === 0) sink.addNull()
  else sink.add(count, 0)
}

class EventSink implements ElementSink {
  readonly #time = new TimeSink()
  readonly #name = new BytesSink()
  readonly #attributes = new AttributesSink()
  readonly #dropped = new Int64Sink()

  add(message: MessageReader): void {
    let timeLowHalf = 0
    let timeHighHalf = 0
    let name: Uint8Array | undefined
    let dropped = 0
    while (message.next()) {
      if (message.field === 1) {
        timeLowHalf = message.low
        timeHighHalf = message.high
      } else if (message.field === 2) name = message.content()
      else if (message.field === 3) this.#attributes.collect(message.content())
      else if (message.field === 4) dropped = message.low
    }
    this.#time.add(timeLowHalf, timeHighHalf)
    addText(this.#name, name)
    this.#attributes.finishElement()
    addCount(this.#dropped, dropped)
  }

  leaves(): LeafColumn[] {
    return [
      ...this.#time.columns(),
      this.#name.column(),
      this.#attributes.column(),
      this.#dropped.int64Column(),
    ]
  }
}

class LinkSink implements ElementSink {
  readonly #traceId = new BytesSink()
  readonly #spanId = new BytesSink()
  readonly #traceState = new BytesSink()
  readonly #attributes = new AttributesSink()
  readonly #dropped = new Int64Sink()
  readonly #flags = new Int64Sink()

  add(message: MessageReader): void {
    let traceId: Uint8Array | undefined
    let spanId: Uint8Array | undefined
    let traceState: Uint8Array | undefined
    let dropped = 0
    let flags = 0
    while (message.next()) {
      if (message.field === 1) traceId = message.content()
      else if (message.field === 2) spanId = message.content()
      else if (message.field === 3) traceState = message.content()
      else if (message.field === 4) this.#attributes.collect(message.content())
      else if (message.field === 5) dropped = message.low
      else if (message.field === 6) flags = message.low
    }
    addId(this.#traceId, traceId)
    addId(this.#spanId, spanId)
    addText(this.#traceState, traceState)
    this.#attributes.finishElement()
    addCount(this.#dropped, dropped)
    addCount(this.#flags, flags)
  }

  leaves(): LeafColumn[] {
    return [
      this.#traceId.column(),
      this.#spanId.column(),
      this.#traceState.column(),
      this.#attributes.column(),
      this.#dropped.int64Column(),
      this.#flags.int64Column(),
    ]
  }
}

class ExemplarSink implements ElementSink {
  readonly #time = new TimeSink()
  readonly #valueInt = new Int64Sink()
  readonly #valueDouble = new Int64Sink()
  readonly #traceId = new BytesSink()
  readonly #spanId = new BytesSink()
  readonly #attributes = new AttributesSink()

  add(message: MessageReader): void {
    let timeLowHalf = 0
    let timeHighHalf = 0
    let traceId: Uint8Array | undefined
    let spanId: Uint8Array | undefined
    let valueField = 0
    let valueLow = 0
    let valueHigh = 0
    while (message.next()) {
      if (message.field === 2) {
        timeLowHalf = message.low
        timeHighHalf = message.high
      } else if (message.field === 3 || message.field === 6) {
        valueField = message.field
        valueLow = message.low
        valueHigh = message.high
      } else if (message.field === 4) spanId = message.content()
      else if (message.field === 5) traceId = message.content()
      else if (message.field === 7) this.#attributes.collect(message.content())
    }
    this.#time.add(timeLowHalf, timeHighHalf)
    if (valueField === 6) this.#valueInt.add(valueLow, valueHigh)
    else this.#valueInt.addNull()
    if (valueField === 3) this.#valueDouble.add(valueLow, valueHigh)
    else this.#valueDouble.addNull()
    addId(this.#traceId, traceId)
    addId(this.#spanId, spanId)
    this.#attributes.finishElement()
  }

  leaves(): LeafColumn[] {
    return [
      ...this.#time.columns(),
      this.#valueInt.int64Column(),
      this.#valueDouble.doubleColumn(),
      this.#traceId.column(),
      this.#spanId.column(),
      this.#attributes.column(),
    ]
  }
}

/** Plain proto3 doubles: what is not sent is 0, and comes back as 0. */
class QuantileSink implements ElementSink {
  readonly #quantile = new Int64Sink()
  readonly #value = new Int64Sink()

  add(message: MessageReader): void {
    let quantileLow = 0
    let quantileHigh = 0
    let valueLow = 0
    let valueHigh = 0
    while (message.next()) {
      if (message.field === 1) {
        quantileLow = message.low
        quantileHigh = message.high
      } else if (message.field === 2) {
        valueLow = message.low
        valueHigh = message.high
      }
    }
    this.#quantile.add(quantileLow, quantileHigh)
    this.#value.add(valueLow, valueHigh)
  }

  leaves(): LeafColumn[] {
    return [this.#quantile.doubleColumn(), this.#value.doubleColumn()]
  }
}
