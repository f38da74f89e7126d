/**
 * Looks, decides and acts, again and again, while it holds the lease. It keeps nothing that must
 * survive: what it knows it sees anew after a start, and what it began and did not finish undoes
 * itself (act/drain-keeper.ts). Nothing that ingesters do for their data waits for it.
 */
import type { Clock } from '@tributary/common/clock'
import { toAppError } from '@tributary/common/errors'
import type { Logger } from '@tributary/common/logger'
import type { ClusterMetadata, Member } from '@tributary/common/metadata/cluster-metadata'
import { DrainKeeper, type DrainTarget } from './act/drain-keeper.ts'
import { NodeDrains } from './act/node-drains.ts'
import { nextScaleInStep, type ScaleIn } from './act/scale-in.ts'
import { figuresForPeople } from './decide/cluster-figures.ts'
import { isSurplus, lastPodName } from './decide/pod-name.ts'
import {
  decideScale,
  firstHistory,
  forgetTrends,
  pressureOf,
  withAdded,
  withRemoved,
  type ScaleDecision,
  type ScaleHistory,
  type ScalePolicy,
} from './decide/scale-decision.ts'
import type {
  KubernetesCluster,
  KubernetesEvent,
  PodState,
  StatefulSetState,
} from './kubernetes/kubernetes-cluster.ts'
import type { ControllerMetrics } from './metrics.ts'
import { ClusterObserver, heldBy, type Observation } from './observe/cluster-observer.ts'
import type { IngesterControl } from './observe/ingester-control.ts'

export interface ControllerOptions {
  readonly kubernetes: KubernetesCluster
  readonly leader: { readonly isLeader: boolean }
  readonly metadata: Pick<ClusterMetadata, 'view'>
  readonly control: IngesterControl
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: ControllerMetrics
  readonly policy: ScalePolicy
  /** False: the number is left to others. */
  readonly scaling: boolean
  readonly nodeDrains: boolean
  readonly nodeDrainHoldMs: number
  readonly drainTimeoutMs: number
  readonly observeIntervalMs: number
}

/** What was seen of a pod and of the ingester in it. */
interface PodSight extends PodState {
  readonly member: Member | undefined
}

/** For so long a copy of the StatefulSet may be behind what was written. */
const WRITE_SEEN_MS_MAX = 10_000

export class Controller {
  readonly #options: ControllerOptions
  readonly #observer: ClusterObserver
  readonly #keeper: DrainKeeper
  readonly #nodeDrains: NodeDrains
  readonly #ending = new AbortController()
  #running: Promise<void> | undefined
  #history: ScaleHistory | undefined
  #scaleIn: ScaleIn | undefined
  /** What was written and is not seen yet. */
  #written: { readonly replicas: number; readonly atMs: number } | undefined
  /** Of the last decision that was logged. */
  #lastReason = ''

  constructor(options: ControllerOptions) {
    this.#options = options
    const { metadata, control, clock, logger, metrics, nodeDrainHoldMs } = options
    const onFailure = metrics.failed.bind(metrics)
    this.#observer = new ClusterObserver({ metadata, control, clock, logger, onFailure })
    this.#keeper = new DrainKeeper({ control, clock, logger, mayAct: () => this.#mayAct })
    this.#nodeDrains = new NodeDrains({ clock, logger, holdMs: nodeDrainHoldMs })
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Ends after the look that is under way; drains are left to the next one that acts. */
  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#running
    this.#options.control.keepOnly(new Set())
  }

  get #mayAct(): boolean {
    return this.#options.leader.isLeader && !this.#ending.signal.aborted
  }

  async #run(): Promise<void> {
    const { clock, observeIntervalMs, logger } = this.#options
    const { signal } = this.#ending
    while (!signal.aborted) {
      try {
        await this.#look()
      } catch (error) {
        logger.error({ err: toAppError(error) }, 'a look at the cluster failed')
      }
      await clock.sleep(observeIntervalMs, signal).catch(() => undefined)
    }
  }

  async #look(): Promise<void> {
    const { kubernetes } = this.#options
    if (!this.#mayAct) {
      this.#forget()
      return
    }
    const set = kubernetes.isSynced ? kubernetes.statefulSet : undefined
    if (set === undefined || this.#awaitsWrite(set)) return
    const { pods } = kubernetes
    const observation = await this.#observer.observe(namesOf(pods), set.replicas)
    if (!this.#mayAct) return
    if (observation === undefined) {
      // drains that can't be watched are not renewed
      if (this.#history !== undefined) this.#history = forgetTrends(this.#history)
      return
    }
    this.#options.metrics.observed(observation.figures)
    const sights = sightsOf(pods, observation.members)
    const drains = await this.#planNodeDrains(sights)
    await this.#scale(set, sights, observation)
    this.#keepDrains(set, sights, drains)
  }

  /** Another one acts, or nobody: what it finds it will see itself. */
  #forget(): void {
    this.#history = undefined
    this.#scaleIn = undefined
    this.#written = undefined
    this.#lastReason = ''
    this.#keeper.forget()
    this.#nodeDrains.forget()
  }

  #awaitsWrite({ replicas }: StatefulSetState): boolean {
    const written = this.#written
    if (written === undefined) return false
    const isSeen = written.replicas === replicas
    const isLate = this.#options.clock.monotonicMs() - written.atMs > WRITE_SEEN_MS_MAX
    if (isSeen || isLate) this.#written = undefined
    return !isSeen && !isLate
  }

  async #planNodeDrains(sights: readonly PodSight[]): Promise<ReadonlySet<string>> {
    const { nodeDrains, kubernetes, logger } = this.#options
    if (!nodeDrains) return new Set()
    const pods = sights.map((pod) => ({ ...pod, isMember: pod.member !== undefined }))
    const drains = this.#nodeDrains.plan(pods, kubernetes.cordonedNodes)
    for (const { name, node, isNew } of drains) {
      if (!isNew) continue
      logger.info(
        { ingester: name, node },
        'node is cordoned: the ingester gives its partitions away',
      )
      const message = `${name} gives its partitions away: its node ${node} is cordoned`
      await this.#tell({ type: 'Normal', reason: 'NodeDrain', message })
    }
    return new Set(drains.map(({ uid }) => uid))
  }

  async #scale(
    set: StatefulSetState,
    sights: readonly PodSight[],
    observation: Observation,
  ): Promise<void> {
    if (!this.#options.scaling) return
    const { policy, metrics } = this.#options
    const { figures } = observation
    const before = this.#history ?? firstHistory(set.replicas, figures.atMs)
    const decision = decideScale(policy, before, figures)
    this.#history = decision.history
    metrics.decided(decision)
    this.#log(decision, observation)
    if (this.#scaleIn !== undefined) {
      await this.#goOnScalingIn(this.#scaleIn, set, sights, observation)
    } else if (decision.kind === 'out') {
      await this.#scaleOut(set, decision, observation)
    } else if (decision.kind === 'in') {
      const { cause, reason, replicas: to } = decision
      const pod = lastPodName(set)
      const begunMs = figures.atMs
      this.#scaleIn = { pod, from: set.replicas, to, cause, reason, begunMs }
      this.#options.logger.info(
        { ingester: pod, reason },
        'it gives its partitions away and goes then',
      )
    }
  }

  async #scaleOut(
    set: StatefulSetState,
    { replicas, reason }: ScaleDecision,
    { figures }: Observation,
  ): Promise<void> {
    if (!(await this.#write(set.replicas, replicas))) return
    this.#history = withAdded(this.#history!, replicas, figures.atMs)
    this.#options.metrics.scaled('out')
    const message = `from ${String(set.replicas)} to ${String(replicas)} ingesters: ${reason}`
    await this.#tell({ type: 'Normal', reason: 'ScaledOut', message })
  }

  async #goOnScalingIn(
    scaleIn: ScaleIn,
    set: StatefulSetState,
    sights: readonly PodSight[],
    { view, figures }: Observation,
  ): Promise<void> {
    const { policy, drainTimeoutMs, metrics, logger } = this.#options
    const { pod, from, to, begunMs, reason } = scaleIn
    const member = sights.find(({ name }) => name === pod)?.member
    const step = nextScaleInStep(scaleIn, {
      replicas: set.replicas,
      presses: pressureOf(policy, figures) !== undefined,
      owned: member === undefined ? 0 : heldBy(view, member),
      isDraining: member?.isDraining === true,
      isMember: member !== undefined,
      nowMs: figures.atMs,
      drainTimeoutMs,
    })
    if (step === 'wait') return
    const seconds = (figures.atMs - begunMs) / 1000
    if (step === 'abandon') {
      this.#scaleIn = undefined
      metrics.drained('scale_in', 'abandoned', seconds)
      const message = `${pod} stays: the load or the number of ingesters has changed meanwhile`
      logger.info({ ingester: pod, ...figuresForPeople(figures) }, 'scale-in is called off')
      await this.#tell({ type: 'Normal', reason: 'ScaleInAbandoned', message })
      return
    }
    if (!(await this.#write(from, to))) return
    this.#scaleIn = undefined
    this.#history = withRemoved(this.#history!, to, figures.atMs)
    metrics.scaled('in')
    const isEmpty = step === 'shrink'
    metrics.drained('scale_in', isEmpty ? 'empty' : 'timed_out', seconds)
    const how = isEmpty
      ? `${pod} gave its partitions away in ${seconds.toFixed(1)} s`
      : `${pod} did not give its partitions away in ${seconds.toFixed(0)} s, it does while it stops`
    const message = `from ${String(from)} to ${String(to)} ingesters: ${reason}; ${how}`
    await this.#tell({ type: isEmpty ? 'Normal' : 'Warning', reason: 'ScaledIn', message })
  }

  #keepDrains(
    set: StatefulSetState,
    sights: readonly PodSight[],
    nodeDrains: ReadonlySet<string>,
  ): void {
    const pod = this.#scaleIn?.pod
    const living = new Set<string>()
    const targets: DrainTarget[] = []
    for (const { uid, name, member, isTerminating } of sights) {
      // one that stops drains by itself, and one that is gone needs no word
      if (member === undefined || isTerminating) continue
      living.add(uid)
      const isWanted = name === pod || nodeDrains.has(uid) || isSurplus(set, name)
      if (isWanted) targets.push({ uid, name, address: member.address })
    }
    // of what was just written `set` does not know yet: the one removed must not be called back
    if (this.#written === undefined) this.#keeper.keep(targets, living)
  }

  /** @returns whether it was done; what failed is decided anew */
  async #write(from: number, to: number): Promise<boolean> {
    const { kubernetes, clock, metrics, logger } = this.#options
    if (!this.#mayAct) return false
    try {
      await kubernetes.scale(from, to)
    } catch (error) {
      metrics.failed('kubernetes')
      logger.warn({ err: toAppError(error), from, to }, 'the number of ingesters could not be set')
      return false
    }
    this.#written = { replicas: to, atMs: clock.monotonicMs() }
    return true
  }

  /** Events are for people: one that fails stops nothing. */
  async #tell(event: KubernetesEvent): Promise<void> {
    const { kubernetes, metrics, logger } = this.#options
    if (!this.#mayAct) return
    logger.info({ event: event.reason }, event.message)
    try {
      await kubernetes.tell(event)
    } catch (error) {
      metrics.failed('kubernetes')
      logger.warn({ err: toAppError(error) }, 'an event could not be written')
    }
  }

  /** Every action, and what is held whenever its cause is another one than before. */
  #log({ kind, cause, replicas, reason }: ScaleDecision, { figures }: Observation): void {
    const isSame = this.#lastReason === `${kind} ${cause}`
    this.#lastReason = `${kind} ${cause}`
    const level = isSame ? 'debug' : 'info'
    const wanted = { decision: kind, cause, wanted: replicas }
    this.#options.logger[level]({ ...wanted, ...figuresForPeople(figures) }, reason)
  }
}

function namesOf(pods: readonly PodState[]): ReadonlySet<string> {
  return new Set(pods.map(({ name }) => name))
}

/** Each pod with its member; of two starts in one pod the one that takes partitions. */
function sightsOf(pods: readonly PodState[], members: readonly Member[]): readonly PodSight[] {
  return pods.map((pod) => {
    const ofPod = members.filter(({ name }) => name === pod.name)
    return { ...pod, member: ofPod.find(({ isDraining }) => !isDraining) ?? ofPod[0] }
  })
}
