/** TLS and logins, against a broker that demands both and a certificate of the client. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { AppError } from '../../src/errors.ts'
import type { KafkaConfig } from '../../src/config/kafka-settings.ts'
import { KAFKA_RELATIONS, kafkaSettings } from '../../src/config/kafka-settings.ts'
import { parseSettings } from '../../src/config/setting-table.ts'
import { KafkaPartitionLog, kafkaLogOptions } from '../../src/log/kafka-partition-log.ts'
import { startKafka } from '../../src/testing/kafka-server.ts'
import type { KafkaServer } from '../../src/testing/kafka-server.ts'
import { TestAuthority } from '../../src/testing/test-certificates.ts'
import { LogProbe, bytesOf } from './log-probe.ts'

const USER = { username: 'router', password: 'pass word 7!' }

describe('KafkaPartitionLog over TLS with a login', () => {
  let kafka: KafkaServer
  let folder: string
  let flags: Readonly<Record<string, string>>

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-kafka-access-'))
    const authority = new TestAuthority(folder, 'ca')
    await authority.issue('server')
    await authority.issue('client')
    new TestAuthority(folder, 'stranger')
    const pem = await Promise.all(
      ['key', 'crt'].map((end) => readFile(join(folder, `server.${end}`))),
    )
    await writeFile(join(folder, 'server.pem'), Buffer.concat(pem))
    await writeFile(join(folder, 'password'), `${USER.password}\n`)
    kafka = await startKafka({
      isOwn: true,
      // kafkajs logs in again 10 s before the end of a session: here after 1.1 s, the least that Kafka takes
      properties: { 'connections.max.reauth.ms': '11100' },
      security: {
        tls: {
          keyStore: join(folder, 'server.pem'),
          clientAuthority: join(folder, 'ca.crt'),
        },
        sasl: USER,
      },
    })
    await kafka.createTopic('secret', { partitions: 1 })
    flags = {
      '--kafka-brokers': kafka.secureBrokers.join(','),
      '--kafka-topic': 'secret',
      '--kafka-profile': 'development',
      '--kafka-tls': 'true',
      '--kafka-ca-file': join(folder, 'ca.crt'),
      '--kafka-cert-file': join(folder, 'client.crt'),
      '--kafka-key-file': join(folder, 'client.key'),
      '--kafka-sasl-mechanism': 'scram-sha-512',
      '--kafka-sasl-username': USER.username,
      '--kafka-sasl-password-file': join(folder, 'password'),
    }
  })

  after(async () => {
    await kafka.stop()
    await rm(folder, { recursive: true, force: true })
  })

  function configOf(changes: Readonly<Record<string, string | undefined>> = {}): KafkaConfig {
    const args = Object.entries({ ...flags, ...changes })
      .filter(([, value]) => value !== undefined)
      .map(([flag, value]) => `${flag}=${value}`)
    return parseSettings(kafkaSettings, { args, relations: KAFKA_RELATIONS }).config
  }

  const open = (changes: Readonly<Record<string, string | undefined>> = {}) =>
    KafkaPartitionLog.open(kafkaLogOptions(configOf(changes)))

  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512']) {
    it(`produces and reads with ${mechanism}`, async () => {
      const log = await open({ '--kafka-sasl-mechanism': mechanism })
      const offset = await log.produce(0, [bytesOf(mechanism)], 10_000)
      const probe = await LogProbe.open(log)
      probe.reader.resume(0, offset)
      await probe.until(0, 1)
      assert.deepEqual(probe.texts(0), [mechanism])
      await log.close()
    })
  }

  it('logs in again before its session ends, with requests before and behind', async () => {
    const log = await open()
    const probe = await LogProbe.open(log)
    const start = (await log.bounds()).get(0)!.end
    probe.reader.resume(0, start)
    const texts = Array.from({ length: 450 }, (_, index) => `again ${index}`)
    for (let index = 0; index < texts.length; index += 3) {
      const three = texts.slice(index, index + 3)
      await Promise.all(three.map((text) => log.produce(0, [bytesOf(text)], 10_000)))
      await sleep(10)
    }
    await probe.until(0, texts.length)
    assert.deepEqual(probe.texts(0), texts)
    assert.deepEqual([log.counts.retries, log.counts.repeats, probe.troubles], [0, 0, []])
    await log.close()
  })

  it('says that a person has to act where it is not let in', async () => {
    await writeFile(join(folder, 'wrong'), 'guess')
    const refused: Readonly<Record<string, string | undefined>>[] = [
      { '--kafka-sasl-password-file': join(folder, 'wrong') },
      { '--kafka-sasl-mechanism': 'plain', '--kafka-sasl-password-file': join(folder, 'wrong') },
      { '--kafka-sasl-password-file': join(folder, 'nothing-here') },
      { '--kafka-ca-file': join(folder, 'stranger.crt') },
      { '--kafka-cert-file': undefined, '--kafka-key-file': undefined },
      {
        '--kafka-cert-file': join(folder, 'stranger.crt'),
        '--kafka-key-file': join(folder, 'stranger.key'),
      },
    ]
    for (const changes of refused) {
      await assert.rejects(open(changes), (error) => {
        assert.ok(error instanceof AppError)
        assert.equal(error.code, 'log_unfit', JSON.stringify([changes, error.details]))
        return true
      })
    }
  })

  it('names the handshake where TLS meets a listener without, which may be a broker that starts', async () => {
    await assert.rejects(open({ '--kafka-brokers': kafka.brokers.join(',') }), (error) => {
      assert.ok(error instanceof AppError && error.code === 'log_unavailable')
      assert.equal(error.details['reason'], 'connection closed during the handshake')
      return true
    })
  })

  it('reads the password again for every connection', async () => {
    const log = await open()
    await log.produce(0, [bytesOf('a')], 10_000)
    await writeFile(join(folder, 'password'), 'changed')
    await kafka.restart(1)
    await assert.rejects(log.produce(0, [bytesOf('b')], 2000))
    await writeFile(join(folder, 'password'), USER.password)
    await log.produce(0, [bytesOf('c')], 10_000)
    await log.close()
  })

  it('refuses settings that do not fit together', () => {
    const bad: Readonly<Record<string, string | undefined>>[] = [
      { '--kafka-key-file': undefined },
      { '--kafka-tls': 'false' },
      { '--kafka-sasl-mechanism': 'none' },
      { '--kafka-sasl-username': undefined },
      { '--kafka-brokers': 'kafka' },
    ]
    for (const changes of bad) {
      assert.throws(() => configOf(changes), { code: 'invalid_config' }, JSON.stringify(changes))
    }
  })
})
