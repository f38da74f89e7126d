/**
 * Loaded into the process of a role: writes every metric that it registers to the file that this
 * module's URL names (`?file=`), a line of JSON each. Text of /metrics would not do: a metric without
 * a sample shows no labels there.
 */
import { appendFileSync } from 'node:fs'

import { Registry } from '@tributary/common/metrics'

interface RegisteredMetric {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly labelNames: readonly string[]
}

const file = new URL(import.meta.url).searchParams.get('file')
const prototype = Registry.prototype as unknown as { registerMetric: (metric: object) => void }
const register = prototype.registerMetric

prototype.registerMetric = function registerAndTell(metric) {
  register.call(this, metric)
  // its kind is set by the constructor that called us
  setImmediate(tell, metric as RegisteredMetric)
}

function tell({ name, help, type, labelNames }: RegisteredMetric): void {
  if (file !== null) appendFileSync(file, `${JSON.stringify({ name, help, type, labelNames })}\n`)
}
