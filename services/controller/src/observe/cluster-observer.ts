/**
 * Asks who lives (Redis), and every ingester how it is (gRPC), and adds it up. It keeps nothing but
 * counters of the last seconds, for rates. One ingester that does not answer makes figures incomplete,
 * Redis that does not makes them unknown: then nothing is decided.
 */
import type { Clock } from '@tributary/common/clock'
import { toAppError } from '@tributary/common/errors'
import type { PartitionInfo, PartitionList } from '@tributary/common/ingester-service'
import type { Logger } from '@tributary/common/logger'
import type {
  ClusterMetadata,
  ClusterView,
  Member,
} from '@tributary/common/metadata/cluster-metadata'
import type { ClusterFigures } from '../decide/cluster-figures.ts'
import type { IngesterControl } from './ingester-control.ts'
import { RateWindow } from './rate-window.ts'

export interface ClusterObserverOptions {
  readonly metadata: Pick<ClusterMetadata, 'view'>
  readonly control: IngesterControl
  readonly clock: Clock
  readonly logger: Logger
  readonly onFailure: (source: 'metadata' | 'ingester') => void
}

export interface Observation {
  readonly view: ClusterView
  /** Members with the names of our pods. */
  readonly members: readonly Member[]
  readonly figures: ClusterFigures
}

/** Long enough that a flush now and then does not look like a busy ingester. */
const RATE_WINDOW_MS = 30_000

interface Report {
  readonly member: Member
  readonly list: PartitionList | undefined
}

export class ClusterObserver {
  readonly #options: ClusterObserverOptions
  readonly #rates = new RateWindow(RATE_WINDOW_MS)

  constructor(options: ClusterObserverOptions) {
    this.#options = options
  }

  /**
   * @param podNames of the StatefulSet: others that live in the same Redis are not counted
   * @returns undefined while Redis does not answer
   */
  async observe(podNames: ReadonlySet<string>, replicas: number): Promise<Observation | undefined> {
    const { metadata, logger, onFailure, clock, control } = this.#options
    let view: ClusterView
    try {
      view = await metadata.view()
    } catch (error) {
      onFailure('metadata')
      logger.warn({ err: error }, 'no answer from redis: nothing is decided')
      return undefined
    }
    const members = view.members.filter(
      ({ role, name }) => role === 'ingester' && podNames.has(name),
    )
    control.keepOnly(new Set(members.map(({ address }) => address)))
    const working = members.filter(({ isDraining }) => !isDraining)
    const reports = await Promise.all(working.map((member) => this.#ask(member)))
    const figures = this.#sum(view, reports, replicas, clock.monotonicMs())
    return { view, members, figures }
  }

  async #ask(member: Member): Promise<Report> {
    const { control, logger, onFailure } = this.#options
    try {
      return { member, list: await control.list(member.address) }
    } catch (error) {
      onFailure('ingester')
      logger.warn({ err: toAppError(error), member: member.name }, 'an ingester does not answer')
      return { member, list: undefined }
    }
  }

  #sum(
    view: ClusterView,
    reports: readonly Report[],
    replicas: number,
    atMs: number,
  ): ClusterFigures {
    const lists = reports.flatMap(({ list }) => list ?? [])
    const partitions = lists.flatMap((list) => list.partitions)
    const moving = partitions.filter(({ haltReason }) => haltReason === '')
    const movable = lists
      .filter((list) => list.partitions.length > 1)
      .flatMap((list) => list.partitions.filter(({ haltReason }) => haltReason === ''))
    const rates = this.#rateAll(lists, partitions, atMs)
    return {
      atMs,
      replicas,
      working: reports.length,
      partitions: view.leases.size,
      unowned: [...view.leases.values()].filter(({ owner }) => owner === '').length,
      isComplete: lists.length === reports.length && lists.length > 0 && rates.isComplete,
      lagSeconds: largest(moving.map(({ backlogSeconds }) => backlogSeconds)),
      movableLagSeconds: largest(movable.map(({ backlogSeconds }) => backlogSeconds)),
      backlogRecords: sum(moving.map(({ backlogOffsets }) => Number(backlogOffsets))),
      arrivedPerSecond: rates.arrived,
      fetchedPerSecond: rates.fetched,
      memoryShare: largest(lists.map(memoryShareOf)),
      busySum: rates.busySum,
    }
  }

  #rateAll(
    lists: readonly PartitionList[],
    partitions: readonly PartitionInfo[],
    atMs: number,
  ): { isComplete: boolean; arrived: number; fetched: number; busySum: number } {
    for (const each of partitions) {
      const name = String(each.partition)
      const end = Number(each.next) + Number(each.backlogOffsets)
      this.#rates.note(`end ${name}`, end, atMs)
      this.#rates.note(`next ${name}`, Number(each.next), atMs)
    }
    for (const { member, loopBusySeconds, flushBusySeconds } of lists) {
      this.#rates.note(`loop ${member}`, loopBusySeconds, atMs)
      this.#rates.note(`flush ${member}`, flushBusySeconds, atMs)
    }
    this.#rates.keepOnly(atMs)
    const rateOf = (counter: string): number => this.#rates.perSecond(counter) ?? 0
    const busyOf = ({ member }: PartitionList): number =>
      Math.max(rateOf(`loop ${member}`), rateOf(`flush ${member}`))
    return {
      isComplete: lists.every(
        ({ member }) => this.#rates.perSecond(`loop ${member}`) !== undefined,
      ),
      arrived: sum(partitions.map(({ partition }) => rateOf(`end ${String(partition)}`))),
      fetched: sum(partitions.map(({ partition }) => rateOf(`next ${String(partition)}`))),
      busySum: sum(lists.map(busyOf)),
    }
  }
}

/** Leases that a member holds. */
export function heldBy(view: ClusterView, member: Member): number {
  return [...view.leases.values()].filter(({ owner }) => owner === member.id).length
}

function memoryShareOf({ memoryBytes, memoryBytesMax }: PartitionList): number {
  return Number(memoryBytes) / Math.max(1, Number(memoryBytesMax))
}

function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
