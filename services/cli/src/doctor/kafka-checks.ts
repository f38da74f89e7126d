import { systemClock } from '@tributary/common/clock'
import type { KafkaConfig, KafkaProfile } from '@tributary/common/config/kafka-settings'
import { parseBrokerAddress } from '@tributary/common/log/broker-socket'
import type { KafkaError } from '@tributary/common/log/kafka-error'
import { kafkaLogOptions } from '@tributary/common/log/kafka-partition-log'
import { TopicAdmin } from '@tributary/common/log/topic-admin'
import { checkTopic } from '@tributary/common/log/topic-check'
import { inspectTopic } from '@tributary/common/log/topic-inspection'
import type { BrokerContact, TopicInspection } from '@tributary/common/log/topic-inspection'

import { errorText, failure, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

export interface KafkaCheckOptions {
  readonly config: KafkaConfig
  readonly profile: KafkaProfile
  /** How many ingesters shall share the partitions. */
  readonly ingesters: number
}

/** Fewer partitions per ingester spread badly when one of them goes. */
const PARTITIONS_PER_INGESTER_MIN = 2

export interface KafkaFindings {
  readonly findings: readonly Finding[]
  /** That answered. */
  readonly brokers: number
}

/** Brokers, topic, rights and settings. */
export async function checkKafka(options: KafkaCheckOptions): Promise<KafkaFindings> {
  const { config } = options
  const { brokers, topic, access } = kafkaLogOptions(config)
  const bootstrap = brokers.map(parseBrokerAddress)
  const inspection = await inspectTopic({ topic, bootstrap, access, clock: systemClock })
  const answered = inspection.brokers.filter(({ answerMs }) => answerMs !== undefined)
  const findings = [...brokerFindings(inspection)]
  if (answered.length > 0) findings.push(...(await topicFindings(options, inspection)))
  return { findings, brokers: answered.length }
}

async function topicFindings(
  options: KafkaCheckOptions,
  inspection: TopicInspection,
): Promise<readonly Finding[]> {
  const topic = options.config.kafkaTopic
  const { topicFailure, partitions, missingRights } = inspection
  if (topicFailure !== undefined) return [topicMissing(topic, topicFailure)]
  const findings: Finding[] = []
  findings.push(ok('kafka', 'topic', `${topic}, ${partitions.length} partitions`))
  if (missingRights.length > 0) {
    const remedy = `let the user of --kafka-sasl-username or of its certificate do that with topic ${topic}: kafka-acls.sh --add`
    findings.push(failure('kafka', 'rights', `no ${missingRights.join(', ')}`, remedy))
  } else {
    findings.push(ok('kafka', 'rights', 'read, write, describe'))
  }
  findings.push(partitionFinding(partitions.length, options.ingesters))
  return [...findings, ...(await settingFindings(options, inspection))]
}

function* brokerFindings({ brokers, clusterId }: TopicInspection): Generator<Finding> {
  const answered = brokers.filter(({ failure: problem }) => problem === undefined)
  if (answered.length > 0) {
    const slowest = Math.max(...answered.map(({ answerMs }) => answerMs ?? 0))
    const found = `${answered.length} answer, within ${Math.ceil(slowest)} ms, cluster ${clusterId}`
    yield ok('kafka', 'brokers', found)
  }
  for (const contact of brokers) {
    if (contact.failure === undefined) continue
    const found = `${contact.address}: ${contact.failure.reason}`
    const remedy = brokerRemedy(contact)
    yield answered.length === 0 || contact.failure.verdict === 'unfit'
      ? failure('kafka', 'brokers', found, remedy)
      : warning('kafka', 'brokers', found, remedy)
  }
}

function brokerRemedy({ isBootstrap, failure: problem }: BrokerContact): string {
  if (problem?.reason === 'SASL_AUTHENTICATION_FAILED') {
    return 'look at --kafka-sasl-mechanism, --kafka-sasl-username and --kafka-sasl-password-file'
  }
  if (problem?.verdict === 'unfit') return 'look at --kafka-tls and its files, or take Kafka 3.1'
  if (!isBootstrap) return 'advertised.listeners of that broker must name what we can reach'
  return 'is it running? --kafka-brokers must name it; a closed connection may want --kafka-tls or --kafka-sasl-mechanism'
}

function topicMissing(topic: string, problem: KafkaError): Finding {
  const isMissing = problem.reason === 'UNKNOWN_TOPIC_OR_PARTITION'
  return isMissing
    ? failure(
        'kafka',
        'topic',
        `${topic} is missing`,
        `tributary topic create --kafka-topic ${topic}`,
      )
    : failure(
        'kafka',
        'topic',
        `${topic}: ${problem.reason}`,
        'give the user the right to it: kafka-acls.sh --add',
      )
}

function partitionFinding(partitions: number, ingesters: number): Finding {
  const found = `${partitions} for ${ingesters} ingesters`
  const remedy = `kafka-topics.sh --alter --partitions ${ingesters * 4}, or fewer ingesters`
  const check = 'partitions of an ingester'
  if (partitions < ingesters) return failure('kafka', check, found, remedy)
  return partitions < PARTITIONS_PER_INGESTER_MIN * ingesters
    ? warning('kafka', check, found, remedy)
    : ok('kafka', check, found)
}

async function settingFindings(
  { config, profile }: KafkaCheckOptions,
  { partitions }: TopicInspection,
): Promise<readonly Finding[]> {
  const { brokers, topic, access } = kafkaLogOptions(config)
  try {
    const admin = new TopicAdmin(brokers.map(parseBrokerAddress), access)
    const settings = await admin.settingsOf(topic)
    return checkTopic({ topic, settings, partitions }, profile)
      .filter(({ check }) => check !== 'partitions')
      .map((finding) => ({ area: 'kafka', ...finding }))
  } catch (error) {
    const remedy = 'the user needs DESCRIBE_CONFIGS of the topic: routers and ingesters read it too'
    return [failure('kafka', 'settings', errorText(error), remedy)]
  }
}
