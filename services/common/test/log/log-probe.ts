/** What the tests of the Kafka log share: an open log, and a reader that remembers all it was told. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import { AppError } from '../../src/errors.ts'
import { KafkaPartitionLog } from '../../src/log/kafka-partition-log.ts'
import type { KafkaLogOptions } from '../../src/log/kafka-partition-log.ts'
import type { LogReader, LogRecord, OffsetBounds } from '../../src/log/partition-log.ts'
import type { KafkaServer } from '../../src/testing/kafka-server.ts'

const WAIT_TIMEOUT_MS = 30_000

export function openLog(
  kafka: KafkaServer,
  topic: string,
  options: Partial<KafkaLogOptions> = {},
): Promise<KafkaPartitionLog> {
  return KafkaPartitionLog.open({
    brokers: kafka.brokers,
    topic,
    access: { clientId: 'test', connectTimeoutMs: 3000 },
    profile: 'development',
    ...options,
  })
}

export interface SeenRecord {
  readonly offset: bigint
  readonly appendUnixMs: number
  readonly value: Buffer
}

/** Reads and remembers; copies what it is given. */
export class LogProbe {
  readonly records = new Map<number, SeenRecord[]>()
  readonly outOfRange: { partition: number; wanted: bigint; bounds: OffsetBounds }[] = []
  readonly troubles: AppError[] = []
  /** Called before a delivery is noted. */
  onRecords: (partition: number, records: readonly LogRecord[]) => void = () => undefined
  reader!: LogReader

  static async open(log: KafkaPartitionLog): Promise<LogProbe> {
    const probe = new LogProbe()
    probe.reader = await log.openReader({
      records: (partition, records) => {
        probe.onRecords(partition, records)
        const seen = probe.records.get(partition) ?? []
        probe.records.set(partition, seen)
        for (const { offset, appendUnixMs, value } of records) {
          seen.push({ offset, appendUnixMs, value: Buffer.from(value) })
        }
      },
      outOfRange: (partition, wanted, bounds) => {
        probe.outOfRange.push({ partition, wanted, bounds })
      },
      trouble: (error) => {
        assert.ok(error instanceof AppError)
        probe.troubles.push(error)
      },
    })
    return probe
  }

  texts(partition: number): string[] {
    return (this.records.get(partition) ?? []).map(({ value }) => value.toString())
  }

  offsets(partition: number): bigint[] {
    return (this.records.get(partition) ?? []).map(({ offset }) => offset)
  }

  /** Until so many records of the partition have come. */
  async until(partition: number, count: number): Promise<void> {
    await eventually(
      () => (this.records.get(partition)?.length ?? 0) >= count,
      () => {
        return `partition ${partition}: ${this.texts(partition).length} of ${count} records`
      },
    )
  }
}

/** Asks again until it is so. */
export async function eventually(
  isSo: () => boolean | Promise<boolean>,
  describe: () => string,
): Promise<void> {
  for (const deadlineMs = performance.now() + WAIT_TIMEOUT_MS; !(await isSo());) {
    assert.ok(performance.now() < deadlineMs, describe())
    await sleep(5)
  }
}

export function bytesOf(text: string): Buffer {
  return Buffer.from(text)
}

/** The code of an AppError, or the offset. */
export async function outcomeOf(promise: Promise<bigint>): Promise<bigint | string> {
  try {
    return await promise
  } catch (error) {
    assert.ok(error instanceof AppError, String(error))
    return error.code
  }
}
