/** Writes docs/configuration.md from the tables of settings. */
import { writeFileSync } from 'node:fs'

import { configurationPage } from '@tributary/common/config/configuration-page'

const PAGE = new URL('../../../docs/configuration.md', import.meta.url)

writeFileSync(PAGE, configurationPage())
