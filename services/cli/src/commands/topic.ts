import { setTimeout as sleep } from 'node:timers/promises'

import { processEnvironment } from '@tributary/common/config/config'
import { KAFKA_RELATIONS, kafkaSettings } from '@tributary/common/config/kafka-settings'
import { duration, integer } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'
import { parseBrokerAddress } from '@tributary/common/log/broker-socket'
import { kafkaLogOptions } from '@tributary/common/log/kafka-partition-log'
import { TopicAdmin } from '@tributary/common/log/topic-admin'
import { BATCH_BYTES_MIN } from '@tributary/common/log/topic-check'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import type { Terminal } from '../terminal.ts'

const HOUR_MS = 3_600_000

const topicSettings = {
  partitions: integer({
    default: 24,
    min: 1,
    max: 10_000,
    sentence: 'Partitions of the new topic: no more ingesters than that can work.',
  }),
  replicationFactor: integer({
    default: 3,
    min: 1,
    max: 9,
    sentence: 'Copies of each record; one less must have a record before it is acknowledged.',
  }),
  retentionMs: duration({
    default: 72 * HOUR_MS,
    min: HOUR_MS,
    max: 365 * 24 * HOUR_MS,
    sentence: 'How long Kafka keeps records: longer than the longest outage of the bucket.',
  }),
}
const settings = { ...topicSettings, ...kafkaSettings }

/** Kafka's own default, and ours where it is less than what we need. */
const RECORD_BATCH_BYTES_MAX = Math.max(4 * 1024 * 1024, BATCH_BYTES_MIN)
const WAIT_MS = 60_000
const PAUSE_MS = 1000

export const topicCommand: Command = {
  synopsis: 'create [flags]',
  description:
    'Makes the topic between routers and ingesters with the settings that it needs. One that is\n' +
    'there already stays as it is; tributary doctor says whether it is fit.',
  sections: [
    { title: 'Topic', table: topicSettings },
    { title: 'Kafka', table: kafkaSettings },
  ],
  run: runTopic,
}

async function runTopic(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config, positionals } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    relations: KAFKA_RELATIONS,
    positionals: ['ACTION'],
  })
  if (positionals[0] !== 'create') {
    throw new AppError('invalid_config', 'flags not understood', {
      details: { problems: ['the one thing that can be done is: tributary topic create'] },
    })
  }
  const { brokers, topic, access } = kafkaLogOptions(config)
  const admin = new TopicAdmin(brokers.map(parseBrokerAddress), access)
  const isNew = await untilAnswered(() =>
    admin.create({
      topic,
      partitions: config.partitions,
      replication: config.replicationFactor,
      config: {
        'retention.ms': String(config.retentionMs),
        'min.insync.replicas': String(Math.max(1, config.replicationFactor - 1)),
        'max.message.bytes': String(RECORD_BATCH_BYTES_MAX),
      },
    }),
  )
  terminal.out.write(isNew ? `made topic ${topic}\n` : `topic ${topic} is there already\n`)
  return ExitStatus.ok
}

/** A Kafka that was started beside us may need a while; one that says no is believed. */
async function untilAnswered<T>(call: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + WAIT_MS; ;) {
    try {
      return await call()
    } catch (error) {
      const isTemporary = error instanceof AppError && error.code === 'log_unavailable'
      if (!isTemporary || Date.now() >= deadline) throw error
      await sleep(PAUSE_MS)
    }
  }
}
