/** The server.properties of test brokers: quick elections and honest durability. */
import { randomBytes } from 'node:crypto'

/** Of every broker, over those of this file. */
export type KafkaProperties = Readonly<Record<string, string>>

/** What the secure listener demands. */
export interface KafkaSecurity {
  /** PEM files: private key and chain in one; with an authority, clients must show its certificate. */
  readonly tls?: { readonly keyStore: string; readonly clientAuthority?: string }
  /** One user, good for PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 alike. */
  readonly sasl?: { readonly username: string; readonly password: string }
}

/** Ports of one broker, all on 127.0.0.1. */
export interface KafkaPorts {
  readonly client: number
  /** What clients are told instead of `client`: a proxy's, else the same. */
  readonly advertised: number
  readonly secure: number
  readonly advertisedSecure: number
  readonly broker: number
  readonly controller: number
}

export const PORTS_PER_NODE = 4

/** Ports of as many brokers as there are groups of four. */
export function assignPorts(
  free: readonly number[],
  advertised: readonly number[] | undefined,
  advertisedSecure: readonly number[] | undefined,
): KafkaPorts[] {
  return Array.from({ length: free.length / PORTS_PER_NODE }, (_, index) => {
    const [client, secure, broker, controller] = free.slice(index * PORTS_PER_NODE) as [
      number,
      number,
      number,
      number,
    ]
    return {
      ...{ client, advertised: advertised?.[index] ?? client },
      ...{ secure, advertisedSecure: advertisedSecure?.[index] ?? secure },
      ...{ broker, controller },
    }
  })
}

/** Properties of the node with this number, from 1. */
export function nodeProperties(
  id: number,
  all: readonly KafkaPorts[],
  security: KafkaSecurity | undefined,
): KafkaProperties {
  const ports = all[id - 1]!
  const replicas = String(all.length)
  const inSyncMin = all.length === 1 ? '1' : '2'
  return {
    'process.roles': 'broker,controller',
    'node.id': String(id),
    'controller.quorum.voters': all
      .map(({ controller }, index) => `${index + 1}@127.0.0.1:${controller}`)
      .join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'BROKER',
    listeners: listenerList([
      ['CLIENT', ports.client],
      ['SECURE', ports.secure],
      ['BROKER', ports.broker],
      ['CONTROLLER', ports.controller],
    ]),
    'advertised.listeners': listenerList([
      ['CLIENT', ports.advertised],
      ['SECURE', ports.advertisedSecure],
      ['BROKER', ports.broker],
    ]),
    'listener.security.protocol.map': `CLIENT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:${secureProtocol(security)}`,
    ...secureProperties(security),
    'default.replication.factor': replicas,
    'min.insync.replicas': inSyncMin,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.num.partitions': '4',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'auto.create.topics.enable': 'false',
    'unclean.leader.election.enable': 'false',
    // a dead broker is noticed soon, and gets its partitions back when it returns
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    'replica.lag.time.max.ms': '4000',
    'controller.quorum.election.timeout.ms': '1000',
    'controller.quorum.fetch.timeout.ms': '2000',
    'leader.imbalance.check.interval.seconds': '2',
    'leader.imbalance.per.broker.percentage': '0',
    'message.max.bytes': String(4 * 2 ** 20),
    'replica.fetch.max.bytes': String(4 * 2 ** 20),
    'log.message.timestamp.type': 'LogAppendTime',
    'log.segment.delete.delay.ms': '1000',
    'num.network.threads': '2',
    'num.io.threads': '4',
    'log.cleaner.enable': 'false',
  }
}

/** SCRAM users as the format command takes them. */
export function scramUsers(security: KafkaSecurity | undefined): string[] {
  if (security?.sasl === undefined) return []
  const { username, password } = security.sasl
  return ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map(
    (mechanism) => `${mechanism}=[name=${username},password=${password}]`,
  )
}

function listenerList(listeners: readonly (readonly [string, number])[]): string {
  return listeners.map(([name, port]) => `${name}://127.0.0.1:${port}`).join(',')
}

function secureProtocol(security: KafkaSecurity | undefined): string {
  const transport = security?.tls === undefined ? 'PLAINTEXT' : 'SSL'
  return security?.sasl === undefined ? transport : `SASL_${transport}`
}

function secureProperties(security: KafkaSecurity | undefined): KafkaProperties {
  const prefix = 'listener.name.secure'
  const { tls, sasl } = security ?? {}
  const properties: Record<string, string> = {}
  if (tls !== undefined) {
    properties[`${prefix}.ssl.keystore.type`] = 'PEM'
    properties[`${prefix}.ssl.keystore.location`] = tls.keyStore
    if (tls.clientAuthority !== undefined) {
      properties[`${prefix}.ssl.client.auth`] = 'required'
      properties[`${prefix}.ssl.truststore.type`] = 'PEM'
      properties[`${prefix}.ssl.truststore.location`] = tls.clientAuthority
    }
  }
  if (sasl !== undefined) {
    const module = 'org.apache.kafka.common.security'
    const scram = `${module}.scram.ScramLoginModule required;`
    properties[`${prefix}.sasl.enabled.mechanisms`] = 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512'
    properties[`${prefix}.scram-sha-256.sasl.jaas.config`] = scram
    properties[`${prefix}.scram-sha-512.sasl.jaas.config`] = scram
    properties[`${prefix}.plain.sasl.jaas.config`] =
      `${module}.plain.PlainLoginModule required user_${sasl.username}="${sasl.password}";`
  }
  return properties
}

/** 16 random bytes as Kafka writes ids; never with a hyphen first, as Kafka itself sees to. */
export function randomKafkaId(): string {
  const id = randomBytes(16).toString('base64url')
  return id.startsWith('-') ? randomKafkaId() : id
}
