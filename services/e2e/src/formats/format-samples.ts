/** All formats that have a fixture, and where those lie. */
import { join } from 'node:path'

import { CLUSTER_SAMPLES } from './cluster-samples.ts'
import type { FormatSample } from './format-sample.ts'
import { LOG_SAMPLES } from './log-samples.ts'
import { STORE_SAMPLES } from './store-samples.ts'

export const FORMAT_FOLDER = join(import.meta.dirname, '../../fixtures/formats')
export const REDIS_FIXTURE = 'redis-1'

export const FORMAT_SAMPLES: readonly FormatSample[] = [
  ...LOG_SAMPLES,
  ...STORE_SAMPLES,
  ...CLUSTER_SAMPLES,
]
