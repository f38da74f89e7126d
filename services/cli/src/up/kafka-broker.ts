import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { AppError } from '@tributary/common/errors'
import { findKafka } from '@tributary/common/local-servers/kafka-install'
import type { KafkaInstall } from '@tributary/common/local-servers/kafka-install'

import { ChildProgram } from './child-program.ts'
import { ofProgram, tryContainer, untilListening } from './dev-server.ts'
import type { DevServer, ServerSite } from './dev-server.ts'
import { freeLocalPort } from './free-address.ts'

const IMAGE = 'docker.io/apache/kafka:4.3.1'
const FORMAT_TIMEOUT_MS = 60_000
const JAVA_OPTIONS = ['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

/** One broker for itself: everything once, nothing made by asking for it. */
const SETTINGS: Readonly<Record<string, string>> = {
  'process.roles': 'broker,controller',
  'node.id': '1',
  'controller.listener.names': 'CONTROLLER',
  'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  'offsets.topic.replication.factor': '1',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'auto.create.topics.enable': 'false',
  'message.max.bytes': String(4 * 2 ** 20),
  'replica.fetch.max.bytes': String(4 * 2 ** 20),
}

export interface BrokerPlan {
  readonly id: string
  readonly port: number
  readonly clusterId: string
}

/** A broker of our own on the port. @throws AppError invalid_config where there is no way */
export async function startKafkaBroker(site: ServerSite, plan: BrokerPlan): Promise<DevServer> {
  const container = await tryContainer(site, 'kafka', containerPlan(plan))
  return container ?? startLocal(site, plan)
}

function containerPlan({ id, port, clusterId }: BrokerPlan) {
  const settings = {
    ...SETTINGS,
    listeners: 'PLAINTEXT://:9092,CONTROLLER://:9093',
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.quorum.voters': '1@localhost:9093',
    'log.dirs': '/var/lib/kafka/data',
  }
  // the image makes properties of them
  const variables = Object.entries(settings).map(([name, value]): [string, string] => {
    return [`KAFKA_${name.replaceAll('.', '_').toUpperCase()}`, value]
  })
  return {
    name: `tributary-up-${id}-kafka`,
    image: IMAGE,
    port: [port, 9092],
    environment: { ...Object.fromEntries(variables), CLUSTER_ID: clusterId },
    dataFolder: '/var/lib/kafka/data',
    words: [],
  } as const
}

async function startLocal(site: ServerSite, plan: BrokerPlan): Promise<DevServer> {
  const install = findInstall(site)
  const folder = join(site.folder, 'kafka')
  await mkdir(folder, { recursive: true })
  const data = join(folder, 'data')
  const properties = join(folder, 'server.properties')
  const controllerPort = await freeLocalPort(0)
  const settings = {
    ...SETTINGS,
    listeners: `PLAINTEXT://127.0.0.1:${plan.port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${plan.port}`,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'log.dirs': data,
  }
  const lines = Object.entries(settings).map((pair) => pair.join('='))
  await writeFile(properties, `${lines.join('\n')}\n`)
  if (!existsSync(join(data, 'meta.properties'))) format(install, plan.clusterId, properties)
  const program = new ChildProgram({
    name: 'kafka',
    command: javaCommand(install, 'kafka.Kafka', [properties]),
    environment: site.environment,
    logFile: join(site.folder, 'logs', 'kafka.log'),
  })
  await untilListening('kafka', plan.port, program)
  return ofProgram('kafka', `kafka: Java of this machine, port ${plan.port}`, program)
}

function findInstall(site: ServerSite): KafkaInstall {
  try {
    site.tell('kafka: looking for Java and for Kafka in the cache folder, else Maven brings it')
    return findKafka()
  } catch (cause) {
    throw new AppError('invalid_config', 'there is no Kafka', {
      cause,
      details: {
        remedy:
          'install Java and Maven (apt-get install openjdk-17-jre-headless maven), start a container engine, or name brokers with --kafka-brokers',
      },
    })
  }
}

function format(install: KafkaInstall, clusterId: string, properties: string): void {
  const words = ['format', '-t', clusterId, '-c', properties]
  const [program, ...rest] = javaCommand(install, 'kafka.tools.StorageTool', words)
  const done = spawnSync(program, rest, { encoding: 'utf8', timeout: FORMAT_TIMEOUT_MS })
  if (done.status === 0) return
  throw new AppError('invalid_config', 'kafka can not prepare its folder', {
    details: { answer: (done.error?.message ?? done.stdout + done.stderr).slice(-1000) },
  })
}

function javaCommand(
  { classPath, classArchive }: KafkaInstall,
  main: string,
  words: readonly string[],
): [string, ...string[]] {
  // Java ignores an archive that does not fit or is not there
  const archive = ['-Xshare:auto', `-XX:SharedArchiveFile=${classArchive}`]
  const log = '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'
  return ['java', ...JAVA_OPTIONS, ...archive, log, '-cp', classPath, main, ...words]
}
