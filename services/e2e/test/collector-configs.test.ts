/**
 * The collector's configurations of deploy/collector: the real collector takes each, and those of a node
 * bring the logs of containers, as kubelets write them, and the metrics of this machine into files.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { findCollector } from '@tributary/common/testing/collector-programs'
import { endWithUs } from '@tributary/common/testing/end-with-us'
import { parse, parseAllDocuments } from 'yaml'

import { storedRows } from '../src/clients/stored-telemetry.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

const FOLDER = fileURLToPath(new URL('../../../deploy/collector/', import.meta.url))
const CONFIGS = ['filelog', 'hostmetrics', 'gateway'] as const
const DELIVERED_TIMEOUT_MS = 45_000
const POLL_MS = 300
/** As containerd writes them: time, stream, partial or full, text. */
const CRI_LINES = [
  '2026-11-27T02:00:00.000000001Z stdout F hello from containerd\n',
  '2026-11-27T02:00:01.000000001Z stderr P a long line that\n',
  '2026-11-27T02:00:01.000000002Z stderr F  comes in two parts\n',
]
const DOCKER_LINE = `${JSON.stringify({ log: 'hello from docker\n', stream: 'stdout', time: '2026-11-27T02:00:02.5Z' })}\n`

interface Container {
  readonly env?: readonly { readonly name: string; readonly value?: string }[]
  readonly args: readonly string[]
}

interface Manifest {
  readonly spec: { readonly template?: { readonly spec: { readonly containers: Container[] } } }
}

void describe('the configurations of collectors', () => {
  for (const name of CONFIGS) {
    void it(`${name} is taken by the collector`, () => {
      const run = spawnSync(findCollector(), ['validate', `--config=${FOLDER}${name}.yaml`], {
        env: { TRIBUTARY_ENDPOINT: '127.0.0.1:4317', TRIBUTARY_HEADLESS: 'localhost:4317' },
        encoding: 'utf8',
      })
      assert.equal(run.status, 0, run.stderr)
    })
  }

  void it('are given what they ask of the environment by the manifests', () => {
    const manifests = ['daemonset', 'gateway-deployment'].flatMap((name) =>
      parseAllDocuments(readFileSync(`${FOLDER}${name}.yaml`, 'utf8')).map(
        (document) => document.toJSON() as Manifest,
      ),
    )
    const containers = manifests.flatMap(({ spec }) => spec.template?.spec.containers ?? [])
    const files = containers.flatMap(({ args }) => args.map((arg) => arg.split('/').at(-1)!))
    assert.deepEqual(files.toSorted(), CONFIGS.map((name) => `${name}.yaml`).toSorted())
    const kustomization = parse(readFileSync(`${FOLDER}kustomization.yaml`, 'utf8')) as {
      readonly configMapGenerator: readonly { readonly files: readonly string[] }[]
    }
    assert.deepEqual(kustomization.configMapGenerator[0]!.files.toSorted(), files.toSorted())
    for (const [index, { env = [] }] of containers.entries()) {
      const text = readFileSync(`${FOLDER}${files[index]!}`, 'utf8').replaceAll(/^ *#.*$/gm, '')
      const given = new Set(env.map(({ name }) => name))
      const wanted = [...text.matchAll(/\$\{env:(\w+)(:-)?/g)]
      const missing = wanted.filter(
        ([, name, fallback]) => fallback === undefined && !given.has(name!),
      )
      assert.deepEqual(
        missing.map(([, name]) => name),
        [],
        files[index],
      )
    }
  })

  void it('bring logs of containers and metrics of a node into files', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'tributary-node-'))
    const dataDir = join(folder, 'data')
    const standalone = await StandaloneProcess.start({ dataDir })
    const collectors: ChildProcess[] = []
    t.after(async () => {
      for (const collector of collectors) await end(collector)
      await standalone.stop()
      rmSync(folder, { recursive: true, force: true })
    })
    const environment = {
      TRIBUTARY_ENDPOINT: `127.0.0.1:${String(standalone.grpcPort)}`,
      LOG_PATHS: join(folder, 'pods/*/*/*.log'),
    }
    const shop = logOf(folder, 'web_shop-7d4b9_0f4c1f9e-6a58-4a5c-9d5b-0c5d3a1f2b3c', 'app')
    const queue = logOf(folder, 'jobs_queue-0_9c1e2d3f-1b2c-4d5e-8f90-a1b2c3d4e5f6', 'worker')
    for (const name of ['filelog', 'hostmetrics']) {
      collectors.push(startCollector(folder, name, environment))
    }
    const deadline = Date.now() + DELIVERED_TIMEOUT_MS
    // files are read from their ends as the collector finds them: later lines are those that count
    const isStarted = async (): Promise<boolean> => {
      appendFileSync(shop, '2026-11-27T01:00:00.000000001Z stdout F are you there\n')
      appendFileSync(queue, DOCKER_LINE.replace('hello', 'are you there'))
      await standalone.flush()
      return (
        new Set(storedRows(dataDir, 'logs').map((row) => row['resource.k8s.pod.name'])).size === 2
      )
    }
    while (!(await isStarted())) {
      assert.ok(Date.now() < deadline, 'the collector does not read')
      await sleep(POLL_MS)
    }
    for (const line of CRI_LINES) appendFileSync(shop, line)
    appendFileSync(queue, DOCKER_LINE)
    const wanted = [
      's:web s:shop-7d4b9 s:app s:stdout hello from containerd',
      's:web s:shop-7d4b9 s:app s:stderr a long line that comes in two parts',
      // of Docker's format the end of the line is part of the text
      String.raw`s:jobs s:queue-0 s:worker s:stdout hello from docker\n`,
    ]
    for (;;) {
      await standalone.flush()
      const lines = new Set(storedRows(dataDir, 'logs').map(lineOf))
      const names = new Set(
        storedRows(dataDir, 'metrics').map((row) => row['metric_name'] ?? row['name']),
      )
      if (wanted.every((line) => lines.has(line)) && names.has('s:system.memory.usage')) return
      const found = [...lines, ...names].join('\n')
      assert.ok(Date.now() < deadline, found)
      await sleep(POLL_MS)
    }
  })
})

function logOf(folder: string, pod: string, container: string): string {
  const place = join(folder, 'pods', pod, container)
  mkdirSync(place, { recursive: true })
  const path = join(place, '0.log')
  writeFileSync(path, '')
  return path
}

function lineOf(row: Readonly<Record<string, unknown>>): string {
  const names = ['namespace.name', 'pod.name', 'container.name'].map(
    (name) => `resource.k8s.${name}`,
  )
  const body = JSON.stringify(row['body']).replaceAll(/^"s:|^"j:|\\"|"$/g, '')
  return (
    [...names, 'attributes.log.iostream'].map((name) => String(row[name])).join(' ') + ` ${body}`
  )
}

function startCollector(
  folder: string,
  name: string,
  environment: Readonly<Record<string, string>>,
): ChildProcess {
  const quiet = join(folder, 'quiet.json')
  // its own port of metrics would be the same in each
  writeFileSync(quiet, JSON.stringify({ service: { telemetry: { metrics: { level: 'none' } } } }))
  const files = [`${FOLDER}${name}.yaml`, quiet].flatMap((file) => ['--config', file])
  const child = spawn(findCollector(), files, {
    env: environment,
    stdio: ['ignore', 'ignore', 'ignore'],
  })
  endWithUs(child)
  return child
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
