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
    'Owns partitions of the topic by lease and writes their records as Parquet to a store that all\n' +
    'ingesters share. Any number may run side by side. Every flag is an environment variable too.',
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
