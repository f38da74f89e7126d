/** A local cluster of real parts under load, scraped by a real Prometheus that has our rules. */
import { setTimeout as sleep } from 'node:timers/promises'

import { ChaosLoad } from '../chaos/chaos-load.ts'
import { Cluster } from '../cluster/cluster.ts'
import { Ledger } from '../ledger/ledger.ts'
import { shortenedGroups, type Shortening } from './alert-rules.ts'
import { panelQueries } from './dashboards.ts'
import { WatchedControllers } from './watched-controllers.ts'
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
  /** Controllers beside it, with an API server of Kubernetes, or with one that never answers. */
  readonly controllers?: 'api server' | 'nobody answers'
}

const SEED = 1
const CLIENTS = 5
const REQUESTS_PER_SECOND = 5
const ITEMS_MAX = 40
const CONTROLLERS = 2
const SCRAPE_SECONDS = 1
const POLL_MS = 500

export class WatchedCluster {
  readonly cluster: Cluster
  readonly load: ChaosLoad
  readonly prometheus: PrometheusServer
  readonly controllers: WatchedControllers | undefined

  private constructor(
    cluster: Cluster,
    load: ChaosLoad,
    prometheus: PrometheusServer,
    controllers: WatchedControllers | undefined,
  ) {
    this.cluster = cluster
    this.load = load
    this.prometheus = prometheus
    this.controllers = controllers
  }

  static async start(options: WatchedClusterOptions): Promise<WatchedCluster> {
    promtool('--version')
    const cluster = await Cluster.start({ isStandalone: false, ...options, seed: SEED })
    let controllers: WatchedControllers | undefined
    try {
      if (options.controllers !== undefined) {
        const isReal = options.controllers === 'api server'
        controllers = await WatchedControllers.start(cluster, CONTROLLERS, isReal)
      }
      const prometheus = await PrometheusServer.start({
        targets: [...targetsOf(cluster), ...controllerTargets(controllers)],
        groups: shortenedGroups(options.rules),
        intervalSeconds: SCRAPE_SECONDS,
      })
      const load = new ChaosLoad(cluster, new Ledger(), {
        ...{ seed: SEED, clients: CLIENTS, itemsMax: ITEMS_MAX },
        ...{ ratePerSecond: REQUESTS_PER_SECOND, rejectedShare: 0 },
      })
      load.start()
      return new WatchedCluster(cluster, load, prometheus, controllers)
    } catch (error) {
      await controllers?.stop()
      await cluster.stop()
      throw error
    }
  }

  /** @returns how many queries panels have, and the panels whose query gives no number within the time */
  async panelsWithoutData(
    window: string,
    timeoutMs: number,
  ): Promise<{ queries: number; missing: string[] }> {
    const deadlineMs = performance.now() + timeoutMs
    const all = panelQueries(window)
    let missing = all
    for (;;) {
      const answers = await Promise.all(
        missing.map(async (query) => {
          const samples = await this.prometheus.query(query.expr)
          return samples.some(({ value }) => Number.isFinite(value)) ? [] : [query]
        }),
      )
      missing = answers.flat()
      if (missing.length === 0 || performance.now() > deadlineMs) {
        const names = missing.map(
          ({ dashboard, panel, legend }) => `${dashboard}: ${panel}, ${legend}`,
        )
        return { queries: all.length, missing: names }
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
    const since = await this.secondsUntil(names, areFiring, timeoutMs)
    return names.filter((name) => !since.has(name))
  }

  /**
   * To fire once is enough; to be silent is to be so all together, each since it fired last.
   * @returns by alert, the seconds until it was so; those that were not in time are missing
   */
  async secondsUntil(
    names: readonly string[],
    areFiring: boolean,
    timeoutMs: number,
  ): Promise<Map<string, number>> {
    const startMs = performance.now()
    const since = new Map<string, number>()
    for (;;) {
      const firing = await this.firing()
      const seconds = (performance.now() - startMs) / 1000
      for (const name of names) {
        if (firing.has(name) === areFiring) since.set(name, since.get(name) ?? seconds)
        else if (!areFiring) since.delete(name)
      }
      if (since.size === names.length || seconds * 1000 > timeoutMs) return since
      await sleep(POLL_MS)
    }
  }

  async stop(): Promise<void> {
    await this.load.stop()
    this.load.close()
    await this.prometheus.stop()
    await this.controllers?.stop()
    await this.cluster.stop()
  }
}

function controllerTargets(controllers: WatchedControllers | undefined): ScrapeTarget[] {
  return (controllers?.addresses ?? []).map((address) => ({ job: 'tributary-controller', address }))
}

function targetsOf({ processes }: Cluster): ScrapeTarget[] {
  return processes.map(({ role, current }) => ({
    job: `tributary-${role}`,
    address: new URL(current!.adminUrl).host,
  }))
}
