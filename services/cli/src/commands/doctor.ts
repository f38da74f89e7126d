import { createRequire } from 'node:module'

import { processEnvironment } from '@tributary/common/config/config'
import {
  KAFKA_PROFILES,
  KAFKA_RELATIONS,
  kafkaSettings,
} from '@tributary/common/config/kafka-settings'
import { REDIS_RELATIONS, redisSettings } from '@tributary/common/config/redis-settings'
import { boolean, choice, integer, text } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import { walSettings } from '@tributary/common/config/settings'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { checkKafkaTrial, checkStoreClock } from '../doctor/clock-checks.ts'
import { checkDisk } from '../doctor/disk-checks.ts'
import { doctorText } from '../doctor/doctor-text.ts'
import { AREAS, verdictOf } from '../doctor/finding.ts'
import type { Area, Finding } from '../doctor/finding.ts'
import { checkKafka } from '../doctor/kafka-checks.ts'
import { checkRedis } from '../doctor/redis-checks.ts'
import { checkStore } from '../doctor/store-checks.ts'
import { checkVersions } from '../doctor/version-checks.ts'
import { storeLocationSettings } from '../store-options.ts'
import { writeText } from '../terminal.ts'
import type { Terminal } from '../terminal.ts'

/** Of the topic of a trial, where there are so many brokers. */
const REPLICATION_MAX = 3

const doctorSettings = {
  json: boolean({ default: false, sentence: 'Write the findings as JSON.' }),
  profile: choice(['auto', ...KAFKA_PROFILES], {
    default: 'auto',
    sentence: 'How much replication is asked for; auto: as --kafka-profile says.',
  }),
  ingesters: integer({
    default: 1,
    min: 1,
    max: 10_000,
    sentence: 'How many ingesters shall share the partitions.',
  }),
  only: text({
    default: AREAS.join(','),
    pattern: new RegExp(`^(${AREAS.join('|')})(,(${AREAS.join('|')}))*$`),
    bounds: `some of ${AREAS.join(',')}`,
    sentence: 'What to look at: a standalone process has neither Kafka nor Redis.',
  }),
}

const settings = {
  ...doctorSettings,
  ...storeLocationSettings,
  walBytesMax: walSettings.walBytesMax,
  ...kafkaSettings,
  ...redisSettings,
}
type DoctorConfig = ConfigOf<typeof settings>

export const doctorCommand: Command = {
  synopsis: '[flags]',
  description:
    'Looks whether Kafka, Redis, the object store, the disk and the clock of this machine are fit to run\n' +
    'a cluster, and says of each thing: ok, warning or failure, with what to do. It takes the settings\n' +
    'of the roles. It writes to the store below probe/, to Redis one key and to Kafka a topic that ends\n' +
    'in -doctor, and takes all of it away again. Exit status 1 with any failure.',
  sections: [
    { title: 'Doctor', table: doctorSettings },
    {
      title: 'Store and disk',
      table: { ...storeLocationSettings, walBytesMax: walSettings.walBytesMax },
    },
    { title: 'Kafka', table: kafkaSettings },
    { title: 'Redis', table: redisSettings },
  ],
  run: runDoctor,
}

const manifest = createRequire(import.meta.url)('../../package.json') as { version: string }

async function runDoctor(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    relations: [...KAFKA_RELATIONS, ...REDIS_RELATIONS],
  })
  const findings = await examine(config)
  const verdict = verdictOf(findings)
  const output = config.json
    ? `${JSON.stringify({ verdict, findings }, null, 2)}\n`
    : doctorText(findings)
  await writeText(terminal.out, output)
  return verdict === 'failure' ? ExitStatus.failed : ExitStatus.ok
}

/** All areas at the same time; the findings in their order. */
async function examine(config: DoctorConfig): Promise<readonly Finding[]> {
  const wanted = new Set(config.only.split(','))
  const look = (
    area: Area,
    check: () => Promise<readonly Finding[]>,
  ): Promise<readonly Finding[]> => (wanted.has(area) ? check() : Promise.resolve([]))
  const profile = config.profile === 'auto' ? config.kafkaProfile : config.profile
  const { ingesters } = config
  const groups = await Promise.all([
    look('versions', () => Promise.resolve(checkVersions(manifest.version, process.versions.node))),
    look('kafka', async () => {
      const { findings, brokers } = await checkKafka({ config, profile, ingesters })
      if (brokers === 0 || !wanted.has('clock')) return findings
      const trial = await checkKafkaTrial(config, Math.min(brokers, REPLICATION_MAX))
      return [...findings, ...trial]
    }),
    look('redis', () => checkRedis(config)),
    look('store', () => checkStore(config)),
    look('disk', () => checkDisk(config.dataDir, config.walBytesMax)),
    look('clock', () => checkStoreClock(config)),
  ])
  const order = (finding: Finding): number => AREAS.indexOf(finding.area)
  return groups.flat().toSorted((left, right) => order(left) - order(right))
}
