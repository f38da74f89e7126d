import { resolve } from 'node:path'

import { processEnvironment } from '@tributary/common/config/config'
import { kafkaSettings } from '@tributary/common/config/kafka-settings'
import { redisSettings } from '@tributary/common/config/redis-settings'
import { choice, duration, integer, text, url } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import { receiveSettings, storeSettings } from '@tributary/common/config/settings'

import { ClusterAccess } from '../cluster/cluster-view.ts'
import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { writeText } from '../terminal.ts'
import type { Terminal } from '../terminal.ts'
import { StatusReader, statusLine, statusScreen } from '../up/cluster-status.ts'
import { DevCluster } from '../up/dev-cluster.ts'
import { SERVER_WAYS } from '../up/dev-server.ts'

const upSettings = {
  routers: integer({ default: 2, min: 1, max: 16, sentence: 'How many routers.' }),
  ingesters: integer({ default: 3, min: 1, max: 16, sentence: 'How many ingesters.' }),
  partitions: integer({
    default: 12,
    min: 1,
    max: 256,
    sentence: 'Partitions of the topic, where it is not there yet.',
  }),
  dataDir: text({
    default: './data/up',
    sentence: 'Folder of everything: servers, logs, what the next start goes on from.',
  }),
  servers: choice(SERVER_WAYS, {
    default: 'auto',
    sentence:
      'How servers that are not named are started: containers where an engine runs, else programs of this machine.',
  }),
  statusIntervalMs: duration({
    default: 10_000,
    min: 100,
    max: 3_600_000,
    sentence: 'How often a line tells the state where nobody looks at a terminal.',
  }),
  flushInterval: text({
    default: '10s',
    pattern: /^\d+(ms|s|m|h)$/,
    bounds: 'a duration such as 10s',
    sentence: 'Rows become files at this age at the latest.',
  }),
  otlpGrpcPort: {
    ...receiveSettings.otlpGrpcPort,
    sentence:
      'Port of OTLP/gRPC of the first router; each next one is 10 above. 0 takes free ones.',
  },
  otlpHttpPort: { ...receiveSettings.otlpHttpPort, sentence: 'The same of OTLP/HTTP.' },
}
const serverSettings = {
  kafkaBrokers: text({
    default: undefined,
    pattern: /^[^\s,/]+:\d{1,5}(,[^\s,/]+:\d{1,5})*$/,
    bounds: 'host:port,host:port',
    sentence: 'Brokers that are there already.',
  }),
  kafkaTopic: kafkaSettings.kafkaTopic,
  redisUrl: url({
    default: undefined,
    schemes: ['redis', 'rediss'],
    sentence: 'A Redis that is there already.',
  }),
  objectStore: {
    ...storeSettings.objectStore,
    sentence: 'A bucket or a folder that is there already, s3://bucket/prefix or file:///folder.',
  },
  objectStoreEndpoint: storeSettings.objectStoreEndpoint,
}
const settings = { ...upSettings, ...serverSettings }
type UpConfig = ConfigOf<typeof settings>

export const upCommand: Command = {
  synopsis: '[flags]',
  description:
    'Runs a cluster for development on this machine until Ctrl-C: Kafka, Redis and an S3-compatible server,\n' +
    'those that are named, else containers, else programs of this machine, and routers and ingesters\n' +
    'as processes. It says which way it took. What it holds stays; the next start goes on from it.',
  sections: [
    { title: 'Cluster', table: upSettings },
    { title: 'Servers that are there already', table: serverSettings },
  ],
  run: runUp,
}

/** As a shell says of a process that Ctrl-C ended. */
const INTERRUPTED_STATUS = 130
const REDRAW_MS = 1000
const CLEAR_BELOW = '\u001b[J'
const REDIS_TIMEOUT_MS = 2000

async function runUp(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(settings, { args, environment: processEnvironment() })
  const stopping = new AbortController()
  const failures: Error[] = []
  let cluster: DevCluster | undefined
  const onSignal = (): void => {
    // the second one does not wait; what was started ends with this process
    if (stopping.signal.aborted) {
      cluster?.kill()
      process.exit(INTERRUPTED_STATUS)
    }
    stopping.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  const tell = (line: string): void => {
    terminal.out.write(`${line}\n`)
  }
  try {
    cluster = await DevCluster.start({
      ...config,
      folder: resolve(config.dataDir),
      topic: config.kafkaTopic,
      ways: config.servers,
      environment: processEnvironment(),
      tell,
      stopped: stopping.signal,
      onFailure: (error) => {
        failures.push(error)
        stopping.abort()
      },
    })
    tell(guideText(cluster))
    await showUntilStopped(cluster, config, stopping.signal, terminal)
    tell('stopping: routers, then ingesters, which commit what they have, then the servers')
    await cluster.stop()
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal)
  }
  for (const { message } of failures) terminal.err.write(`${message}\n`)
  tell(`stopped; everything is kept in ${resolve(config.dataDir)}`)
  return failures.length === 0 ? ExitStatus.ok : ExitStatus.failed
}

/** What to do with it. */
function guideText({ entrances, storeFlags, redisUrl, storeCredentials }: DevCluster): string {
  const send = entrances.map(
    ({ name, grpc, http }) => `  ${name}  OTLP/gRPC ${grpc}  OTLP/HTTP ${http}`,
  )
  const variables = Object.entries(storeCredentials).map(([key, value]) => `${key}=${value} `)
  const query = `npx tributary query ${storeFlags.join(' ')} --redis-url ${redisUrl} --unflushed`
  return [
    'send to',
    ...send,
    'ask with',
    `  ${variables.join('')}${query} "select count(*) from logs"`,
    `  npx tributary partitions --redis-url ${redisUrl}`,
    'Ctrl-C stops it',
  ].join('\n')
}

/** Draws the state again and again on a terminal, else writes a line now and then. */
async function showUntilStopped(
  cluster: DevCluster,
  config: UpConfig,
  stopped: AbortSignal,
  terminal: Terminal,
): Promise<void> {
  const redis = parseSettings(redisSettings, { args: [`--redis-url=${cluster.redisUrl}`] }).config
  const access = await ClusterAccess.open({ ...redis, redisTimeoutMs: REDIS_TIMEOUT_MS }, false)
  const reader = new StatusReader(cluster, access)
  const intervalMs = terminal.isInteractive ? REDRAW_MS : config.statusIntervalMs
  let drawnLines = 0
  try {
    while (!stopped.aborted) {
      const status = await reader.read()
      if (terminal.isInteractive) {
        const screen = statusScreen(status, terminal.columns)
        const up = drawnLines === 0 ? '' : `\u001b[${drawnLines}A\r`
        await writeText(terminal.out, `${up}${CLEAR_BELOW}${screen}\n`)
        drawnLines = screen.split('\n').length
      } else {
        await writeText(terminal.out, `${statusLine(status)}\n`)
      }
      await pause(intervalMs, stopped)
    }
  } finally {
    access.close()
  }
}

async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const over = Promise.withResolvers<undefined>()
  const end = (): void => {
    over.resolve(undefined)
  }
  const timer = setTimeout(end, durationMs)
  signal.addEventListener('abort', end, { once: true })
  await over.promise
  clearTimeout(timer)
  signal.removeEventListener('abort', end)
}
