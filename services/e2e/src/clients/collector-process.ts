/**
 * A real OpenTelemetry Collector in a process of its own, with its exporters' own defaults for
 * retries, queue and timeout, and what it says about itself: what it sent, failed to send, dropped.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

import { findCollector } from '@tributary/common/testing/collector-programs'
import { endWithUs } from '@tributary/common/testing/end-with-us'
import { freePort } from '@tributary/common/testing/free-port'

const READY_TIMEOUT_MS = 30_000
const POLL_MS = 100
const LOG_LINES_MAX = 400

export interface CollectorConfig {
  readonly receivers: Readonly<Record<string, object>>
  readonly processors?: Readonly<Record<string, object>>
  readonly exporters: Readonly<Record<string, object>>
  /** By name, as `logs` or `metrics/host`. */
  readonly pipelines: Readonly<Record<string, object>>
}

export class CollectorProcess {
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #metricsUrl: string
  readonly #log: string[] = []

  private constructor(child: ChildProcess, folder: string, metricsUrl: string) {
    this.#child = child
    this.#folder = folder
    this.#metricsUrl = metricsUrl
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#log.push(line)
        if (this.#log.length > LOG_LINES_MAX) this.#log.shift()
      })
    }
    endWithUs(child)
  }

  /** Starts it and waits until it answers. */
  static async start(config: CollectorConfig): Promise<CollectorProcess> {
    const { pipelines, ...components } = config
    const folder = await mkdtemp(join(tmpdir(), 'tributary-collector-'))
    const port = await freePort()
    const reader = { pull: { exporter: { prometheus: { host: '127.0.0.1', port } } } }
    const service = { pipelines, telemetry: { metrics: { readers: [reader] } } }
    const path = join(folder, 'collector.json')
    await writeFile(path, JSON.stringify({ ...components, service }))
    const child = spawn(findCollector(), ['--config', path], { stdio: ['ignore', 'pipe', 'pipe'] })
    const collector = new CollectorProcess(child, folder, `http://127.0.0.1:${port}/metrics`)
    await collector.#untilReady()
    return collector
  }

  /** Its last log lines, for messages. */
  get log(): string {
    return this.#log.join('\n')
  }

  /**
   * One of its own counters, as `exporter_sent_log_records`, by exporter or receiver and summed over
   * everything else; what never counted is absent.
   */
  async counts(name: string): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    const text = await (await fetch(this.#metricsUrl)).text()
    const pattern = new RegExp(`^otelcol_${name}(?:_total)?\\{(.*)\\} (\\S+)$`, 'gm')
    for (const [, labels, value] of text.matchAll(pattern)) {
      const component = /\b(?:exporter|receiver)="([^"]*)"/.exec(labels!)?.[1] ?? ''
      counts.set(component, (counts.get(component) ?? 0) + Number(value))
    }
    return counts
  }

  /** Stops it as a supervisor does: it sends what is queued and drops what it was about to retry. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGTERM')
      await once(this.#child, 'exit')
    }
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #untilReady(): Promise<void> {
    for (const deadline = Date.now() + READY_TIMEOUT_MS; Date.now() < deadline;) {
      if (this.#child.exitCode !== null) throw new Error(`the collector ended:\n${this.log}`)
      try {
        await fetch(this.#metricsUrl)
        return
      } catch {
        await sleep(POLL_MS)
      }
    }
    throw new Error(`the collector does not answer:\n${this.log}`)
  }
}
