/** A local cluster of real parts under load, scraped by a real Prometheus that has our rules. */
import { setTimeout as sleep } from 'node:timers/promises'

import { ChaosLoad } from '../chaos/chaos-load.ts'
import { Cluster } from '../cluster/cluster.ts'
import { Ledger } from '../ledger/ledger.ts'
import { shortenedGroups, type Shortening } from './alert-rules.ts'
import { panelQueries } from './dashboards.ts'
import {
  PrometheusServer,
  promtool,
  type ActiveAlert,
  type ScrapeTarget,
} from './prometheus-server.ts'

export interface WatchedClusterOptions {
  /** One process without Kafka and Redis in place of all others. */
  readonly isStandalone?: boolean
  readonly routers: number
  readonly ingesters: number
  readonly partitions: number
  readonly rules: Shortening
}

const SEED = 1
const CLIENTS = 5
const REQUESTS_PER_SECOND = 5
const ITEMS_MAX = 40
const SCRAPE_SECONDS = 1
const POLL_MS = 500

export class WatchedCluster {
  readonly cluster: Cluster
  readonly load: ChaosLoad
  readonly prometheus: PrometheusServer

  private constructor(cluster: Cluster, load: ChaosLoad, prometheus: PrometheusServer) {
    this.cluster = cluster
    this.load = load
    this.prometheus = prometheus
  }

  static async start(options: WatchedClusterOptions): Promise<WatchedCluster> {
    promtool('--version')
    const cluster = await Cluster.start({ isStandalone: false, ...options, seed: SEED })
    try {
      const prometheus = await PrometheusServer.start({
        targets: targetsOf(cluster),
        groups: shortenedGroups(options.rules),
        intervalSeconds: SCRAPE_SECONDS,
      })
      const load = new ChaosLoad(cluster, new Ledger(), {
        ...{ seed: SEED, clients: CLIENTS, itemsMax: ITEMS_MAX },
        ratePerSecond: REQUESTS_PER_SECOND,
      })
      load.start()
      return new WatchedCluster(cluster, load, prometheus)
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  /** @returns panels whose query gives no number within the time */
  async panelsWithoutData(window: string, timeoutMs: number): Promise<string[]> {
    const deadlineMs = performance.now() + timeoutMs
    let missing = panelQueries(window)
    for (;;) {
      const answers = await Promise.all(
        missing.map(async (query) => {
          const samples = await this.prometheus.query(query.expr)
          return samples.some(({ value }) => Number.isFinite(value)) ? [] : [query]
        }),
      )
      missing = answers.flat()
      if (missing.length === 0 || performance.now() > deadlineMs) {
        return missing.map(({ dashboard, panel, legend }) => `${dashboard}: ${panel}, ${legend}`)
      }
      await sleep(POLL_MS)
    }
  }

  /** Names of alerts that fire now. */
  async firing(): Promise<Set<string>> {
    const alerts = await this.firingAlerts()
    return new Set(alerts.map(({ labels }) => labels['alertname'] ?? ''))
  }

  async firingAlerts(): Promise<ActiveAlert[]> {
    return (await this.prometheus.alerts()).filter(({ state }) => state === 'firing')
  }

  /** @returns those of the alerts that were not so in time */
  async untilAlerts(
    names: readonly string[],
    areFiring: boolean,
    timeoutMs: number,
  ): Promise<string[]> {
    const deadlineMs = performance.now() + timeoutMs
    let left = [...names]
    for (;;) {
      const firing = await this.firing()
      // to fire once is enough; to be silent is to be so all together
      left = (areFiring ? left : names).filter((name) => firing.has(name) !== areFiring)
      if (left.length === 0 || performance.now() > deadlineMs) return left
      await sleep(POLL_MS)
    }
  }

  async stop(): Promise<void> {
    await this.load.stop()
    this.load.close()
    await this.prometheus.stop()
    await this.cluster.stop()
  }
}

function targetsOf({ processes }: Cluster): ScrapeTarget[] {
  return processes.map(({ role, current }) => ({
    job: `tributary-${role}`,
    address: new URL(current!.adminUrl).host,
  }))
}
