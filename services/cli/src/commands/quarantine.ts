import { processEnvironment } from '@tributary/common/config/config'
import { KAFKA_RELATIONS, kafkaSettings } from '@tributary/common/config/kafka-settings'
import { boolean, duration } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import { flushSettings } from '@tributary/common/config/settings'
import { AppError } from '@tributary/common/errors'
import { KafkaPartitionLog, kafkaLogOptions } from '@tributary/common/log/kafka-partition-log'
import type { ObjectStore } from '@tributary/common/object-store/object-store'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { BatchReplay } from '../quarantine/batch-replay.ts'
import type { ReplayOutcome } from '../quarantine/batch-replay.ts'
import { ChainOutlines } from '../quarantine/chain-holes.ts'
import { describeBatch, readQuarantine } from '../quarantine/quarantined-batches.ts'
import type { QuarantinedBatch } from '../quarantine/quarantined-batches.ts'
import { quarantineText } from '../quarantine/quarantine-text.ts'
import { openStore, storeLocationSettings } from '../store-options.ts'
import { writeText } from '../terminal.ts'
import type { Terminal } from '../terminal.ts'

const quarantineSettings = {
  json: boolean({ default: false, sentence: 'Write a JSON document a line.' }),
  takeoverAfterMs: duration({
    default: 120_000,
    min: 0,
    max: 86_400_000,
    sentence:
      'replay: a batch that somebody began to send so long ago is looked for, and sent if not found.',
  }),
  retryWindowMs: flushSettings.retryWindowMs,
}
const settings = { ...quarantineSettings, ...storeLocationSettings, ...kafkaSettings }

export const quarantineCommand: Command = {
  synopsis: 'list|replay [flags] [KEY]',
  description:
    'list: batches of the log that could not be read or stored, with the reason, and what became of them.\n' +
    'replay: sends those whose rows are in no file to Kafka again, after what stood in the way was\n' +
    'mended. Nothing is lost or stored twice by it, however often it is run or broken off. What is\n' +
    'quarantined stays in the store. KEY takes one of them; exit status 1 where one was refused.',
  sections: [
    { title: 'Quarantine', table: quarantineSettings },
    { title: 'Store', table: storeLocationSettings },
    { title: 'Kafka, for replay', table: kafkaSettings },
  ],
  run: runQuarantine,
}

async function runQuarantine(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config, positionals } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    relations: KAFKA_RELATIONS,
    positionals: ['ACTION', 'KEY?'],
  })
  const [action, key] = positionals
  if (action !== 'list' && action !== 'replay') {
    throw new AppError('invalid_config', 'flags not understood', {
      details: { problems: ['say tributary quarantine list or tributary quarantine replay'] },
    })
  }
  const store = await openStore(config)
  try {
    const chains = new ChainOutlines(store)
    const all = await readQuarantine(store, chains)
    const chosen = key === undefined ? all : all.filter((batch) => batch.key === key)
    if (key !== undefined && chosen.length === 0) {
      throw new AppError('object_missing', 'there is no such batch in quarantine', {
        details: { key },
      })
    }
    if (action === 'replay') return await replay(store, chains, chosen, config, terminal)
    const lines = chosen.map((batch) => `${JSON.stringify(describeBatch(batch))}\n`)
    await writeText(terminal.out, config.json ? lines.join('') : quarantineText(chosen))
    return ExitStatus.ok
  } finally {
    await store.close()
  }
}

async function replay(
  store: ObjectStore,
  chains: ChainOutlines,
  batches: readonly QuarantinedBatch[],
  config: ConfigOf<typeof settings>,
  terminal: Terminal,
): Promise<number> {
  const waiting = batches.filter(({ state }) => state === 'held' || state === 'claimed')
  const counts = { sent: 0, found: 0, stored: 0, refused: 0 }
  if (waiting.length > 0) {
    const log = await KafkaPartitionLog.open(kafkaLogOptions(config))
    try {
      const runner = new BatchReplay({
        ...{ store, log, chains },
        retryWindowMs: config.retryWindowMs,
        takeoverMs: config.takeoverAfterMs,
        nowUnixMs: () => Date.now(),
      })
      for (const batch of waiting) {
        const outcome = await runner.run(batch)
        counts[outcome.kind]++
        await writeText(terminal.out, outcomeText(batch, outcome, config.json))
      }
    } finally {
      await log.close()
    }
  }
  const sum = Object.entries(counts).map(([kind, count]) => `${count} ${kind}`)
  if (!config.json) await writeText(terminal.out, `${sum.join(', ')}\n`)
  return counts.refused === 0 ? ExitStatus.ok : ExitStatus.failed
}

function outcomeText(batch: QuarantinedBatch, outcome: ReplayOutcome, isJson: boolean): string {
  if (isJson) {
    const place = 'offset' in outcome ? { offset: String(outcome.offset) } : {}
    return `${JSON.stringify({ key: batch.key, ...outcome, ...place })}\n`
  }
  const text = ((): string => {
    switch (outcome.kind) {
      case 'sent':
        return `sent to partition ${outcome.partition}, offset ${outcome.offset}`
      case 'found':
        return `was sent before: partition ${outcome.partition}, offset ${outcome.offset}`
      case 'stored':
        return 'its rows are stored'
      case 'refused':
        return `refused: ${outcome.reason}`
    }
  })()
  return `${batch.key}\n  ${text}\n`
}
