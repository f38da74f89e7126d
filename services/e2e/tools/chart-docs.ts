/** Writes the README of the chart from its values. */
import { writeFileSync } from 'node:fs'

import { CHART_FOLDER, chartPage } from '@tributary/e2e/kubernetes/chart-values'

writeFileSync(`${CHART_FOLDER}/README.md`, chartPage())
