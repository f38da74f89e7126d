/** Who may write as whom, how much and of which time: two real routers, with keys and settings in Redis. */
import assert from 'node:assert/strict'
import { connect, type ClientHttp2Session } from 'node:http2'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { readRejectedItems, type ProbeAnswer } from '@tributary/cli/conformance/probe-answer'
import { send } from '@tributary/cli/conformance/send'
import { payload } from '@tributary/common/testing/payloads'

import { callOver } from '../src/clients/open-connection.ts'
import { until } from '../src/routers/router-site.ts'
import { CERTIFICATE_TENANT, GRPC, HTTP, PORTS, SecuredSite } from '../src/routers/secured-site.ts'

const VARIANTS = [GRPC, HTTP] as const
const ROUTERS = [0, 1] as const
/** Statuses of the contract, gRPC and HTTP. */
const OK = [0, 200]
const UNAUTHENTICATED = [16, 401]
const PERMISSION_DENIED = [7, 403]
const OVER_RATE = [8, 429]
const UNAVAILABLE = [14, 503]
const HOUR_MS = 3_600_000

let secured: SecuredSite
let calls = 0

function body(records = 5, ageMs = 0): Uint8Array {
  const startUnixNano = BigInt(Date.now() - ageMs) * 1_000_000n
  return payload('logs', { records, call: calls++, startUnixNano })
}

interface Credential {
  readonly key?: string
  readonly hasCertificate?: boolean
  readonly tenant?: string
}

async function call(
  router: number,
  variant: (typeof VARIANTS)[number],
  { key, hasCertificate, tenant }: Credential,
  bytes = body(),
): Promise<ProbeAnswer> {
  return send(await secured.endpoint(router, hasCertificate), variant, 'logs', bytes, {
    ...(key === undefined ? {} : { 'x-api-key': key }),
    ...(tenant === undefined ? {} : { 'x-tributary-tenant': tenant }),
  })
}

/** What both routers say over both transports. */
async function expectAll(credential: Credential, expected: readonly number[]): Promise<void> {
  for (const router of ROUTERS) {
    for (const variant of VARIANTS) {
      assertStatus(await call(router, variant, credential), expected)
    }
  }
}

function assertStatus(answer: ProbeAnswer, expected: readonly number[]): void {
  const { status, message, failure, retryDelayMs } = answer
  assert.ok(expected.includes(status ?? -1), `${status}: ${message} ${failure}`)
  const isRetryable = expected === UNAVAILABLE || expected === OVER_RATE
  assert.equal(retryDelayMs !== undefined, isRetryable, 'says when to come back')
}

before(async () => {
  secured = await SecuredSite.start()
})

after(() => secured.stop())

describe('two routers with keys, certificates and settings of tenants in Redis', () => {
  let shop: { id: string; key: string }

  it('let nobody in before they know what tenants may do: retry later', async () => {
    shop = await secured.createKey('shop')
    await expectAll({ key: shop.key }, UNAVAILABLE)
    await secured.setTenants({})
    await until('settings are known', async () => {
      const answers = await Promise.all(
        ROUTERS.map((router) => call(router, GRPC, { key: shop.key })),
      )
      return answers.every(({ status }) => status === 0)
    })
  })

  it('store as the tenant of the key or of the certificate, and refuse strangers for good', async () => {
    await expectAll({ key: shop.key }, OK)
    await expectAll({ hasCertificate: true }, OK)
    await expectAll({}, UNAUTHENTICATED)
    await expectAll({ key: `${shop.key.slice(0, -1)}_` }, UNAUTHENTICATED)
    await expectAll({ key: shop.key, tenant: 'other' }, PERMISSION_DENIED)
    const tenants = new Set((await secured.site.stored()).map(({ header }) => header.tenant))
    assert.deepEqual([...tenants].sort(), [CERTIFICATE_TENANT, 'shop'])
  })

  it('keep only a hash of a key in Redis', async () => {
    const { admin } = secured.site.redis
    const secret = shop.key.split('_').at(-1)!.slice(0, 20)
    for (const name of await admin.keys('*')) {
      const dump = await admin.dumpBuffer(name)
      assert.ok(!dump.includes(secret), name)
      assert.ok(!name.includes(secret))
    }
  })

  it('stop a revoked key within 30 s, also on a connection that stays open', async () => {
    const leaving = await secured.createKey('leaving')
    const { grpc, tls } = await secured.endpoint(0)
    const session = connect(`https://${grpc}`, tls)
    try {
      assert.equal(await statusOver(session, leaving.key), '0')
      await expectAll({ key: leaving.key }, OK)
      await secured.command('keys', 'revoke', leaving.id, '--api-keys', 'redis')
      await until(
        'the key stops everywhere',
        async () => {
          const statuses = await Promise.all([
            statusOver(session, leaving.key),
            ...ROUTERS.map(async (router) =>
              String((await call(router, GRPC, { key: leaving.key })).status),
            ),
          ])
          return statuses.every((status) => status === '16')
        },
        30_000,
      )
      await expectAll({ key: leaving.key }, UNAUTHENTICATED)
    } finally {
      session.destroy()
    }
  })

  it('give a tenant its rate together, and tell the rest when to come back', async () => {
    const rate = 100_000
    await secured.setTenants({
      tenants: { shop: { bytesPerSecond: rate, burst: '1s' }, aged: { itemAgeMax: '1h' } },
    })
    await until('the rate is known', async () => {
      const flood = ROUTERS.map((router) => call(router, HTTP, { key: shop.key }, body(300)))
      return (await Promise.all(flood)).every(({ status }) => status === 429)
    })
    for (const router of ROUTERS) {
      for (const variant of VARIANTS) {
        // what came in meanwhile, on a slow machine, is spent again
        await until('the rest is told to wait', async () => {
          const answer = await call(router, variant, { key: shop.key }, body(300))
          if (OK.includes(answer.status ?? -1)) return false
          assertStatus(answer, OVER_RATE)
          return true
        })
      }
    }
    await expectAll({ hasCertificate: true }, OK)
    const seconds = 5
    const taken = await takenBytes(shop.key, seconds)
    assert.ok(taken > 0.5 * rate * seconds, `${taken} bytes of one tenant in ${seconds} s`)
    assert.ok(taken < 1.5 * rate * seconds, `${taken} bytes of one tenant in ${seconds} s`)
  })

  it('reject what is outside of the window of its own that a tenant has, and store the rest', async () => {
    const aged = await secured.createKey('aged')
    for (const router of ROUTERS) {
      for (const variant of VARIANTS) {
        const old = await call(router, variant, { key: aged.key }, body(7, 2 * HOUR_MS))
        assertStatus(old, OK)
        assert.equal(readRejectedItems(old), 7)
        const other = await call(router, variant, { hasCertificate: true }, body(7, 2 * HOUR_MS))
        assert.equal(readRejectedItems(other), undefined)
      }
    }
  })

  it('take a renewed certificate on all ports while requests go on', async () => {
    const before = await Promise.all(PORTS.map((port) => secured.subjectOf(0, port)))
    assert.deepEqual(new Set(before), new Set(['test server']))
    const { grpc, tls } = await secured.endpoint(0, true)
    const session = connect(`https://${grpc}`, tls)
    try {
      assert.equal(await statusOver(session, undefined), '0')
      await secured.renewCertificate()
      await until(
        'the new certificate is shown',
        async () => {
          for (const variant of VARIANTS) {
            assertStatus(await call(0, variant, { hasCertificate: true }), OK)
          }
          const subjects = await Promise.all(
            ROUTERS.flatMap((router) => PORTS.map((port) => secured.subjectOf(router, port))),
          )
          return subjects.every((subject) => subject === 'renewed')
        },
        20_000,
      )
      assert.equal(await statusOver(session, undefined), '0', 'the old connection goes on')
    } finally {
      session.destroy()
    }
  })

  it('believe keys in use while Redis is gone, and tell others to come back', async () => {
    const known = await secured.createKey('known')
    const late = await secured.createKey('late')
    await expectAll({ key: known.key }, OK)
    await secured.site.redis.kill()
    await expectAll({ key: known.key }, OK)
    await expectAll({ key: late.key }, UNAVAILABLE)
    await secured.site.redis.restart()
    await until('the store is asked again', async () => {
      const answers = await Promise.all(
        ROUTERS.map((router) => call(router, GRPC, { key: late.key })),
      )
      return answers.every(({ status }) => status === 0)
    })
    await secured.site.redis.admin.flushall()
    // the routers ask for the keys in use every 5 s: what they find missing was lost, not revoked
    await sleep(6000)
    await expectAll({ key: known.key }, OK)
    await expectAll({ key: late.key }, OK)
  })
})

/** Bytes that both routers took of one tenant, asked as often as their answers allow. */
async function takenBytes(key: string, seconds: number): Promise<number> {
  const endMs = performance.now() + seconds * 1000
  let taken = 0
  const clients = ROUTERS.map(async (router) => {
    while (performance.now() < endMs) {
      const bytes = body(20)
      const answer = await call(router, HTTP, { key }, bytes)
      if (answer.status === 200) taken += bytes.length
      else {
        assertStatus(answer, OVER_RATE)
        await sleep(Math.min(100, answer.retryDelayMs!))
      }
    }
  })
  await Promise.all(clients)
  return taken
}

/** The grpc-status of a call over a connection that stays open. */
function statusOver(session: ClientHttp2Session, key: string | undefined): Promise<string> {
  return callOver(session, key === undefined ? {} : { 'x-api-key': key }, body())
}
