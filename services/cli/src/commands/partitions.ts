import { once } from 'node:events'

import { processEnvironment } from '@tributary/common/config/config'
import { REDIS_RELATIONS, redisSettings } from '@tributary/common/config/redis-settings'
import { boolean, duration } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'

import { adminAccessSettings } from '../cluster/cluster-options.ts'
import { ClusterAccess } from '../cluster/cluster-view.ts'
import { partitionsText } from '../cluster/partitions-text.ts'
import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { writeText } from '../terminal.ts'
import type { Terminal } from '../terminal.ts'

const partitionsSettings = {
  json: boolean({ default: false, sentence: 'Write members and partitions as JSON.' }),
  watch: boolean({ default: false, sentence: 'Show them again and again, until Ctrl-C.' }),
  intervalMs: duration({
    default: 2000,
    min: 100,
    max: 3_600_000,
    sentence: 'How often, with --watch.',
  }),
  ...adminAccessSettings,
}
const settings = { ...partitionsSettings, ...redisSettings }

export const partitionsCommand: Command = {
  synopsis: '[flags]',
  description:
    'Shows for each partition of a cluster who owns it, what of it is in Kafka but in no file, in records\n' +
    'and in seconds, how many rows are in memory and since when, and through when all that arrived is\n' +
    'visible.',
  sections: [
    { title: 'Partitions', table: partitionsSettings },
    { title: 'Redis', table: redisSettings },
  ],
  run: runPartitions,
}

const CLEAR = '\u001b[H\u001b[2J'

async function runPartitions(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    relations: REDIS_RELATIONS,
  })
  const access = await ClusterAccess.open(config, config.adminTls)
  const show = async (): Promise<void> => {
    const report = await access.report()
    const text = config.json ? `${JSON.stringify(report)}\n` : partitionsText(report)
    const isRedrawn = config.watch && !config.json && terminal.isInteractive
    await writeText(terminal.out, isRedrawn ? CLEAR + text : text)
  }
  try {
    await show()
    if (config.watch) await untilInterrupted(config.intervalMs, show)
    return ExitStatus.ok
  } finally {
    access.close()
  }
}

async function untilInterrupted(intervalMs: number, show: () => Promise<void>): Promise<void> {
  const interrupted = once(process, 'SIGINT').then(() => true)
  for (;;) {
    const pause = Promise.withResolvers<false>()
    const timer = setTimeout(() => {
      pause.resolve(false)
    }, intervalMs)
    const isOver = await Promise.race([interrupted, pause.promise])
    clearTimeout(timer)
    if (isOver) return
    await show()
  }
}
