/** A real Prometheus and its promtool, from the path: Debian's package `prometheus` has both. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { endWithUs } from '@tributary/common/testing/end-with-us'
import { freePort } from '@tributary/common/testing/free-port'

const REMEDY = 'apt-get install -y prometheus'
const READY_TIMEOUT_MS = 30_000
const POLL_MS = 100

/** @throws Error with what it said, where it says no or is not there */
export function promtool(...args: readonly string[]): string {
  const run = spawnSync('promtool', args, { encoding: 'utf8' })
  if (run.error !== undefined) {
    throw new Error(`no promtool: ${REMEDY}`, { cause: run.error })
  }
  if (run.status !== 0) throw new Error(`${run.stdout}${run.stderr}`)
  return run.stdout
}

export interface ScrapeTarget {
  readonly job: string
  /** host:port of /metrics. */
  readonly address: string
}

export interface PrometheusOptions {
  readonly targets: readonly ScrapeTarget[]
  /** Groups as in a file of rules. */
  readonly groups: readonly object[]
  readonly intervalSeconds: number
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly state: 'pending' | 'firing'
}

export class PrometheusServer {
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #url: string

  private constructor(child: ChildProcess, folder: string, url: string) {
    this.#child = child
    this.#folder = folder
    this.#url = url
  }

  static async start(options: PrometheusOptions): Promise<PrometheusServer> {
    promtool('--version')
    const folder = await mkdtemp(join(tmpdir(), 'tributary-prometheus-'))
    // JSON is YAML
    await writeFile(join(folder, 'rules.yml'), JSON.stringify({ groups: options.groups }))
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(configurationOf(options)))
    promtool('check', 'config', join(folder, 'prometheus.yml'))
    const address = `127.0.0.1:${String(await freePort())}`
    const child = spawn(
      'prometheus',
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=${address}`,
      ],
      { stdio: 'ignore' },
    )
    endWithUs(child)
    const server = new PrometheusServer(child, folder, `http://${address}`)
    await server.#untilReady()
    return server
  }

  /** Of an instant query, now. */
  async query(expr: string): Promise<Sample[]> {
    const answer = await this.#ask<{
      result: { metric: Record<string, string>; value: [number, string] }[]
    }>(`query?query=${encodeURIComponent(expr)}`)
    return answer.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }))
  }

  async alerts(): Promise<ActiveAlert[]> {
    return (await this.#ask<{ alerts: ActiveAlert[] }>('alerts')).alerts
  }

  /** Names of the rules that it evaluates without an error. */
  async healthyRules(): Promise<string[]> {
    const { groups } = await this.#ask<{
      groups: { rules: { name: string; health: string }[] }[]
    }>('rules')
    return groups
      .flatMap(({ rules }) => rules)
      .flatMap(({ name, health }) => (health === 'ok' ? [name] : []))
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit')
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL')
      await exited
    }
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #ask<Answer>(path: string): Promise<Answer> {
    const answer = await fetch(`${this.#url}/api/v1/${path}`)
    const body = (await answer.json()) as { status: string; error?: string; data: Answer }
    if (body.status !== 'success') throw new Error(`${path}: ${body.error ?? 'no answer'}`)
    return body.data
  }

  async #untilReady(): Promise<void> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS
    for (;;) {
      const isReady = await fetch(`${this.#url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
      if (isReady) return
      if (performance.now() > deadlineMs || this.#child.exitCode !== null) {
        await this.stop()
        throw new Error('prometheus did not become ready')
      }
      await sleep(POLL_MS)
    }
  }
}

function configurationOf({ targets, intervalSeconds }: PrometheusOptions): object {
  const interval = `${String(intervalSeconds)}s`
  const jobs = [...new Set(targets.map(({ job }) => job))]
  return {
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: ['rules.yml'],
    scrape_configs: jobs.map((job) => ({
      job_name: job,
      static_configs: [
        {
          targets: targets.filter((target) => target.job === job).map(({ address }) => address),
          labels: { namespace: 'local', tributary: 'local' },
        },
      ],
    })),
  }
}
