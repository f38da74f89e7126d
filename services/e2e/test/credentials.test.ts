/** API keys on the wire: every way of sending, and what no body of a stranger may do. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect, type ClientHttp2Session } from 'node:http2'
import { after, before, describe, it } from 'node:test'

import { VARIANTS } from '@tributary/cli/conformance/contract-cases'
import { variantName, type Variant } from '@tributary/cli/conformance/conformance-case'
import { framed } from '@tributary/cli/conformance/grpc-probe'
import { jsonPayload, protobufPayload } from '@tributary/cli/conformance/payload'
import type { ProbeAnswer } from '@tributary/cli/conformance/probe-answer'
import { runConformance } from '@tributary/cli/conformance/run-conformance'
import { send } from '@tributary/cli/conformance/send'
import { generateApiKey } from '@tributary/common/tenants/api-key'
import { KEY_CACHE_LIMITS } from '@tributary/router/tenants/key-cache'

import { callOver, openCall, statusOf } from '../src/clients/open-connection.ts'
import { startGuardedReceivers, type GuardedReceivers } from '../src/guarded-receivers.ts'

const KIBIBYTE = 1024
/** Statuses of the contract, gRPC and HTTP. */
const OK = [0, 200]
const UNAUTHENTICATED = [16, 401]
const UNAVAILABLE = [14, 503]

let guarded: GuardedReceivers

before(async () => {
  guarded = await startGuardedReceivers()
})

after(() => guarded.close())

function call(variant: Variant, headers: Readonly<Record<string, string>>): Promise<ProbeAnswer> {
  const body = variant.encoding === 'json' ? jsonPayload('logs') : protobufPayload('logs')
  return send(guarded.endpoint, variant, 'logs', body, headers)
}

function assertStatus(answer: ProbeAnswer, expected: readonly number[]): void {
  assert.ok(expected.includes(answer.status ?? -1), `${answer.status} ${answer.message}`)
}

describe('receivers with API keys', () => {
  for (const variant of VARIANTS) {
    it(`take a key in either header, ${variantName(variant)}`, async () => {
      assertStatus(await call(variant, { 'x-api-key': guarded.key }), OK)
      assertStatus(await call(variant, { authorization: `Bearer ${guarded.key}` }), OK)
      assert.equal(guarded.harness.probe.requests.at(-1)?.tenant, 'shop')
    })
  }

  it('pass the conformance command with a key', async () => {
    const report = await runConformance({
      grpc: guarded.harness.grpcTarget,
      http: guarded.harness.httpUrl,
      apiKey: guarded.key,
      only: 'logs',
    })
    assert.deepEqual(
      report.results.filter(({ result }) => result === 'fail'),
      [],
    )
    const credentials = await runConformance({
      grpc: guarded.harness.grpcTarget,
      http: guarded.harness.httpUrl,
      apiKey: guarded.key,
      only: 'answers when',
    })
    assert.equal(credentials.failed, 0)
    assert.equal(credentials.passed, 3 * VARIANTS.length)
  })

  it('name the scheme to HTTP clients that have no key', async () => {
    const answer = await call(VARIANTS[1]!, {})
    assertStatus(answer, UNAUTHENTICATED)
    assert.equal(answer.headers['www-authenticate'], 'Bearer')
  })

  it('never repeat a presented key', async () => {
    const unknown = generateApiKey().text
    for (const variant of VARIANTS) {
      const answer = await call(variant, { 'x-api-key': unknown })
      assert.ok(!JSON.stringify(answer).includes(unknown))
      assert.ok(!Buffer.from(answer.body).includes(unknown))
    }
  })

  it('keep taking known keys while the file is gone, and know new ones when it is back', async () => {
    assertStatus(await call(VARIANTS[0]!, { 'x-api-key': guarded.key }), OK)
    const other = await guarded.keys.create('billing', '', 0)
    await guarded.withoutStore(async () => {
      for (const variant of VARIANTS) {
        assertStatus(await call(variant, { 'x-api-key': guarded.key }), OK)
        assertStatus(await call(variant, { 'x-api-key': other.key }), UNAVAILABLE)
      }
    })
    assertStatus(await call(VARIANTS[0]!, { 'x-api-key': other.key }), OK)
  })

  it('stop a revoked key within 30 s, on a connection that stays open', async () => {
    const { id, key } = await guarded.keys.create('shop', '', 0)
    const session = connect(`http://${guarded.harness.grpcTarget}`)
    try {
      assert.equal(await callWith(session, key), '0')
      await guarded.keys.revoke(id)
      const revokedAtMs = performance.now()
      while ((await callWith(session, key)) === '0') {
        assert.ok(performance.now() - revokedAtMs < 30_000, 'still works after 30 s')
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      assert.equal(await callWith(session, key), '16')
      assert.ok(performance.now() - revokedAtMs < KEY_CACHE_LIMITS.refreshMs + 2000)
    } finally {
      session.destroy()
    }
  })

  it('store nothing of a body that was on its way when its key was revoked', async () => {
    const { id, key } = await guarded.keys.create('slow', '', 0)
    const session = connect(`http://${guarded.harness.grpcTarget}`)
    const stream = openCall(session, credential(key))
    const frame = framed(protobufPayload('logs'))
    stream.write(frame.subarray(0, frame.length - 1))
    assert.equal(await callWith(session, key), '0')
    await guarded.keys.revoke(id)
    while ((await callWith(session, key)) === '0') {
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    const stored = guarded.harness.probe.requests.length
    const answered = statusOf(stream)
    stream.end(frame.subarray(frame.length - 1))
    assert.equal(await answered, '16')
    session.destroy()
    assert.equal(guarded.harness.probe.requests.length, stored)
  })

  it('read no body of a stranger', async () => {
    const before = guarded.harness.admission.inFlightBytes
    const answered = await new Promise<number | undefined>((resolve, reject) => {
      const sent = request(`${guarded.harness.httpUrl}/v1/logs`, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-protobuf',
          'content-length': 1024 * KIBIBYTE,
          expect: '100-continue',
        },
      })
      sent.on('continue', () => {
        reject(new Error('a body was asked for'))
      })
      sent.on('response', (response) => {
        resolve(response.statusCode)
        sent.destroy()
      })
      sent.on('error', () => undefined)
      sent.flushHeaders()
    })
    assert.equal(answered, 401)
    assert.equal(guarded.harness.admission.inFlightBytes, before)
  })
})

function credential(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` }
}

function callWith(session: ClientHttp2Session, key: string): Promise<string> {
  return callOver(session, credential(key), protobufPayload('logs'))
}
