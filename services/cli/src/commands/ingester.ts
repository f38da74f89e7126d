import { processEnvironment } from '@tributary/common/config/config'
import {
  INGESTER_RELATIONS,
  INGESTER_SECTIONS,
  ingesterSettings,
} from '@tributary/common/config/ingester-settings'
import { parseSettings } from '@tributary/common/config/setting-table'
import { runIngester } from '@tributary/ingester/main'

import type { Command } from '../command.ts'

export const ingesterCommand: Command = {
  synopsis: '[flags]',
  description:
    'Takes what routers put into Kafka and writes Parquet to the object store, each row once. Any number\n' +
    'of them may run side by side; they share the partitions through Redis. Every flag is an environment\n' +
    'variable too.',
  sections: INGESTER_SECTIONS,
  run: async (args) => {
    const { config } = parseSettings(ingesterSettings, {
      args,
      environment: processEnvironment(),
      relations: INGESTER_RELATIONS,
    })
    return runIngester(config)
  },
}
