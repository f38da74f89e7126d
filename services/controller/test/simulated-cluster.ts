/** Whole ingesters as the pods of a StatefulSet, and controllers that scale it, in virtual time. */
import assert from 'node:assert/strict'

import { AppError } from '@tributary/common/errors'
import type { PartitionList } from '@tributary/common/ingester-service'
import { createLogger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import { ProcessClock } from '@tributary/common/testing/process-clock'
import type { MemoryClusterStore } from '@tributary/common/testing/memory-cluster-metadata'
import { partitionListOf } from '@tributary/ingester/serve/ingester-service'
import { MemoryIngester, memoryLeases } from '@tributary/ingester/testing/memory-ingester'
import { MemoryWorld } from '@tributary/ingester/testing/memory-world'
import { storedPartition } from '@tributary/ingester/testing/stored-rows'
import { testBatch, testChunk } from '@tributary/ingester/testing/test-batches'

import { Controller, type ControllerOptions } from '../src/controller.ts'
import type { PodState } from '../src/kubernetes/kubernetes-cluster.ts'
import { LeaderElection } from '../src/kubernetes/leader-election.ts'
import { ControllerMetrics } from '../src/metrics.ts'
import type { IngesterControl } from '../src/observe/ingester-control.ts'
import { MemoryKubernetes } from '../src/testing/memory-kubernetes.ts'
import { MemoryLease } from '../src/testing/memory-lease-store.ts'

const PARTITIONS = 8
/** An ingester holds about 12 batches and needs a second to write them: what it can do a second. */
const MEMTABLE_BYTES = 3000
const logger = createLogger({ name: 'test', level: 'silent' })

export const POLICY = {
  replicasMin: 1,
  replicasMax: 4,
  lagTargetSeconds: 8,
  memoryShareMax: 1,
  busyShareMax: 0.7,
  outDelayMs: 4000,
  outIntervalMs: 20_000,
  outStepMax: 2,
  inCoolDownMs: 40_000,
}

export interface SimulatedController {
  readonly controller: Controller
  readonly election: LeaderElection
  readonly clock: ProcessClock
}

export class SimulatedCluster {
  readonly world: MemoryWorld
  readonly leases: MemoryClusterStore
  readonly kubernetes: MemoryKubernetes
  /** Living processes by the name of their pod. */
  readonly ingesters = new Map<string, MemoryIngester>()
  /** By partition: what was appended. */
  readonly rows: string[][] = Array.from({ length: PARTITIONS }, () => [])
  /** Calls that controllers made to ingesters: `drain x-1`. */
  readonly calls: string[] = []
  readonly #lease: MemoryLease
  #batches = 0
  #controllers = 0

  constructor(seed: number, replicas: number) {
    this.world = new MemoryWorld({
      seed,
      partitions: PARTITIONS,
      settings: { flushIntervalMs: 2000, flushBytes: 500 },
      encoder: { delayMs: [900, 1100] },
    })
    const { clock, random } = this.world
    this.leases = memoryLeases(this.world)
    this.#lease = new MemoryLease(clock, random, { delayMsMax: 20, refused: 0, answerLost: 0 })
    this.kubernetes = new MemoryKubernetes({
      ...{ clock, name: 'x', replicas },
      startPod: (pod) => {
        void this.#startPod(pod)
      },
      stopPod: (pod) => this.#stopPod(pod),
    })
  }

  startController(more: Partial<ControllerOptions> = {}): SimulatedController {
    const clock = new ProcessClock(this.world.clock)
    const election = new LeaderElection({
      identity: `controller-${this.#controllers++}`,
      store: this.#lease.connect(),
      ...{ clock, logger, durationMs: 6000 },
      random: () => this.world.random.below(1000) / 1000,
    })
    election.start()
    const controller = new Controller({
      kubernetes: this.kubernetes,
      leader: election,
      metadata: this.leases.connect(),
      control: this.#control(),
      ...{ clock, logger, policy: POLICY, scaling: true, nodeDrains: true },
      metrics: new ControllerMetrics(createRegistry({ hasProcessMetrics: false }), () => true),
      ...{ nodeDrainHoldMs: 60_000, drainTimeoutMs: 20_000, observeIntervalMs: 1000 },
      ...more,
    })
    controller.start()
    return { controller, election, clock }
  }

  /** Lets time pass with so many batches a second, spread over the partitions. */
  async load(seconds: number, batchesPerSecond: number): Promise<void> {
    const { world } = this
    for (let tenth = 0; tenth < seconds * 10; tenth++) {
      const count =
        Math.floor(((tenth + 1) * batchesPerSecond) / 10) -
        Math.floor((tenth * batchesPerSecond) / 10)
      for (let index = 0; index < count; index++) {
        const partition = this.#batches++ % PARTITIONS
        const batch = testBatch(world.random, [testChunk(world.random)])
        world.broker.append(partition, [batch.bytes])
        this.rows[partition]!.push(...batch.rows)
      }
      await world.clock.advance(100)
    }
  }

  /** A little load until a controller makes this call. */
  async until(call: string): Promise<void> {
    for (let half = 0; half < 240; half++) {
      if (this.calls.includes(call)) return
      await this.load(0.5, 2)
    }
    assert.fail(`no ${call} in two minutes: ${this.calls.join(', ')}`)
  }

  /** Partitions that somebody owns, each once. */
  get owned(): readonly number[] {
    return [...this.ingesters.values()].flatMap(({ owned }) => owned).sort((a, b) => a - b)
  }

  async assertStoredOnce(): Promise<void> {
    // whatever is left is flushed, also where nobody adds an ingester any more
    await this.world.clock.advance(120_000)
    for (const [partition, expected] of this.rows.entries()) {
      const stored = await storedPartition(this.world.bucket, this.world.idOf(partition))
      const wrong = expected.filter((row) => stored.rows.get(row) !== 1)
      assert.deepEqual(
        [wrong.length, stored.rows.size],
        [0, expected.length],
        `partition ${partition}`,
      )
    }
  }

  #control(): IngesterControl {
    const of = (address: string): MemoryIngester => {
      const name = address.split(':')[0] ?? ''
      const one = this.ingesters.get(name)
      if (one?.ingester === undefined) throw new AppError('not_ready', 'no answer')
      return one
    }
    return {
      list: (address) =>
        Promise.resolve().then((): PartitionList => partitionListOf(of(address).ingester!)),
      drain: async (address, holdSeconds) => {
        this.calls.push(`drain ${address}`)
        await of(address).ingester!.drain(holdSeconds * 1000)
      },
      resume: (address) => {
        this.calls.push(`resume ${address}`)
        return Promise.resolve().then(() => {
          of(address).ingester!.resume(true)
        })
      },
      keepOnly: () => undefined,
    }
  }

  async #startPod({ name }: PodState): Promise<void> {
    const disk = new FaultFileSystem(this.world.random.uint32())
    const more = { memtableBytesMax: MEMTABLE_BYTES }
    this.ingesters.set(name, await MemoryIngester.start(this.world, this.leases, name, disk, more))
  }

  async #stopPod({ name }: PodState): Promise<void> {
    const one = this.ingesters.get(name)
    await one?.ingester?.stop(10_000)
    this.ingesters.delete(name)
  }
}
