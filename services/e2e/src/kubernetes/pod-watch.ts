/**
 * Follows the pods of a namespace: when each came, was ready, was told to go and was gone, by this
 * machine's clock, and what ingesters log, also those that are gone. `kubectl` ends a watch now and then:
 * it is begun again, and shows first what is there.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

import type { KubernetesCluster } from './kubernetes-cluster.ts'

export interface PodLife {
  readonly name: string
  readonly component: string
  /** Unix milliseconds, as all of them. */
  readonly seenMs: number
  readyMs?: number
  stoppingMs?: number
  goneMs?: number
}

const FIELDS = [
  '.type',
  '.object.metadata.uid',
  '.object.metadata.name',
  '.object.metadata.labels.app\\.kubernetes\\.io/component',
  '.object.metadata.deletionTimestamp',
  '.object.status.containerStatuses[0].state.running.startedAt',
  '.object.status.conditions[?(@.type=="Ready")].status',
]
/** kubectl makes spaces of tabs. */
const SEPARATOR = '|'
const FORMAT = `${FIELDS.map((field) => `{${field}}`).join(SEPARATOR)}{"\\n"}`
const AGAIN_MS = 500

export class PodWatch {
  readonly #cluster: KubernetesCluster
  readonly #namespace: string
  readonly #lives = new Map<string, PodLife>()
  /** By uid; what they said stays. */
  readonly #logs = new Map<string, string>()
  readonly #children = new Set<ChildProcess>()
  readonly #ending = new AbortController()
  readonly #running: Promise<void>

  private constructor(cluster: KubernetesCluster, namespace: string) {
    this.#cluster = cluster
    this.#namespace = namespace
    this.#running = this.#watch()
  }

  static start(cluster: KubernetesCluster, namespace: string): PodWatch {
    return new PodWatch(cluster, namespace)
  }

  get lives(): readonly PodLife[] {
    return [...this.#lives.values()]
  }

  /** What every ingester has logged. */
  get logs(): readonly string[] {
    return [...this.#logs.values()]
  }

  async close(): Promise<void> {
    this.#ending.abort()
    for (const child of this.#children) child.kill()
    await this.#running
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      let rest = ''
      await this.#follow(
        ['get', 'pods', '--watch', '--output-watch-events', `--output=jsonpath=${FORMAT}`],
        (text) => {
          const lines = (rest + text).split('\n')
          rest = lines.pop() ?? ''
          for (const line of lines) this.#note(line.split(SEPARATOR))
        },
      )
      await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  #note(fields: readonly string[]): void {
    const [type, uid = '', name = '', component = '', deletion, started = '', ready] = fields
    const nowMs = Date.now()
    const life = this.#lives.get(uid) ?? { name, component, seenMs: nowMs }
    this.#lives.set(uid, life)
    if (ready === 'True') life.readyMs ??= nowMs
    if (deletion !== '') life.stoppingMs ??= nowMs
    if (type === 'DELETED') life.goneMs ??= nowMs
    if (component === 'ingester' && started !== '' && !this.#logs.has(uid)) {
      this.#logs.set(uid, '')
      void this.#follow(['logs', '--follow', name], (text) => {
        this.#logs.set(uid, `${this.#logs.get(uid) ?? ''}${text}`)
      })
    }
  }

  /** Resolves when it ends, for whatever reason. */
  async #follow(args: readonly string[], onText: (text: string) => void): Promise<void> {
    const env = { ...process.env, ...this.#cluster.environment }
    const child = spawn('kubectl', ['-n', this.#namespace, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    this.#children.add(child)
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', onText)
    await new Promise<void>((resolve) => {
      child.on('error', () => resolve())
      child.on('close', () => resolve())
    })
    this.#children.delete(child)
  }
}
