/** The state of a development cluster, asked every now and then, as text. */
import type { ClusterAccess, ClusterReport, PartitionLine } from '../cluster/cluster-view.ts'
import type { DevCluster } from './dev-cluster.ts'
import type { RoleChild } from './role-child.ts'

export interface RoleStatus {
  readonly name: string
  readonly role: 'router' | 'ingester'
  readonly isReady: boolean
  readonly restarts: number
  /** Router: items taken; ingester: rows in committed files. Per second since the last look. */
  readonly perSecond: number
  readonly partitions: readonly PartitionLine[]
}

export interface ClusterStatus {
  readonly roles: readonly RoleStatus[]
  /** Undefined while Redis does not answer. */
  readonly report: ClusterReport | undefined
}

const COUNTERS = {
  router: /^tributary_router_items_total(?:\{[^}]*\})? (\S+)$/gm,
  ingester: /^tributary_ingester_stored_rows_total(?:\{[^}]*\})? (\S+)$/gm,
} as const

export class StatusReader {
  readonly #cluster: DevCluster
  readonly #access: ClusterAccess
  readonly #before = new Map<string, { readonly count: number; readonly atMs: number }>()

  constructor(cluster: DevCluster, access: ClusterAccess) {
    this.#cluster = cluster
    this.#access = access
  }

  async read(): Promise<ClusterStatus> {
    const report = await this.#access.report().catch(() => undefined)
    const roles = this.#cluster.roles.map((role) => this.#roleStatus(role, report))
    return { roles: await Promise.all(roles), report }
  }

  async #roleStatus(child: RoleChild, report: ClusterReport | undefined): Promise<RoleStatus> {
    const { name, role, restarts } = child
    const [isReady, metrics] = await Promise.all([child.isReady(), child.metrics()])
    return {
      ...{ name, role, restarts, isReady },
      perSecond: this.#rateOf(name, sumOf(metrics, COUNTERS[role])),
      partitions: report?.partitions.filter(({ owner }) => owner === name) ?? [],
    }
  }

  #rateOf(name: string, count: number): number {
    const atMs = performance.now()
    const before = this.#before.get(name)
    this.#before.set(name, { count, atMs })
    // a process that was started again counts from 0
    if (before === undefined || count < before.count) return 0
    return ((count - before.count) * 1000) / Math.max(1, atMs - before.atMs)
  }
}

function sumOf(metrics: string, counter: RegExp): number {
  return [...metrics.matchAll(counter)].reduce((sum, [, value]) => sum + Number(value), 0)
}

/** One line: for logs. */
export function statusLine({ roles, report }: ClusterStatus): string {
  const ofRole = (wanted: RoleStatus['role']): RoleStatus[] =>
    roles.filter(({ role }) => role === wanted)
  const ready = (of: readonly RoleStatus[]): string =>
    `${of.filter(({ isReady }) => isReady).length}/${of.length}`
  const rate = (of: readonly RoleStatus[]): string =>
    Math.round(of.reduce((sum, { perSecond }) => sum + perSecond, 0)).toString()
  const [routers, ingesters] = [ofRole('router'), ofRole('ingester')]
  const partitions = report?.partitions ?? []
  const owned = partitions.filter(({ owner }) => owner !== '')
  return (
    `routers ${ready(routers)} ${rate(routers)} items/s, ` +
    `ingesters ${ready(ingesters)} ${rate(ingesters)} rows/s to files, ` +
    `partitions ${owned.length}/${partitions.length} owned, ` +
    `lag ${lagText(partitions)}, oldest unflushed ${oldestSeconds(partitions).toFixed(1)} s`
  )
}

/** A line for each process: for a terminal that is drawn again. */
export function statusScreen(status: ClusterStatus, width: number | undefined): string {
  const rows = status.roles.map((each) => {
    const { name, role, isReady, restarts, perSecond, partitions } = each
    const unit = role === 'router' ? 'items/s taken' : 'rows/s to files'
    const own =
      role === 'router'
        ? ''
        : `  ${partitions.length} partitions  lag ${lagText(partitions)}  oldest ${oldestSeconds(partitions).toFixed(1)} s`
    const again = restarts === 0 ? '' : `  started again ${restarts} times`
    const state = isReady ? 'ready    ' : 'not ready'
    const rate = Math.round(perSecond).toString().padStart(8)
    return `  ${name.padEnd(12)}${state}  ${rate} ${unit.padEnd(16)}${own}${again}`.trimEnd()
  })
  if (status.report === undefined) rows.push('  redis does not answer: partitions are not known')
  const lines = [...rows, statusLine(status)]
  return lines.map((line) => (width === undefined ? line : line.slice(0, width))).join('\n')
}

function lagText(partitions: readonly PartitionLine[]): string {
  const records = partitions.reduce((sum, { lagOffsets }) => sum + lagOffsets, 0)
  const seconds = Math.max(0, ...partitions.map(({ lagSeconds }) => lagSeconds))
  return `${records} records ${seconds.toFixed(1)} s`
}

function oldestSeconds(partitions: readonly PartitionLine[]): number {
  return Math.max(0, ...partitions.map((line) => line.oldestUnflushedSeconds))
}
