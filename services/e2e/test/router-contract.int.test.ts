/**
 * The rows of the status contract that a real router answers when its Kafka, its Redis, a tenant's rate,
 * its own memory or its end stand in the way: over both transports, both encodings and all
 * compressions. The conformance command has a case for each; here the state is real.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Endpoint, ServerState } from '@tributary/cli/conformance/conformance-case'
import { VARIANTS } from '@tributary/cli/conformance/contract-cases'
import { protobufPayload } from '@tributary/cli/conformance/payload'
import { readRejectedItems, type ProbeAnswer } from '@tributary/cli/conformance/probe-answer'
import { runConformance, type StateHook } from '@tributary/cli/conformance/run-conformance'
import { send } from '@tributary/cli/conformance/send'
import { bytesField, message, stringField } from '@tributary/common/protobuf-message'
import { generateApiKey } from '@tributary/common/tenants/api-key'
import { payload } from '@tributary/common/testing/payloads'

import { openDoor } from '../src/clients/door.ts'
import { distinctRows, RouterSite, until } from '../src/routers/router-site.ts'
import { GRPC, HTTP } from '../src/routers/secured-site.ts'
import type { TributaryProcess } from '../src/tributary-process.ts'

/** A client waits longer than a router tries. */
const PRODUCE_TIMEOUT_MS = 1500
const MIB = 1024 * 1024

let folder: string
let site: RouterSite
let router: TributaryProcess

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-contract-'))
  site = await RouterSite.start({ brokers: 1, topic: 'contract', partitions: 4 })
  router = await site.router('router-1', [
    `--produce-timeout=${String(PRODUCE_TIMEOUT_MS)}ms`,
    '--request-timeout=10s',
    '--request-bytes-max=4MiB',
    '--inflight-bytes-max=16MiB',
    `--tenant-settings=${await tenantSettings()}`,
  ])
})

after(async () => {
  await site.stop()
  await rm(folder, { recursive: true, force: true })
})

async function tenantSettings(): Promise<string> {
  const path = join(folder, 'tenants.json')
  const tenants = { slow: { bytesPerSecond: '64KiB', burst: '1s' } }
  await writeFile(path, JSON.stringify({ format: 1, tenants }))
  return path
}

function endpointOf(process: TributaryProcess, headers: Endpoint['headers'] = {}): Endpoint {
  return {
    grpc: `127.0.0.1:${String(process.port('grpc'))}`,
    http: `http://127.0.0.1:${String(process.port('http'))}`,
    headers,
  }
}

/** All variants hear what the contract says of the state that the endpoint is in. */
async function expectState(state: ServerState, endpoint: Endpoint): Promise<void> {
  const hook: StateHook = (run) => run(endpoint)
  const { results } = await runConformance({
    grpc: endpoint.grpc,
    http: endpoint.http,
    only: `answers when ${state}`,
    states: { [state]: hook },
  })
  assert.equal(results.length, VARIANTS.length)
  assert.deepEqual(
    results.filter(({ result }) => result !== 'pass'),
    [],
  )
}

async function untilOk(): Promise<void> {
  await until('requests are stored again', async () => {
    const answers = await Promise.all([GRPC, HTTP].map((variant) => sendLogs(variant)))
    return answers.every(isOk)
  })
}

function sendLogs(variant = GRPC, body = protobufPayload('logs')): Promise<ProbeAnswer> {
  return send(endpointOf(router), variant, 'logs', body)
}

function isOk({ status }: ProbeAnswer): boolean {
  return status === 0 || status === 200
}

describe('a real router answers as the contract says', () => {
  it('while the broker is slow but in time: OK, once it is stored', async () => {
    await site.kafka.freeze(1)
    const asked = VARIANTS.filter(({ encoding }) => encoding === 'protobuf').map((variant) =>
      sendLogs(variant),
    )
    await sleep(PRODUCE_TIMEOUT_MS / 3)
    await site.kafka.thaw(1)
    for (const answer of await Promise.all(asked)) assert.ok(isOk(answer), answer.message)
    assert.equal(distinctRows(await site.stored()), asked.length)
  })

  it('while the broker takes longer than a produce may: retry later', async () => {
    await site.kafka.freeze(1)
    try {
      await expectState('slow', endpointOf(router))
    } finally {
      await site.kafka.thaw(1)
    }
    await untilOk()
  })

  it('while the bytes in flight are all taken: retry later', async () => {
    await site.kafka.freeze(1)
    const large = [1, 2, 3, 4, 5, 6].map((call) =>
      sendLogs(HTTP, payload('logs', { records: 9000, call })),
    )
    try {
      await until('the router is full', async () => {
        const text = await (await fetch(`${router.adminUrl}/metrics`)).text()
        const inFlight = /^tributary_receive_in_flight_bytes (\d+)$/m.exec(text)?.[1]
        return Number(inFlight) > 4 * MIB
      })
      await expectState('overloaded', endpointOf(router))
    } finally {
      await site.kafka.thaw(1)
    }
    for (const { status, retryDelayMs } of await Promise.all(large)) {
      assert.ok(status === 200 || (status === 503 && retryDelayMs !== undefined), `${status}`)
    }
    await untilOk()
  })

  it('while the broker is down: retry later, at once behind an open circuit', async () => {
    await site.kafka.kill(1)
    await expectState('log_unavailable', endpointOf(router))
    const startMs = performance.now()
    await expectState('log_unavailable', endpointOf(router))
    const eachMs = (performance.now() - startMs) / VARIANTS.length
    assert.ok(eachMs < PRODUCE_TIMEOUT_MS / 2, `${eachMs} ms each`)
    await site.kafka.restart(1)
    await untilOk()
  })

  it('to a tenant over its rate: retry later, and to others OK', async () => {
    const endpoint = endpointOf(router, { 'x-tributary-tenant': 'slow' })
    await flood(endpoint)
    await expectState('over_rate', endpoint)
    await untilOk()
  })

  it('to records that no record of its topic takes: rejected and told, all others stored', async () => {
    await site.createTopic('narrow', {
      partitions: 1,
      topicConfig: { 'max.message.bytes': String(MIB) },
    })
    const narrow = await site.router('router-narrow', ['--redis-prefix=narrow'], 'narrow')
    for (const variant of VARIANTS.filter(({ encoding }) => encoding === 'protobuf')) {
      const body = Buffer.concat([logUnderWideResource(), protobufPayload('logs')])
      const answer = await send(endpointOf(narrow), variant, 'logs', body)
      assert.ok(isOk(answer), answer.message)
      assert.equal(readRejectedItems(answer), 1)
    }
    const sent = VARIANTS.filter(({ encoding }) => encoding === 'protobuf').length
    assert.equal(distinctRows(await site.stored('narrow')), sent)
    const { passed, failed } = await runConformance({ ...endpointOf(narrow), only: 'rejects' })
    assert.equal(failed, 0)
    assert.equal(passed, 3 * VARIANTS.length)
    await narrow.kill()
  })

  it('while its keys can not be read: retry later, whoever calls', async () => {
    const guarded = await site.router('router-guarded', ['--api-keys=redis'])
    await site.redis.kill()
    const stranger = { authorization: `Bearer ${generateApiKey().text}` }
    await expectState('credentials_unchecked', endpointOf(guarded, stranger))
    await expectState('unauthenticated', endpointOf(guarded))
    await site.redis.restart()
    await guarded.kill()
  })

  it('while it drains: retry later, and what it took is finished', async () => {
    const leaving = await site.router('router-leaving', ['--produce-timeout=8s'])
    const doors = await Promise.all([
      openDoor(leaving.port('grpc')),
      openDoor(leaving.port('http')),
    ])
    const [grpc, http] = [doors[0].target, `http://${doors[1].target}`] as const
    await site.kafka.freeze(1)
    const held = [GRPC, HTTP].map((variant) =>
      send(endpointOf(leaving), variant, 'logs', protobufPayload('logs')),
    )
    await sleep(500)
    const ended = leaving.stop()
    await sleep(500)
    try {
      for (const variant of [GRPC, HTTP]) {
        const answer = await send({ grpc, http }, variant, 'logs', protobufPayload('logs'))
        // a call that GOAWAY says was never looked at goes to another router by itself
        const isUnprocessed = answer.failure.includes('REFUSED_STREAM')
        const isRetryable = [14, 503].includes(answer.status ?? -1)
        assert.ok(isUnprocessed || isRetryable, `${answer.status} ${answer.failure}`)
        if (isRetryable) assert.ok(answer.retryDelayMs! > 0)
      }
    } finally {
      await site.kafka.thaw(1)
    }
    for (const answer of await Promise.all(held)) assert.ok(isOk(answer), answer.message)
    assert.equal(await ended, 0)
    for (const door of doors) door.close()
  })
})

/** A record that is no larger than an item may be, under a resource with which it fills no record. */
function logUnderWideResource(): Uint8Array {
  const text = (bytes: number): Uint8Array => stringField(1, '.'.repeat(bytes))
  const attribute = message(stringField(1, 'wide'), bytesField(2, text(700 * 1024)))
  const resource = bytesField(1, bytesField(1, attribute))
  const log = bytesField(2, bytesField(5, text(600 * 1024)))
  return bytesField(1, message(resource, bytesField(2, log)))
}

/** Sends until told to stop: the tenant is in debt then. */
async function flood(endpoint: Endpoint): Promise<void> {
  for (let call = 0; call < 50; call++) {
    const body = payload('logs', { records: 9000, call })
    if ((await send(endpoint, HTTP, 'logs', body)).status === 429) return
  }
  assert.fail('no rate was met')
}
