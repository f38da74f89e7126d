/**
 * What a new user does: install with the throw-away servers, prove it, let a collector on each node read
 * the logs of containers, send traces and metrics through it, and query all of it with DuckDB.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { COLLECTOR_IMAGE } from '@tributary/e2e/kubernetes/collector-image'
import { KubernetesCluster } from '@tributary/e2e/kubernetes/kubernetes-cluster'
import { PortForward } from '@tributary/e2e/kubernetes/port-forward'
import { Trial, TRIAL_STORE } from '@tributary/e2e/kubernetes/trial'
import { runTelemetrygen } from '@tributary/e2e/clients/telemetrygen'

const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const NAMESPACE = 'tributary-try'
const AGENTS = 'tributary-agents'
const LINES = 500
/** Per worker of telemetrygen, which has two; a trace has two spans. */
const GENERATED = 100
const POLL_MS = 1000
const STORED_TIMEOUT_MS = 120_000

/** Parts that are not fit, and what the doctor's log must say. */
const UNFIT: readonly (readonly [values: Readonly<Record<string, string>>, words: RegExp])[] = [
  [{ 'kafka.topic': 'missing' }, /failure.*topic.*missing/i],
  [
    { 'redis.url': 'redis://nobody@tributary-dev-redis:6379', 'redis.existingSecret': 'wrong' },
    /failure.*redis.*password/i,
  ],
  [{ 'objectStore.url': 's3://no-such-bucket/x' }, /failure.*bucket/i],
]

void describe('a first install', () => {
  const cluster = KubernetesCluster.given()
  const trial = new Trial(cluster, NAMESPACE)
  const startMs = performance.now()
  let store: PortForward
  let credentials: Record<string, string>

  before(async () => {
    await cluster.createNamespace(AGENTS, 'privileged')
  })

  after(async () => {
    await store?.close()
    await trial.remove()
    await cluster.kubectl('delete', 'namespace', AGENTS, '--wait=false')
  })

  void it('is ready with values-dev.yaml, under the restricted Pod Security level', async (t) => {
    await trial.install()
    t.diagnostic(`ready after ${seconds()}`)
  })

  void it('passes helm test', async (t) => {
    const said = await cluster.helm('test', 'tributary', '-n', NAMESPACE, '--logs')
    assert.match(said, /each in a committed file, once/)
    t.diagnostic(`proved after ${seconds()}`)
  })

  void it('has what a DaemonSet of collectors reads and takes', async (t) => {
    const endpoint = `tributary-router.${NAMESPACE}:4317`
    await cluster.apply(AGENTS, [
      ...collectorObjects(endpoint),
      talker(cluster.environment.TRIBUTARY_TEST_IMAGE),
    ])
    await cluster.kubectl('-n', AGENTS, 'rollout', 'status', 'daemonset/otelcol', '--timeout=120s')
    for (const signal of ['traces', 'metrics'] as const) {
      // kubectl ends a forward whose client has gone: one for each
      const agent = await PortForward.open(cluster, AGENTS, 'daemonset/otelcol', 4317)
      const receiver = `127.0.0.1:${String(agent.port)}`
      await runTelemetrygen(signal, receiver, `--${signal}=${String(GENERATED)}`)
      await agent.close()
    }
    store = await trial.openStore()
    credentials = await trial.storeCredentials()
    const [lines] = await settled(
      `select count(*)::int as n, count(distinct body)::int as d from logs where body like 'talker %'`,
      ({ n }) => Number(n) >= LINES,
    )
    assert.deepEqual(lines, { n: LINES, d: LINES })
    const [spans] = await settled(
      `select count(*)::int as n from spans where "resource.service.name" = 'telemetrygen'`,
      ({ n }) => Number(n) >= 4 * GENERATED,
    )
    assert.equal(spans?.['n'], 4 * GENERATED)
    const [points] = await settled(
      `select count(*)::int as n from metrics where metric_name = 'gen'`,
      ({ n }) => Number(n) >= 2 * GENERATED,
    )
    assert.equal(points?.['n'], 2 * GENERATED)
    t.diagnostic(`first query over all of it after ${seconds()}`)
  })

  void it('stops an install over parts that are not fit, with a sentence that says what to do', async () => {
    const parts = {
      'kafka.brokers': 'tributary-dev-kafka:9092',
      'redis.url': 'redis://tributary-dev-redis:6379',
      'objectStore.url': 's3://tributary/second',
      'objectStore.endpoint': 'http://tributary-dev-s3:7070',
      'objectStore.existingSecret': 'tributary-dev-s3',
      'doctor.profile': 'development',
      'kafka.profile': 'development',
    }
    await cluster.apply(NAMESPACE, [
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'wrong' },
        stringData: { password: 'not this one' },
      },
    ])
    for (const [wrong, words] of UNFIT) {
      const sets = Object.entries({ ...parts, ...wrong }).map(
        ([name, value]) => `--set=${name}=${value}`,
      )
      const flags = ['-n', NAMESPACE, ...cluster.imageFlags, '--timeout', '120s', ...sets]
      const args = ['install', 'unfit', cluster.chart, ...flags]
      const { status, stderr } = await cluster.run('helm', args)
      assert.notEqual(status, 0, JSON.stringify(wrong))
      assert.match(stderr, /pre-install/)
      const log = await cluster.kubectl('-n', NAMESPACE, 'logs', 'job/unfit-tributary-doctor')
      assert.match(log, words)
      await cluster.run('helm', ['uninstall', 'unfit', '-n', NAMESPACE])
      await cluster.kubectl('-n', NAMESPACE, 'delete', 'job', 'unfit-tributary-doctor')
    }
  })

  function seconds(): string {
    return `${((performance.now() - startMs) / 1000).toFixed(1)} s`
  }

  async function query(sql: string): Promise<Record<string, unknown>[]> {
    const endpoint = `http://127.0.0.1:${String(store.port)}`
    const args = ['query', '--format', 'json', '--object-store', TRIAL_STORE]
    const { stdout } = await run(
      process.execPath,
      [COMMAND, ...args, '--object-store-endpoint', endpoint, sql],
      { env: { ...process.env, ...credentials } },
    )
    return JSON.parse(stdout) as Record<string, unknown>[]
  }

  /** Asks until the first row is as wanted, or time is up. */
  async function settled(
    sql: string,
    isAsWanted: (row: Readonly<Record<string, unknown>>) => boolean,
  ): Promise<Record<string, unknown>[]> {
    const deadlineMs = performance.now() + STORED_TIMEOUT_MS
    for (;;) {
      const rows = await query(sql)
      if ((rows[0] !== undefined && isAsWanted(rows[0])) || performance.now() > deadlineMs)
        return rows
      await sleep(POLL_MS)
    }
  }
})

/** A pod that says what can be counted, and stays. */
function talker(image: string): object {
  const script = `for (let i = 0; i < ${String(LINES)}; i++) console.log('talker ' + i); setInterval(() => {}, 1e6)`
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'talker' },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'talker',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['/usr/bin/node', '-e', script],
        },
      ],
    },
  }
}

/** A collector on each node, with its exporter's own defaults of retry and queue. */
function collectorObjects(endpoint: string): object[] {
  const receivers = {
    filelog: {
      include: ['/var/log/containers/*.log'],
      start_at: 'beginning',
      operators: [{ type: 'container' }],
    },
    otlp: { protocols: { grpc: { endpoint: '0.0.0.0:4317' } } },
  }
  const exporters = { otlp: { endpoint, tls: { insecure: true } } }
  const pipeline = (receiver: string): object => ({ receivers: [receiver], exporters: ['otlp'] })
  const pipelines = {
    logs: pipeline('filelog'),
    traces: pipeline('otlp'),
    metrics: pipeline('otlp'),
  }
  const config = { receivers, exporters, service: { pipelines } }
  const labels = { app: 'otelcol' }
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'otelcol' },
      data: { 'config.yaml': JSON.stringify(config) },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'otelcol' },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            containers: [
              {
                name: 'otelcol',
                image: COLLECTOR_IMAGE,
                imagePullPolicy: 'IfNotPresent',
                args: ['--config=/etc/otelcol/config.yaml'],
                securityContext: { runAsUser: 0 },
                ports: [{ containerPort: 4317 }],
                volumeMounts: [
                  { name: 'config', mountPath: '/etc/otelcol' },
                  { name: 'logs', mountPath: '/var/log', readOnly: true },
                ],
              },
            ],
            volumes: [
              { name: 'config', configMap: { name: 'otelcol' } },
              { name: 'logs', hostPath: { path: '/var/log' } },
            ],
          },
        },
      },
    },
  ]
}
