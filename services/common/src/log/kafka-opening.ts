import type { Clock } from '../clock.ts'
import type { KafkaConfig } from '../config/kafka-settings.ts'
import type { Logger } from '../logger.ts'
import { AppError, toAppError } from '../errors.ts'
import { KafkaPartitionLog, kafkaLogOptions } from './kafka-partition-log.ts'

export interface KafkaOpening {
  readonly config: KafkaConfig
  readonly clock: Clock
  readonly logger: Logger
  /** Nobody waits for it any more. */
  readonly isStopping: () => boolean
}

/** Between two tries. */
const OPEN_RETRY_MS = 1000

/**
 * Opens the log at the start of a role, and waits for Kafka as long as it takes: the process is alive
 * and not ready until then.
 * @throws AppError invalid_config; draining where the process is stopped before
 */
export async function openKafkaLog(opening: KafkaOpening): Promise<KafkaPartitionLog> {
  const { config, clock, logger, isStopping } = opening
  for (let told = ''; ;) {
    try {
      return await KafkaPartitionLog.open(kafkaLogOptions(config))
    } catch (error) {
      const failure = toAppError(error)
      if (failure.code === 'invalid_config') throw failure
      if (isStopping()) throw new AppError('draining', 'stopped before Kafka came')
      if (told !== failure.code) logger.error({ err: failure }, 'the log can not be opened yet')
      told = failure.code
      await clock.sleep(OPEN_RETRY_MS)
    }
  }
}
