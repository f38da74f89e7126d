import { processEnvironment } from '@tributary/common/config/config'
import { parseSettings } from '@tributary/common/config/setting-table'
import {
  STANDALONE_RELATIONS,
  STANDALONE_SECTIONS,
  standaloneSettings,
} from '@tributary/common/config/settings'
import { runStandalone } from '@tributary/standalone/main'

import type { Command } from '../command.ts'

export const standaloneCommand: Command = {
  synopsis: '[flags]',
  description:
    'Takes OTLP over gRPC and HTTP, answers once it is safe on disk, and writes Parquet. One process,\n' +
    'no other service needed. Every flag is an environment variable too: docs/configuration.md.',
  sections: STANDALONE_SECTIONS,
  run: async (args) => {
    const { config } = parseSettings(standaloneSettings, {
      args,
      environment: processEnvironment(),
      relations: STANDALONE_RELATIONS,
    })
    return runStandalone(config)
  },
}
