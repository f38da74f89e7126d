/** Every metric of every role, as real processes register them: started with all that can be turned on. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { startKafka } from '@tributary/common/testing/kafka-server'
import { RedisServer } from '@tributary/common/testing/redis-server'
import { startS3Server } from '@tributary/common/testing/s3-server'
import { makeTestCertificates } from '@tributary/common/testing/test-certificates'

import { NOBODY_KUBECONFIG } from '../kubernetes/nobody-kubeconfig.ts'
import { TributaryProcess } from '../tributary-process.ts'

export interface Metric {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly labelNames: readonly string[]
  readonly roles: readonly Role[]
}

export const ROLES = ['router', 'ingester', 'standalone', 'controller'] as const
export type Role = (typeof ROLES)[number]

const TOPIC = 'metrics'
/** What a role says when it has started: the controller is ready only once it sees a StatefulSet. */
const STARTED = /"msg":"(ready|watching)"/
const START_TIMEOUT_MS = 150_000
const POLL_MS = 50

/** @returns by name; `process_` and `nodejs_` are those of prom-client */
export async function takeInventory(): Promise<Metric[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-metrics-'))
  const kafka = await startKafka({ isOwn: true })
  const redis = await RedisServer.start()
  const s3 = await startS3Server()
  try {
    await kafka.createTopic(TOPIC, { partitions: 2 })
    await makeTestCertificates(folder)
    await writeFile(join(folder, 'keys.json'), '{"format":1,"keys":[]}')
    await writeFile(join(folder, 'tenants.json'), '{"format":1}')
    await writeFile(join(folder, 'kubeconfig'), JSON.stringify(NOBODY_KUBECONFIG))
    const cluster = [
      `--kafka-brokers=${kafka.brokers.join(',')}`,
      `--kafka-topic=${TOPIC}`,
      '--kafka-profile=development',
      `--redis-url=${redis.url}`,
    ]
    const store = [
      `--object-store=s3://${s3.bucket}/metrics`,
      `--object-store-endpoint=${s3.endpoint}`,
    ]
    const receiving = [
      ...['--otlp-grpc-port=0', '--otlp-http-port=0'],
      `--api-keys=${join(folder, 'keys.json')}`,
      `--tenant-settings=${join(folder, 'tenants.json')}`,
    ]
    const flags: Readonly<Record<Role, readonly string[]>> = {
      router: [...receiving, ...cluster],
      ingester: [...store, ...cluster, `--data-dir=${join(folder, 'ingester')}`],
      standalone: [...receiving, `--data-dir=${join(folder, 'standalone')}`],
      // it waits for an API server, and registers everything before
      controller: [`--kubeconfig=${join(folder, 'kubeconfig')}`, `--redis-url=${redis.url}`],
    }
    const { accessKeyId, secretAccessKey } = s3.credentials
    const environment = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
    const metrics = await Promise.all(
      ROLES.map((role) => metricsOf(role, folder, flags[role], environment)),
    )
    return united(metrics.flat())
  } finally {
    await Promise.all([kafka.stop(), redis.stop(), s3.stop()])
    await rm(folder, { recursive: true, force: true })
  }
}

async function metricsOf(
  role: Role,
  folder: string,
  flags: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Metric[]> {
  const file = join(folder, `${role}.jsonl`)
  const hook = new URL('./metric-hook.ts', import.meta.url)
  hook.searchParams.set('file', file)
  const tls = [`--tls-cert-file=${join(folder, 'server.crt')}`]
  const process = TributaryProcess.spawn({
    ...{ role, environment },
    nodeOptions: ['--import', hook.href],
    flags: [
      ...['--admin-port=0', '--admin-grpc-port=0'],
      ...[...tls, `--tls-key-file=${join(folder, 'server.key')}`],
      ...flags,
    ],
  })
  process.untilReady(START_TIMEOUT_MS).catch(() => undefined)
  const deadlineMs = performance.now() + START_TIMEOUT_MS
  while (!STARTED.test(process.log)) {
    if (!process.isRunning || performance.now() > deadlineMs) {
      throw new Error(`${role} does not start:\n${process.log}`)
    }
    await sleep(POLL_MS)
  }
  await process.stop()
  const lines = (await readFile(file, 'utf8')).trim().split('\n')
  return lines.map((line) => ({ ...(JSON.parse(line) as Omit<Metric, 'roles'>), roles: [role] }))
}

/** One entry per name. @throws Error where roles mean different things by it */
function united(metrics: readonly Metric[]): Metric[] {
  const byName = new Map<string, Metric>()
  for (const metric of metrics) {
    const { name, type, labelNames, help, roles } = metric
    const known = byName.get(name)
    if (known === undefined) {
      byName.set(name, metric)
      continue
    }
    const isSame =
      known.type === type && known.help === help && known.labelNames.join() === labelNames.join()
    if (!isSame) throw new Error(`${name} is not the same metric in all roles`)
    byName.set(name, { ...known, roles: [...new Set([...known.roles, ...roles])] })
  }
  return [...byName.values()].sort((left, right) => (left.name < right.name ? -1 : 1))
}
