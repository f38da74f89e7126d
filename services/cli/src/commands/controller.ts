import { processEnvironment } from '@tributary/common/config/config'
import {
  CONTROLLER_RELATIONS,
  CONTROLLER_SECTIONS,
  controllerSettings,
} from '@tributary/common/config/controller-settings'
import { parseSettings } from '@tributary/common/config/setting-table'
import { runController } from '@tributary/controller/main'

import type { Command } from '../command.ts'

export const controllerCommand: Command = {
  synopsis: '[flags]',
  description:
    'On Kubernetes: scales ingesters by lag, drain rate and memory, and lets those that go give their\n' +
    'partitions away first. Nothing is lost while none runs. Every flag is an environment variable too.',
  sections: CONTROLLER_SECTIONS,
  run: async (args) => {
    const { config } = parseSettings(controllerSettings, {
      args,
      environment: processEnvironment(),
      relations: CONTROLLER_RELATIONS,
    })
    return runController(config)
  },
}
