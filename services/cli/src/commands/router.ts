import { processEnvironment } from '@tributary/common/config/config'
import {
  ROUTER_RELATIONS,
  ROUTER_SECTIONS,
  routerSettings,
} from '@tributary/common/config/router-settings'
import { parseSettings } from '@tributary/common/config/setting-table'
import { runRouter } from '@tributary/router/main'

import type { Command } from '../command.ts'

export const routerCommand: Command = {
  synopsis: '[flags]',
  description:
    'Takes OTLP over gRPC and HTTP, answers once all replicas in Kafka have it. Any number of them may\n' +
    'run side by side; they agree through Redis. Every flag is an environment variable too.',
  sections: ROUTER_SECTIONS,
  run: async (args) => {
    const { config } = parseSettings(routerSettings, {
      args,
      environment: processEnvironment(),
      relations: ROUTER_RELATIONS,
    })
    return runRouter(config)
  },
}
