/** What every process has and no simulation looks at: made once, because making it costs more than a run. */
import { createLogger } from '@tributary/common/logger'
import { Registry } from '@tributary/common/metrics'
import { IngesterMetrics } from '@tributary/ingester/metrics'
import { ProduceMetrics } from '@tributary/router/produce/produce-metrics'
import { BodyPool } from '@tributary/router/receive/body-pool'

/** Takes metrics of any number of processes and shows none. */
class SilentRegistry extends Registry {
  override registerMetric(): void {
    // several processes register the same names
  }
}

export const silentRegistry: Registry = new SilentRegistry()
export const silentLogger = createLogger({ name: 'simulation', level: 'silent' })
export const ingesterMetrics = new IngesterMetrics(silentRegistry)
export const produceMetrics = new ProduceMetrics(silentRegistry)
/** Holds what was left over: nobody reads a buffer before it is filled. */
export const envelopePool = new BodyPool()
