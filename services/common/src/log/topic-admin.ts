/** What is asked of Kafka seldom: the settings of a topic, and making one. By kafkajs's admin client. */
import kafkajs from 'kafkajs'
import type { Admin } from 'kafkajs'

import { addressText } from './broker-link.ts'
import type { BrokerAddress, KafkaAccess } from './broker-socket.ts'
import { openSocket, readSecrets } from './broker-socket.ts'
import { toLogError } from './kafka-error.ts'
import { createKafkajs } from './kafkajs-parts.ts'

export interface TopicPlan {
  readonly topic: string
  readonly partitions: number
  readonly replication: number
  readonly config: Readonly<Record<string, string>>
}

const REQUEST_TIMEOUT_MS = 10_000

export class TopicAdmin {
  readonly #bootstrap: readonly BrokerAddress[]
  readonly #access: KafkaAccess

  constructor(bootstrap: readonly BrokerAddress[], access: KafkaAccess) {
    this.#bootstrap = bootstrap
    this.#access = access
  }

  /** All settings of a topic by their names, defaults included. @throws AppError log_unavailable, log_unfit */
  async settingsOf(topic: string): Promise<ReadonlyMap<string, string>> {
    return this.#call(topic, async (admin) => {
      const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }]
      const described = await admin.describeConfigs({ resources, includeSynonyms: false })
      const entries = described.resources[0]?.configEntries ?? []
      return new Map(entries.map(({ configName, configValue }) => [configName, configValue]))
    })
  }

  /**
   * Makes a topic fit for this product: append times, records kept by time alone.
   * @returns false where it is there already, as it is
   * @throws AppError log_unavailable, log_unfit
   */
  async create(plan: TopicPlan): Promise<boolean> {
    const config = {
      'message.timestamp.type': 'LogAppendTime',
      'cleanup.policy': 'delete',
      'unclean.leader.election.enable': 'false',
      ...plan.config,
    }
    return this.#call(plan.topic, (admin) =>
      admin.createTopics({
        topics: [
          {
            topic: plan.topic,
            numPartitions: plan.partitions,
            replicationFactor: plan.replication,
            configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
          },
        ],
      }),
    )
  }

  /** Deletes a topic with all that is in it. @throws AppError log_unavailable, log_unfit */
  async delete(topic: string): Promise<void> {
    await this.#call(topic, (admin) => admin.deleteTopics({ topics: [topic] }))
  }

  /** A client for one call: what it caches is not missed, and what breaks in it is gone with it. */
  async #call<T>(topic: string, run: (admin: Admin) => Promise<T>): Promise<T> {
    try {
      const { tls, sasl } = await readSecrets(this.#access)
      const admin = createKafkajs({
        brokers: this.#bootstrap.map(addressText),
        clientId: this.#access.clientId,
        connectTimeoutMs: this.#access.connectTimeoutMs,
        requestTimeoutMs: REQUEST_TIMEOUT_MS,
        sasl,
        socketFactory: ({ host, port, onConnect }) => openSocket({ host, port }, tls, onConnect),
      }).admin()
      try {
        await admin.connect()
        return await run(admin)
      } finally {
        await admin.disconnect()
      }
    } catch (error) {
      throw toLogError(error, { topic })
    }
  }
}
