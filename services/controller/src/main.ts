/**
 * The controller role: scales ingesters on Kubernetes and makes their going safe. Several may run, one
 * acts. It only wires; parts start bottom up and stop top down, so that the lease is given back after
 * the last thing that was done under it.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { systemClock } from '@tributary/common/clock'
import { tuneCollector } from '@tributary/common/collector-tuning'
import type { ControllerConfig } from '@tributary/common/config/controller-settings'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { RoleProcess } from '@tributary/common/role-process'
import { Controller } from './controller.ts'
import type { ScalePolicy } from './decide/scale-decision.ts'
import { ApiKubernetesCluster } from './kubernetes/api-kubernetes-cluster.ts'
import { ApiLeaseStore } from './kubernetes/api-lease-store.ts'
import { KubernetesConnection } from './kubernetes/kubernetes-connection.ts'
import { LeaderElection } from './kubernetes/leader-election.ts'
import { ControllerMetrics } from './metrics.ts'
import { GrpcIngesterControl } from './observe/ingester-control.ts'

/** Runs until a signal; returns the exit status. */
export function runController(config: ControllerConfig): Promise<number> {
  tuneCollector()
  return new ControllerRole(config).run()
}

class ControllerRole {
  readonly #config: ControllerConfig
  readonly #process: RoleProcess
  readonly #metrics: ControllerMetrics
  readonly #name: string
  readonly #kubernetes: ApiKubernetesCluster
  readonly #election: LeaderElection
  #redis: RedisConnection | undefined
  #controller: Controller | undefined

  constructor(config: ControllerConfig) {
    this.#config = config
    this.#name = config.memberName ?? hostname()
    this.#process = new RoleProcess({
      name: 'controller',
      config,
      logLevel: config.logLevel,
      isReady: () => this.#notReadyReason === undefined,
      notReadyReason: () => this.#notReadyReason,
    })
    this.#metrics = new ControllerMetrics(this.#process.registry, () => this.#election.isLeader)
    const { kubeconfig, kubernetesNamespace: namespace, statefulSet, nodeDrains } = config
    const connection = new KubernetesConnection({ kubeconfig, namespace })
    const { logger } = this.#process
    this.#kubernetes = new ApiKubernetesCluster({
      connection,
      statefulSet,
      instance: this.#name,
      readsNodes: nodeDrains,
      clock: systemClock,
      logger,
      onRestart: () => {
        this.#metrics.failed('watch')
      },
    })
    this.#election = new LeaderElection({
      identity: `${this.#name}_${randomBytes(6).toString('hex')}`,
      store: new ApiLeaseStore(connection, config.leaseName),
      clock: systemClock,
      logger,
      durationMs: config.leaseDurationMs,
      random: Math.random,
    })
  }

  run(): Promise<number> {
    this.#process.addAdmin()
    this.#process.add({
      name: 'redis',
      start: () => {
        this.#redis = new RedisConnection({
          address: redisAddress(this.#config),
          name: 'controller',
          timeoutMs: this.#config.redisTimeoutMs,
          logger: this.#process.logger,
        })
      },
      stop: () => this.#redis?.close(),
    })
    this.#process.add({
      name: 'kubernetes',
      start: () => {
        this.#kubernetes.start()
      },
      stop: () => this.#kubernetes.stop(),
    })
    this.#process.add({
      name: 'leader election',
      start: () => {
        this.#election.start()
      },
      stop: () => this.#election.stop(),
    })
    this.#process.add({
      name: 'controller',
      start: () => {
        this.#startController()
      },
      stop: () => this.#controller?.stop(),
    })
    return this.#process.run()
  }

  get #notReadyReason(): string | undefined {
    if (!this.#kubernetes.isSynced) return 'the API server of kubernetes has not answered yet'
    const { statefulSet } = this.#config
    const isThere = this.#kubernetes.statefulSet !== undefined
    return isThere ? undefined : `there is no StatefulSet ${statefulSet}`
  }

  #startController(): void {
    const config = this.#config
    const connection = this.#redis!
    this.#controller = new Controller({
      ...config,
      kubernetes: this.#kubernetes,
      leader: this.#election,
      metadata: new RedisClusterMetadata({ connection, prefix: config.redisPrefix }),
      control: new GrpcIngesterControl(),
      clock: systemClock,
      logger: this.#process.logger,
      metrics: this.#metrics,
      policy: policyOf(config),
    })
    this.#controller.start()
    const ports = { admin: this.#process.adminPort, adminGrpc: this.#process.adminGrpcPort }
    this.#process.logger.info({ ports, statefulSet: config.statefulSet }, 'watching')
  }
}

export function policyOf(config: ControllerConfig): ScalePolicy {
  return {
    replicasMin: config.replicasMin,
    replicasMax: config.replicasMax,
    lagTargetSeconds: config.lagTargetMs / 1000,
    memoryShareMax: config.memoryPercentMax / 100,
    busyShareMax: config.busyPercentMax / 100,
    outDelayMs: config.scaleOutDelayMs,
    outIntervalMs: config.scaleOutIntervalMs,
    outStepMax: config.scaleOutStepMax,
    inCoolDownMs: config.scaleInCoolDownMs,
  }
}
