/**
 * Finds out whether a record that could not be read is bad in the log or was bent on its way: Kafka's
 * client checks no checksum of what it fetches, so a flipped bit on the wire looks like a bad record.
 * It is fetched again, each time over a connection of its own.
 */
import type { Clock } from '@tributary/common/clock'
import {
  decodeEnvelope,
  isNewerEnvelope,
  type EnvelopeHeader,
} from '@tributary/common/columnar/envelope'
import { AppError, toAppError } from '@tributary/common/errors'
import type { LogReader, LogRecord, PartitionLog } from '@tributary/common/log/partition-log'
import type { Logger } from '@tributary/common/logger'

/** Fetches of one record before it counts as bad. */
const REFETCHES_MAX = 3
/** A new consumer of Kafka needs some seconds until it fetches. */
const REFETCH_TIMEOUT_MS = 60_000
const RETRY_DELAY_MS_MIN = 500
const RETRY_DELAY_MS_MAX = 30_000

export interface RecordCheckOptions {
  readonly log: PartitionLog
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** A record of its own memory. */
export type CheckedRecord = LogRecord & { readonly header: EnvelopeHeader | undefined } & {
  /** Why it can't be read, where it can't. */
  readonly reason: string
  /** It says that a newer build wrote it. */
  readonly isNewer: boolean
}

/**
 * Fetches a record again until it can be read, at most three times; a log that does not answer is
 * waited for and costs no try.
 * @throws AppError cancelled
 */
export async function checkRecord(
  options: RecordCheckOptions,
  partition: number,
  offset: bigint,
): Promise<CheckedRecord> {
  const { clock, logger, signal } = options
  let delayMs = RETRY_DELAY_MS_MIN
  for (let fetched = 0; ;) {
    let record: LogRecord
    try {
      record = await fetchOne(options, partition, offset)
    } catch (error) {
      if (signal.aborted) throw error
      logger.warn({ err: error, partition, offset: String(offset) }, 'record can not be fetched')
      await clock.sleep(delayMs, signal)
      delayMs = Math.min(2 * delayMs, RETRY_DELAY_MS_MAX)
      continue
    }
    fetched++
    try {
      const { header } = decodeEnvelope(record.value)
      return { ...record, header, reason: '', isNewer: false }
    } catch (error) {
      const reason = toAppError(error).message
      if (fetched < REFETCHES_MAX) continue
      return { ...record, header: undefined, reason, isNewer: isNewerEnvelope(error) }
    }
  }
}

/** Reads one record with a reader of its own. */
async function fetchOne(
  { log, clock, signal }: RecordCheckOptions,
  partition: number,
  offset: bigint,
): Promise<LogRecord> {
  const found = Promise.withResolvers<LogRecord>()
  // it may fail before the reader is open and anybody waits for it
  found.promise.catch(() => undefined)
  const fail = (message: string, cause?: unknown): void => {
    found.reject(new AppError('log_unavailable', message, { cause, details: { partition } }))
  }
  const onAbort = (): void => {
    found.reject(new AppError('cancelled', 'the record is not needed any more'))
  }
  const timer = clock.after(REFETCH_TIMEOUT_MS, () => {
    fail('record was not fetched in time')
  })
  signal.addEventListener('abort', onAbort)
  let reader: LogReader | undefined
  try {
    if (signal.aborted) onAbort()
    reader = await log.openReader({
      records: (_partition, [record]) => {
        if (record?.offset !== offset) return
        found.resolve({ ...record, value: new Uint8Array(record.value) })
      },
      outOfRange: () => {
        fail('record is not in the log any more')
      },
      trouble: () => undefined,
    })
    reader.resume(partition, offset)
    return await found.promise
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', onAbort)
    // nobody waits for what a fetch under way still brings
    void reader?.close().catch(() => undefined)
  }
}
