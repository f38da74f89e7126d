/**
 * A copy of some objects that follows the API server: a list, then a watch. The client's own copy ends
 * with most errors; this one goes on for ever, and lists again where the server has forgotten the
 * version (410 Gone), so that nothing that was deleted meanwhile stays.
 */
import {
  ListWatch,
  Watch,
  type KubernetesListObject,
  type KubernetesObject,
} from '@kubernetes/client-node'
import type { Clock } from '@tributary/common/clock'
import type { Logger } from '@tributary/common/logger'
import { callKubernetes, type KubernetesConnection } from './kubernetes-connection.ts'

export interface ResourceMirrorOptions<Kind extends KubernetesObject> {
  readonly connection: KubernetesConnection
  /** Of the API: `/api/v1/nodes`. */
  readonly path: string
  /** What is asked for, the same as the list has. */
  readonly selector: { readonly label?: string; readonly field?: string }
  readonly list: () => Promise<KubernetesListObject<Kind>>
  readonly clock: Clock
  readonly logger: Logger
  readonly onRestart: () => void
}

const RETRY_MS_MIN = 500
const RETRY_MS_MAX = 15_000
/** A fresh list now and then heals whatever a watch has missed. */
const LIST_AGAIN_MS = 300_000

export class ResourceMirror<Kind extends KubernetesObject> {
  readonly #options: ResourceMirrorOptions<Kind>
  readonly #ending = new AbortController()
  #current: ListWatch<Kind> | undefined
  #isSynced = false
  #running: Promise<void> | undefined

  constructor(options: ResourceMirrorOptions<Kind>) {
    this.#options = options
  }

  /** Whether a list has been taken once. */
  get isSynced(): boolean {
    return this.#isSynced
  }

  get objects(): readonly Kind[] {
    return this.#current?.list() ?? []
  }

  start(): void {
    this.#running ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, logger, path, onRestart } = this.#options
    const { signal } = this.#ending
    let retryMs = RETRY_MS_MIN
    while (!signal.aborted) {
      const beganMs = clock.monotonicMs()
      try {
        await this.#follow(signal)
      } catch (error) {
        if (signal.aborted) break
        onRestart()
        if (clock.monotonicMs() - beganMs > RETRY_MS_MAX) retryMs = RETRY_MS_MIN
        logger.warn({ err: error, path, retryMs }, 'watch ended, it is begun again')
        await clock.sleep(retryMs, signal).catch(() => undefined)
        retryMs = Math.min(RETRY_MS_MAX, retryMs * 2)
      }
    }
  }

  /** Until the watch fails, or a fresh list is due; the old copy is shown until there is a new one. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { connection, path, selector, list, clock } = this.#options
    const failed = Promise.withResolvers<never>()
    failed.promise.catch(() => undefined)
    const first = Promise.withResolvers<undefined>()
    let lists = 0
    const listAndTell = async (): Promise<KubernetesListObject<Kind>> => {
      const answer = await callKubernetes(`list ${path}`, list)
      lists++
      setImmediate(() => {
        first.resolve(undefined)
      })
      return answer
    }
    const copy = new ListWatch<Kind>(
      path,
      new Watch(connection.config),
      listAndTell,
      false,
      selector.label,
      selector.field,
    )
    copy.on('error', (error: unknown) => {
      failed.reject(
        lists === 0 || error instanceof Error ? asError(error) : new Error(String(error)),
      )
    })
    const ended = new AbortController()
    const stopping = AbortSignal.any([signal, ended.signal])
    const due = clock.sleep(LIST_AGAIN_MS, stopping).catch(() => undefined)
    const starting = copy.start()
    starting.catch((error: unknown) => {
      failed.reject(asError(error))
    })
    try {
      await Promise.race([first.promise, failed.promise, due])
      if (lists > 0) {
        const before = this.#current
        this.#current = copy
        this.#isSynced = true
        await before?.stop()
        await Promise.race([failed.promise, due])
      }
    } finally {
      ended.abort()
      // what it shows stays; it follows no more, also where its watch is only just beginning
      await copy.stop()
      starting
        .then(
          () => copy.stop(),
          () => undefined,
        )
        .catch(() => undefined)
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(`watch failed: ${String(error)}`)
}
