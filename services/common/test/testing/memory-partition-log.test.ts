import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '../../src/errors.ts'
import type { OffsetBounds } from '../../src/log/partition-log.ts'
import { MemoryLogBroker } from '../../src/testing/memory-log-broker.ts'
import type { MemoryLogOptions } from '../../src/testing/memory-log-broker.ts'
import { TROUBLED_LOG } from '../../src/testing/memory-log-faults.ts'
import { MemoryPartitionLog } from '../../src/testing/memory-partition-log.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'

function makeLog(options: Partial<MemoryLogOptions> = {}) {
  const clock = new VirtualClock()
  const broker = new MemoryLogBroker({ clock, seed: 1, partitions: 3, ...options })
  return { clock, broker, log: new MemoryPartitionLog(broker) }
}

function makeHandler() {
  const read: { partition: number; offset: bigint; text: string }[] = []
  const outOfRange: { partition: number; wanted: bigint; bounds: OffsetBounds }[] = []
  const troubles: unknown[] = []
  return {
    read,
    outOfRange,
    troubles,
    records: (partition: number, records: readonly { offset: bigint; value: Uint8Array }[]) => {
      for (const { offset, value } of records) {
        read.push({ partition, offset, text: Buffer.from(value).toString() })
      }
    },
  }
}

type Handler = ReturnType<typeof makeHandler>

async function openReader({ clock, log }: ReturnType<typeof makeLog>, handler: Handler) {
  const opening = log.openReader({
    records: handler.records,
    outOfRange: (partition, wanted, bounds) => {
      handler.outOfRange.push({ partition, wanted, bounds })
    },
    trouble: (error) => handler.troubles.push(error),
  })
  await clock.advance(100)
  return opening
}

const text = (value: string): Uint8Array => Buffer.from(value)

async function outcomeOf(promise: Promise<bigint>): Promise<bigint | string> {
  try {
    return await promise
  } catch (error) {
    assert.ok(error instanceof AppError)
    return error.code
  }
}

describe('MemoryPartitionLog', () => {
  it('delivers what was produced, in order, from the wanted offset on', async () => {
    const set = makeLog()
    const first = set.log.produce(1, [text('a'), text('b')], 1000)
    await set.clock.advance(10)
    assert.equal(await first, 0n)
    const handler = makeHandler()
    const reader = await openReader(set, handler)
    reader.resume(1, 1n)
    await set.clock.advance(10)
    const second = set.log.produce(1, [text('c')], 1000)
    await set.clock.advance(10)
    assert.equal(await second, 2n)
    assert.deepEqual(handler.read, [
      { partition: 1, offset: 1n, text: 'b' },
      { partition: 1, offset: 2n, text: 'c' },
    ])
  })

  it('delivers nothing between pause and resume', async () => {
    const set = makeLog()
    const handler = makeHandler()
    const reader = await openReader(set, handler)
    reader.resume(0, 0n)
    set.broker.append(0, [text('a')])
    reader.pause(0)
    await set.clock.advance(100)
    assert.deepEqual(handler.read, [])
    reader.resume(0, 0n)
    await set.clock.advance(100)
    assert.equal(handler.read.length, 1)
  })

  it('says so when the wanted offset is deleted or was never there', async () => {
    const set = makeLog()
    set.broker.append(0, [text('a'), text('b')])
    set.broker.append(1, [text('a')])
    set.broker.deleteBefore(0, 1n)
    const handler = makeHandler()
    const reader = await openReader(set, handler)
    reader.resume(0, 0n)
    reader.resume(1, 5n)
    await set.clock.advance(100)
    assert.deepEqual(handler.outOfRange, [
      { partition: 0, wanted: 0n, bounds: { start: 1n, end: 2n } },
      { partition: 1, wanted: 5n, bounds: { start: 0n, end: 1n } },
    ])
    assert.deepEqual(handler.read, [])
  })

  it('notices under a waiting reader that the end moved back', async () => {
    const set = makeLog()
    set.broker.append(0, [text('a'), text('b')])
    const handler = makeHandler()
    const reader = await openReader(set, handler)
    reader.resume(0, 0n)
    await set.clock.advance(100)
    set.broker.truncateAt(0, 1n)
    await set.clock.advance(100)
    assert.equal(handler.outOfRange[0]?.wanted, 2n)
  })

  it('is another log when the topic was made anew', async () => {
    const set = makeLog()
    const handler = makeHandler()
    const reader = await openReader(set, handler)
    reader.resume(0, 0n)
    await set.clock.advance(10)
    set.broker.recreate()
    const produced = outcomeOf(set.log.produce(0, [text('a')], 1000))
    await set.clock.advance(100)
    assert.equal(await produced, 'log_unfit')
    const [trouble] = handler.troubles
    assert.ok(trouble instanceof AppError && trouble.code === 'log_unfit')
    assert.notEqual(new MemoryPartitionLog(set.broker).logId, set.log.logId)
  })

  it('overwrites a view as soon as the call is over', async () => {
    const set = makeLog()
    set.broker.append(0, [text('abc')])
    const kept: Uint8Array[] = []
    const opening = set.log.openReader({
      records: (_partition, records) => kept.push(...records.map(({ value }) => value)),
      outOfRange: () => undefined,
      trouble: () => undefined,
    })
    await set.clock.advance(100)
    const reader = await opening
    reader.resume(0, 0n)
    await set.clock.advance(100)
    assert.deepEqual([...kept[0]!], [0xdd, 0xdd, 0xdd])
  })

  it('never answers after a crash, and rejects what is under way on close', async () => {
    const set = makeLog()
    const other = new MemoryPartitionLog(set.broker)
    let hasSettled = false
    const settle = (): void => void (hasSettled = true)
    set.log.produce(0, [text('a')], 50).then(settle, settle)
    set.log.crash()
    const closed = outcomeOf(other.produce(0, [text('b')], 50))
    await other.close()
    await set.clock.advance(200)
    assert.equal(hasSettled, false)
    assert.equal(await closed, 'log_unavailable')
  })

  it('misbehaves in every way it has, the same way for a seed, and loses no acknowledged record', async () => {
    const run = async (seed: number) => {
      const set = makeLog({ seed, faults: TROUBLED_LOG })
      const handler = makeHandler()
      const reader = await openReader(set, handler)
      reader.resume(0, 0n)
      const outcomes: (bigint | string)[] = []
      for (let call = 0; call < 400; call++) {
        const outcome = outcomeOf(set.log.produce(0, [text(`value ${call}`)], 30))
        await set.clock.advance(100)
        outcomes.push(await outcome)
      }
      await set.clock.advance(10_000)
      return { outcomes, handler, stored: set.broker.stored(0) }
    }
    const { outcomes, handler, stored } = await run(7)
    const storedTexts = stored.map(({ value }) => Buffer.from(value).toString())
    const callsOf = (code: string): number[] =>
      outcomes.flatMap((outcome, call) => (outcome === code ? [call] : []))
    const failed = callsOf('log_unavailable')
    assert.ok(
      failed.some((call) => storedTexts.includes(`value ${call}`)),
      'no lost answer',
    )
    assert.ok(
      failed.some((call) => !storedTexts.includes(`value ${call}`)),
      'nothing refused',
    )
    assert.ok(new Set(storedTexts).size < storedTexts.length, 'no duplicate')
    outcomes.forEach((outcome, call) => {
      if (typeof outcome === 'bigint') assert.equal(storedTexts[Number(outcome)], `value ${call}`)
    })
    assert.deepEqual(
      handler.read.map(({ offset }) => offset),
      stored.map(({ offset }) => offset),
    )
    assert.ok(
      handler.read.some((record, index) => record.text !== storedTexts[index]),
      'no flip',
    )
    assert.ok(handler.troubles.length > 0)
    const again = await run(7)
    assert.deepEqual([again.outcomes, again.stored], [outcomes, stored])
  })
})
