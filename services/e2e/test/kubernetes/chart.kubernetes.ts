/**
 * The chart against a real API server: lint, the same manifests as before, every pair of its switches by
 * a dry run, and sentences for values that cannot work. SWITCHES_AT_ONCE=3: every three of them.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { coveringCombinations } from '@tributary/e2e/kubernetes/covering'
import { KubernetesCluster } from '@tributary/e2e/kubernetes/kubernetes-cluster'

const FIXTURES = fileURLToPath(new URL('../../fixtures/chart', import.meta.url))
const NAMESPACE = 'tributary-chart'
const PARTS = [
  '--set=kafka.brokers=kafka-0:9092\\,kafka-1:9092',
  '--set=redis.url=redis://redis:6379',
  '--set=objectStore.url=s3://bucket/prefix',
]

/** Values of a switch, each by the flags that set it. */
const SWITCHES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  kafkaTls: {
    off: '',
    on: 'kafka.tls.enabled=true',
    mutual: 'kafka.tls.enabled=true,kafka.tls.existingSecret=k,kafka.tls.clientCertificate=true',
  },
  sasl: {
    off: '',
    on: 'kafka.sasl.mechanism=plain,kafka.sasl.username=u,kafka.sasl.existingSecret=s',
  },
  topic: { off: '', on: 'kafka.createTopic.enabled=true' },
  redisTls: { off: '', on: 'redis.tls.existingSecret=r,redis.tls.clientCertificate=true' },
  redisPassword: { off: '', on: 'redis.existingSecret=r' },
  sentinels: { off: '', on: 'redis.sentinels=a:26379\\,b:26379' },
  endpoint: { off: '', on: 'objectStore.endpoint=http://minio:9000,objectStore.existingSecret=b' },
  otlpTls: {
    off: '',
    on: 'otlp.tls.enabled=true,otlp.tls.existingSecret=o',
    mutual: 'otlp.tls.enabled=true,otlp.tls.existingSecret=o,otlp.tls.clientAuth=true',
  },
  apiKeys: {
    off: '',
    redis: 'tenants.apiKeys=redis',
    secret: 'tenants.apiKeys=secret,tenants.existingSecret=t',
  },
  tenants: {
    off: '',
    redis: 'tenants.settings=redis',
    secret: 'tenants.settings=secret,tenants.existingSecret=t',
  },
  routerScaling: { off: '', on: 'router.autoscaling.enabled=true', one: 'router.replicas=1' },
  routerPdb: { on: '', off: 'router.podDisruptionBudget.enabled=false' },
  service: {
    cluster: '',
    node: 'router.service.type=NodePort',
    balancer: 'router.service.type=LoadBalancer',
  },
  persistence: {
    on: '',
    off: 'ingester.persistence.enabled=false',
    class: 'ingester.persistence.storageClass=fast',
  },
  volumes: { delete: '', keep: 'ingester.persistence.deleteOnScaleIn=false' },
  ingesterPdb: { on: '', off: 'ingester.podDisruptionBudget.enabled=false' },
  spread: {
    soft: '',
    hard: 'router.topologySpread=DoNotSchedule,ingester.topologySpread=DoNotSchedule',
    off: 'router.topologySpread=,ingester.topologySpread=',
  },
  controller: { off: '', on: 'controller.enabled=true' },
  account: { made: '', given: 'serviceAccount.create=false,serviceAccount.name=given' },
  policy: { on: '', off: 'networkPolicy.enabled=false' },
  serviceMonitor: { off: '', on: 'monitoring.serviceMonitor.enabled=true' },
  rules: { off: '', on: 'monitoring.prometheusRule.enabled=true' },
  dashboards: { off: '', on: 'monitoring.dashboards.enabled=true' },
  doctor: { on: '', off: 'doctor.enabled=false' },
  devKafka: { off: '', on: 'dev.kafka.enabled=true' },
  devRedis: { off: '', on: 'dev.redis.enabled=true' },
  devStore: { off: '', on: 'dev.objectStore.enabled=true' },
}

/** Profiles whose manifests stand in the fixtures. */
const PROFILES: Readonly<Record<string, readonly string[]>> = {
  production: PARTS,
  dev: ['--values=values-dev.yaml'],
  secured: [
    ...PARTS,
    ...flagsOf('kafkaTls', 'mutual'),
    ...flagsOf('sasl', 'on'),
    ...flagsOf('redisTls', 'on'),
    ...flagsOf('otlpTls', 'mutual'),
    ...flagsOf('apiKeys', 'redis'),
    ...flagsOf('tenants', 'secret'),
  ],
  scaled: [
    ...PARTS,
    ...flagsOf('routerScaling', 'on'),
    ...flagsOf('controller', 'on'),
    ...flagsOf('topic', 'on'),
    ...flagsOf('serviceMonitor', 'on'),
    ...flagsOf('rules', 'on'),
  ],
}

/** What cannot work, and the words that say what to do. */
const REFUSED: readonly (readonly [flags: readonly string[], words: RegExp])[] = [
  [[], /kafka\.brokers is missing: set it to host:port/],
  [PARTS.slice(0, 1), /redis\.url is missing: set it to redis:\/\/host:port/],
  [PARTS.slice(0, 2), /objectStore\.url is missing: set it to s3:\/\/bucket\/prefix/],
  [[...PARTS, '--set=objectStore.url=file:///tmp/x'], /a cluster needs a bucket/],
  [
    [...PARTS, '--set=ingester.persistence.size=2Gi'],
    /raise it or lower ingester\.settings\.wal-bytes-max/,
  ],
  [[...PARTS, '--set=ingester.stopTimeout=5s'], /give it 30s at least/],
  [[...PARTS, '--set=router.stopTimeout=3s'], /need 10s at least/],
  [
    [...PARTS, '--set=kafka.sasl.mechanism=plain'],
    /set kafka\.sasl\.username and kafka\.sasl\.existingSecret/,
  ],
  [[...PARTS, '--set=otlp.tls.enabled=true'], /name the Secret with tls\.crt and tls\.key/],
  [[...PARTS, '--set=otlp.tls.clientAuth=true'], /set otlp\.tls\.enabled/],
  [[...PARTS, '--set=tenants.apiKeys=secret'], /name the Secret with keys\.json/],
  [[...PARTS, '--set=ingester.settings.data-dir=/x'], /the chart sets it/],
  [[...PARTS, '--set=controller.enabled=true,controller.minReplicas=9'], /minReplicas is above/],
  [[...PARTS, '--set=router.replica=3'], /'replica' not allowed/],
  [
    [...PARTS, '--set=image.pullPolicy=Sometimes'],
    /value must be one of 'Always', 'IfNotPresent', 'Never'/,
  ],
  [[...PARTS, '--set=kafka.brokers=kafka'], /does not match pattern/],
]

function flagsOf(name: string, setting: string): string[] {
  const flags = SWITCHES[name]![setting]!
  return flags === '' ? [] : [`--set=${flags}`]
}

void describe('the chart', () => {
  const cluster = KubernetesCluster.given()
  const template = (flags: readonly string[]): ReturnType<KubernetesCluster['run']> => {
    const files = flags.map((flag) => flag.replace('--values=', `--values=${cluster.chart}/`))
    return cluster.run('helm', [
      'template',
      'tributary',
      cluster.chart,
      '--namespace',
      NAMESPACE,
      ...files,
    ])
  }

  before(async () => {
    await cluster.createNamespace(NAMESPACE)
    // a dry run makes no account, and pods are refused without theirs
    await cluster.apply(NAMESPACE, ['tributary', 'given'].map(accountNamed))
    await cluster.apply(NAMESPACE, MONITORING_KINDS)
    await cluster.kubectl('wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all')
  })

  after(async () => {
    await cluster.kubectl('delete', 'namespace', NAMESPACE, '--wait=false')
  })

  void it('passes helm lint', async () => {
    const { status, stdout } = await cluster.run('helm', [
      'lint',
      '--strict',
      cluster.chart,
      ...PARTS,
    ])
    assert.equal(status, 0, stdout)
    assert.doesNotMatch(stdout, /WARNING|ERROR/)
  })

  for (const [profile, flags] of Object.entries(PROFILES)) {
    void it(`renders ${profile} as it did: GOLDEN=write to accept a change`, async () => {
      const { status, stdout, stderr } = await template(flags)
      assert.equal(status, 0, stderr)
      const made = stdout.replaceAll(
        /AWS_SECRET_ACCESS_KEY: \S{20,}/g,
        'AWS_SECRET_ACCESS_KEY: random',
      )
      const path = `${FIXTURES}/${profile}.yaml`
      if (process.env['GOLDEN'] === 'write') {
        mkdirSync(FIXTURES, { recursive: true })
        writeFileSync(path, made)
      }
      assert.ok(existsSync(path), `${path} is missing`)
      assert.equal(made, readFileSync(path, 'utf8'))
    })
  }

  void it('restarts the pods of the role whose settings change, and no others', async () => {
    const before = await checksums([])
    assert.notEqual(before.router, '')
    assert.notEqual(before.ingester, '')
    const ingester = await checksums(['--set=ingester.settings.flush-interval=6s'])
    assert.equal(ingester.router, before.router)
    assert.notEqual(ingester.ingester, before.ingester)
    const router = await checksums(['--set=tenants.apiKeys=redis'])
    assert.notEqual(router.router, before.router)
    assert.equal(router.ingester, before.ingester)
    for (const both of ['settings.log-level=debug', 'kafka.topic=another']) {
      const changed = await checksums([`--set=${both}`])
      assert.notEqual(changed.router, before.router, both)
      assert.notEqual(changed.ingester, before.ingester, both)
    }
  })

  async function checksums(
    flags: readonly string[],
  ): Promise<Record<'router' | 'ingester', string>> {
    const { status, stdout, stderr } = await template([...PARTS, ...flags])
    assert.equal(status, 0, stderr)
    const of = (role: string): string => {
      const source = `# Source: tributary/templates/${role}.yaml`
      const manifests = stdout.split('\n---\n').filter((text) => text.includes(source))
      return /checksum\/config: (\S+)/.exec(manifests.join('\n'))?.[1] ?? ''
    }
    return { router: of('router'), ingester: of('ingester') }
  }

  void it('is taken by the API server with its switches in every pair, and by "restricted"', async (t) => {
    const settings = Object.entries(SWITCHES).map(([name, values]) => [name, Object.keys(values)])
    const combinations = coveringCombinations(
      Object.fromEntries(settings) as Record<string, string[]>,
      Number(process.env['SWITCHES_AT_ONCE'] ?? '2'),
    )
    const problems: string[] = []
    for (const combination of combinations) {
      const flags = Object.entries(combination).flatMap(([name, value]) => flagsOf(name, value))
      const rendered = await template([...PARTS, ...flags])
      const { status, stderr } =
        rendered.status === 0
          ? await cluster.run(
              'kubectl',
              ['-n', NAMESPACE, 'apply', '--dry-run=server', '--warnings-as-errors', '-f', '-'],
              rendered.stdout,
            )
          : rendered
      if (status !== 0) problems.push(`${flags.join(' ')}\n${stderr}`)
    }
    t.diagnostic(`${String(combinations.length)} combinations`)
    assert.deepEqual(problems, [])
  })

  void it('says what to do about values that cannot work', async () => {
    for (const [flags, words] of REFUSED) {
      const { status, stderr } = await template(flags)
      assert.notEqual(status, 0, flags.join(' '))
      assert.match(stderr, words)
    }
  })
})

function accountNamed(name: string): object {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } }
}

/** Kinds of the Prometheus operator, so that the API server knows the names. */
const MONITORING_KINDS = ['ServiceMonitor', 'PrometheusRule'].map((kind) => {
  const [singular, group] = [kind.toLowerCase(), 'monitoring.coreos.com']
  const schema = {
    openAPIV3Schema: {
      type: 'object',
      properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
    },
  }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${singular}s.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, singular, plural: `${singular}s`, listKind: `${kind}List` },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  }
})
