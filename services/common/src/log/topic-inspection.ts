/**
 * What can be found out about Kafka and a topic without using them: for `tributary doctor`. Everything
 * that fails is an answer here.
 */
import type { Clock } from '../clock.ts'
import { BrokerLinks, addressText } from './broker-link.ts'
import type { BrokerAddress, KafkaAccess } from './broker-socket.ts'
import { KafkaError, NO_ERROR, kafkaErrorOf } from './kafka-error.ts'
import { metadataRequest } from './metadata-request.ts'
import type { MetadataAnswer, PartitionMetadata } from './metadata-request.ts'

/** What a router and an ingester do with the topic, numbered as in Kafka's AclOperation.java. */
const NEEDED_RIGHTS = { READ: 3, WRITE: 4, DESCRIBE: 8, DESCRIBE_CONFIGS: 10 } as const
export type TopicRight = keyof typeof NEEDED_RIGHTS

export interface BrokerContact {
  readonly address: string
  /** As the settings name it, or as Kafka does. */
  readonly isBootstrap: boolean
  /** Of one question; undefined where it did not answer. */
  readonly answerMs: number | undefined
  readonly failure: KafkaError | undefined
}

export interface TopicInspection {
  readonly brokers: readonly BrokerContact[]
  /** '' where no broker answered. */
  readonly clusterId: string
  /** Undefined where it is there. */
  readonly topicFailure: KafkaError | undefined
  readonly partitions: readonly PartitionMetadata[]
  readonly missingRights: readonly TopicRight[]
}

export interface InspectionOptions {
  readonly topic: string
  readonly bootstrap: readonly BrokerAddress[]
  readonly access: KafkaAccess
  readonly clock: Clock
}

const ANSWER_TIMEOUT_MS = 5000
/** A topic that was just made is known to all brokers after a few of these. */
const PAUSE_MS = 200
const TRIES_MAX = 5

/** Asks the brokers that settings name and all that those know of, each once. */
export async function inspectTopic(options: InspectionOptions): Promise<TopicInspection> {
  const { topic, bootstrap, access, clock } = options
  const links = new BrokerLinks(access, clock)
  let answer: MetadataAnswer | undefined
  const contact = async (address: BrokerAddress, isBootstrap: boolean): Promise<BrokerContact> => {
    const startMs = clock.monotonicMs()
    const head = { address: addressText(address), isBootstrap }
    try {
      const found = await untilTopicIsKnown(clock, () =>
        links.to(address).exchange(metadataRequest(topic, true), ANSWER_TIMEOUT_MS),
      )
      if (answer === undefined || found.errorCode === NO_ERROR) answer = found
      return { ...head, answerMs: clock.monotonicMs() - startMs, failure: undefined }
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      return { ...head, answerMs: undefined, failure: error }
    }
  }
  try {
    const named = await Promise.all(bootstrap.map((address) => contact(address, true)))
    const known = new Set(named.map(({ address }) => address))
    const others = [...(answer?.brokers.values() ?? [])].filter(
      (address) => !known.has(addressText(address)),
    )
    const told = await Promise.all(others.map((address) => contact(address, false)))
    return inspectionOf([...named, ...told], answer)
  } finally {
    links.close()
  }
}

async function untilTopicIsKnown(
  clock: Clock,
  ask: () => Promise<MetadataAnswer>,
): Promise<MetadataAnswer> {
  for (let tries = 1; ; tries++) {
    const answer = await ask()
    if (answer.errorCode === NO_ERROR || tries === TRIES_MAX) return answer
    await clock.sleep(PAUSE_MS)
  }
}

function inspectionOf(
  brokers: readonly BrokerContact[],
  answer: MetadataAnswer | undefined,
): TopicInspection {
  const nothing = { brokers, clusterId: '', partitions: [], missingRights: [] }
  if (answer === undefined) {
    return { ...nothing, topicFailure: new KafkaError('no broker answered', 'moved') }
  }
  const { clusterId, errorCode, partitions, topicRights } = answer
  if (errorCode !== NO_ERROR) {
    return { ...nothing, clusterId, topicFailure: kafkaErrorOf(errorCode) }
  }
  const needed = Object.entries(NEEDED_RIGHTS) as [TopicRight, number][]
  const missing = needed.filter(([, bit]) => (topicRights & (1 << bit)) === 0)
  return {
    ...{ brokers, clusterId, partitions, topicFailure: undefined },
    missingRights: missing.map(([name]) => name),
  }
}
