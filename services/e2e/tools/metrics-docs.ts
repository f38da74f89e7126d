/** Writes docs/metrics.md from what processes of all roles register. */
import { writeFileSync } from 'node:fs'

import { takeInventory } from '../src/monitoring/metric-inventory.ts'
import { metricsPage } from '../src/monitoring/metrics-page.ts'

const PAGE = new URL('../../../docs/metrics.md', import.meta.url)

writeFileSync(PAGE, metricsPage(await takeInventory()))
