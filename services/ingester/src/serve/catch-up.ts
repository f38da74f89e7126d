/**
 * Read your writes: what was acknowledged stands in the log, and its owner may not have fetched it yet.
 * A reader that asks the log how far it goes after its request came, and waits until that much is in
 * memory, sees every row that was acknowledged before.
 */
import type { Clock } from '@tributary/common/clock'
import { toAppError } from '@tributary/common/errors'
import type { PartitionLog } from '@tributary/common/log/partition-log'

export interface CatchUpOptions {
  readonly log: Pick<PartitionLog, 'bounds'>
  readonly clock: Clock
  readonly partition: number
  /** The offset behind the last row in memory. @throws AppError where nobody here knows */
  readonly end: () => bigint
  readonly waitMs: number
}

/** Fetching takes milliseconds, and waits are few: asking again costs less than telling each other. */
const POLL_MS = 10
/** A leader that moves answers again within a second or two. */
const ASK_AGAIN_MS = 100

/**
 * Waits until all that the log had when this was called is in memory, or the time is over.
 * @returns where the log ended then; undefined where it did not say
 * @throws AppError cancelled; what `end` throws
 */
export async function catchUp(
  options: CatchUpOptions,
  signal: AbortSignal,
): Promise<bigint | undefined> {
  const { clock, end, waitMs } = options
  const untilMs = clock.monotonicMs() + waitMs
  let logEnd = await askEnd(options)
  while (logEnd === undefined && clock.monotonicMs() < untilMs) {
    await clock.sleep(ASK_AGAIN_MS, signal)
    logEnd = await askEnd(options)
  }
  if (logEnd === undefined) return undefined
  while (end() < logEnd && clock.monotonicMs() < untilMs) await clock.sleep(POLL_MS, signal)
  return logEnd
}

async function askEnd({ log, partition }: CatchUpOptions): Promise<bigint | undefined> {
  try {
    return (await log.bounds()).get(partition)?.end
  } catch (error) {
    if (!toAppError(error).code.startsWith('log_')) throw error
    return undefined
  }
}
