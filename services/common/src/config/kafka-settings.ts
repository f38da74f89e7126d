/** Settings of the connection to Kafka and of the topic, for every role that uses the log. */
import type { ConfigOf, Relation } from './setting-table.ts'
import { boolean, choice, duration, text } from './setting.ts'

const SECOND_MS = 1000

export const KAFKA_PROFILES = ['production', 'development'] as const
export type KafkaProfile = (typeof KAFKA_PROFILES)[number]

export const kafkaSettings = {
  kafkaBrokers: text({
    default: '127.0.0.1:9092',
    pattern: /^[^\s,/]+:\d{1,5}(,[^\s,/]+:\d{1,5})*$/,
    bounds: 'host:port,host:port',
    sentence: 'Some brokers of Kafka; the others are found through them.',
  }),
  kafkaTopic: text({
    default: 'tributary',
    pattern: /^[A-Za-z0-9_][A-Za-z0-9._-]{0,248}$/,
    bounds: 'up to 249 letters, digits, . _ and -, the first a letter, digit or _',
    sentence: 'The topic that carries telemetry, of all routers and ingesters the same.',
  }),
  kafkaProfile: choice(KAFKA_PROFILES, {
    default: 'production',
    sentence:
      'What the topic must be like: production refuses what can lose data (replication below 3, min.insync.replicas below 2, unclean elections), development takes one broker.',
  }),
  kafkaClientId: text({
    default: 'tributary',
    pattern: /^[\w.-]{1,128}$/,
    bounds: 'up to 128 letters, digits, . _ and -',
    sentence: 'How this process is named in logs and quotas of Kafka.',
  }),
  kafkaTls: boolean({ default: false, sentence: 'Speak TLS to Kafka.' }),
  kafkaCaFile: text({
    default: undefined,
    sentence: 'Authorities to trust, PEM; default: those of the system. Read for every connection.',
  }),
  kafkaCertFile: text({
    default: undefined,
    sentence: 'Certificate to show to Kafka, PEM; needs --kafka-key-file.',
  }),
  kafkaKeyFile: text({ default: undefined, sentence: 'The key of that certificate, PEM.' }),
  kafkaSaslMechanism: choice(['none', 'plain', 'scram-sha-256', 'scram-sha-512'], {
    default: 'none',
    sentence: 'How to log in; plain shows the password to the network without --kafka-tls.',
  }),
  kafkaSaslUsername: text({ default: undefined, sentence: 'The user to log in as.' }),
  kafkaSaslPasswordFile: text({
    default: undefined,
    sentence: 'File with the password; read again for every connection, so it may change.',
  }),
  kafkaConnectTimeoutMs: duration({
    default: 3 * SECOND_MS,
    min: 100,
    max: 60 * SECOND_MS,
    sentence: 'A connection must stand within this time, TLS and login included.',
  }),
  kafkaFetchWaitMs: duration({
    default: 200,
    min: 10,
    max: 5 * SECOND_MS,
    sentence: 'How long a broker may hold the question for new records, and others behind it.',
  }),
}
export type KafkaConfig = ConfigOf<typeof kafkaSettings>

export const KAFKA_RELATIONS: readonly Relation<typeof kafkaSettings>[] = [
  (config) =>
    (config.kafkaCertFile === undefined) === (config.kafkaKeyFile === undefined)
      ? undefined
      : '--kafka-cert-file and --kafka-key-file go together',
  (config) =>
    config.kafkaTls || (config.kafkaCaFile === undefined && config.kafkaCertFile === undefined)
      ? undefined
      : '--kafka-ca-file and --kafka-cert-file need --kafka-tls',
  (config) => {
    const { kafkaSaslUsername, kafkaSaslPasswordFile } = config
    const given = [kafkaSaslUsername, kafkaSaslPasswordFile].filter((part) => part !== undefined)
    const wanted = config.kafkaSaslMechanism === 'none' ? 0 : 2
    return given.length === wanted
      ? undefined
      : '--kafka-sasl-mechanism, --kafka-sasl-username and --kafka-sasl-password-file go together'
  },
]
