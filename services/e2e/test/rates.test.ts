/** Rates of tenants on the wire: what is answered, when to come back, and what two routers let in. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { VARIANTS } from '@tributary/cli/conformance/contract-cases'
import { variantName, type Endpoint } from '@tributary/cli/conformance/conformance-case'
import { jsonPayload, protobufPayload } from '@tributary/cli/conformance/payload'
import type { ProbeAnswer } from '@tributary/cli/conformance/probe-answer'
import { send } from '@tributary/cli/conformance/send'
import { systemClock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import {
  defaultPolicy,
  policyForAll,
  type TenantPolicy,
} from '@tributary/common/tenants/tenant-policy'
import { payload } from '@tributary/common/testing/payloads'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import { startReceivers, type ReceiverHarness } from '@tributary/router/testing/receiver-harness'
import { TenantDirectory } from '@tributary/router/tenants/tenant-directory'

import { storedRows } from '../src/clients/stored-telemetry.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

/** Statuses of the contract, gRPC and HTTP. */
const OK = [0, 200]
const OVER_RATE = [8, 429]
const [GRPC, HTTP] = VARIANTS

interface Router {
  readonly harness: ReceiverHarness
  readonly directory: TenantDirectory
  readonly clock: VirtualClock
  readonly endpoint: Endpoint
}

/** Receivers whose tenants have a rate, and time to spend. */
async function startRouter(policy: Partial<TenantPolicy>): Promise<Router> {
  const clock = new VirtualClock()
  const policies = policyForAll(defaultPolicy(policy))
  const directory = new TenantDirectory({ tenantsMax: 100, policies, clock, random: () => 0 })
  const harness = await startReceivers({ tenants: directory })
  return {
    harness,
    directory,
    clock,
    endpoint: { grpc: harness.grpcTarget, http: harness.httpUrl },
  }
}

function call(
  { endpoint }: Router,
  tenant = 'shop',
  variant = GRPC!,
  body = variant.encoding === 'json' ? jsonPayload('logs') : protobufPayload('logs'),
): Promise<ProbeAnswer> {
  return send(endpoint, variant, 'logs', body, { 'x-tributary-tenant': tenant })
}

function assertStatus(answer: ProbeAnswer, expected: readonly number[]): void {
  assert.ok(expected.includes(answer.status ?? -1), `${answer.status} ${answer.message}`)
}

describe('a tenant with a rate', () => {
  let router: Router

  before(async () => {
    router = await startRouter({ bytesPerSecond: 1000, burstMs: 1000 })
  })

  after(() => router.harness.close())

  for (const [index, variant] of VARIANTS.entries()) {
    it(`is told when its own rate lets it come back, ${variantName(variant)}`, async () => {
      const tenant = `t${index}`
      router.directory.takeBytes(router.directory.enter(tenant), 8000)
      const answer = await call(router, tenant, variant)
      assertStatus(answer, OVER_RATE)
      assert.equal(answer.retryDelayMs, 7001)
      if (variant.transport === 'http') assert.equal(answer.headers['retry-after'], '8')
      await router.clock.advance(7001)
      assertStatus(await call(router, tenant, variant), OK)
    })
  }

  it('does not stand in the way of another one', async () => {
    router.directory.takeBytes(router.directory.enter('greedy'), 1e9)
    assertStatus(await call(router, 'greedy'), OVER_RATE)
    assertStatus(await call(router, 'modest'), OK)
  })

  it('is charged what came out of the compression', async () => {
    const body = Buffer.concat([protobufPayload('logs'), padding(50_000)])
    for (const variant of VARIANTS.filter(({ encoding }) => encoding === 'protobuf')) {
      const tenant = `packed-${variant.transport}-${variant.compression}`
      assertStatus(await call(router, tenant, variant, body), OK)
      const answer = await call(router, tenant, variant)
      assertStatus(answer, OVER_RATE)
      assert.ok(Math.abs(answer.retryDelayMs! - 49_000) < 200 || answer.retryDelayMs === 30_000)
    }
  })

  it('pays nothing for what it is told to send again, and for what can never be taken', async () => {
    const { harness, directory } = router
    const body = Buffer.concat([protobufPayload('logs'), padding(50_000)])
    harness.probe.before = () => Promise.reject(new AppError('log_unavailable', 'test'))
    for (const variant of [GRPC!, HTTP!]) {
      const answer = await call(router, 'unlucky', variant, body)
      assertStatus(answer, [14, 503])
    }
    harness.probe.before = () => undefined
    directory.enter('unlucky')
    assertStatus(await call(router, 'wrong', GRPC, padding(50_000).subarray(0, 40_000)), [3])
    assertStatus(await call(router, 'wrong'), OVER_RATE)
  })
})

describe('a process with rates', () => {
  let folder: string
  let standalone: StandaloneProcess

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-rates-'))
    const path = join(folder, 'tenants.json')
    const tenants = { shop: { itemsPerSecond: 200, burst: '1s' } }
    await writeFile(path, JSON.stringify({ format: 1, unknownTenants: 'refuse', tenants }))
    const flags = [`--tenant-settings=${path}`]
    standalone = await StandaloneProcess.start({ dataDir: join(folder, 'data'), flags })
  })

  after(async () => {
    await standalone.kill()
    await rm(folder, { recursive: true, force: true })
  })

  function post(tenant: string, items: number): Promise<ProbeAnswer> {
    const endpoint = { grpc: `127.0.0.1:${String(standalone.grpcPort)}`, http: standalone.httpUrl }
    const body = payload('logs', { records: items, seed: items })
    return send(endpoint, HTTP!, 'logs', body, { 'x-tributary-tenant': tenant })
  }

  it('stores all items of a request that goes over, and makes the next one wait', async () => {
    assertStatus(await post('shop', 800), OK)
    const answer = await post('shop', 801)
    assertStatus(answer, OVER_RATE)
    assert.ok(answer.retryDelayMs! > 1000 && answer.retryDelayMs! < 5000)
    await systemClock.sleep(answer.retryDelayMs!)
    assertStatus(await post('shop', 801), OK)
    await standalone.flush()
    assert.equal(storedRows(join(folder, 'data'), 'logs', 'shop').length, 1601)
  })

  it('stores nothing of a tenant that it does not know', async () => {
    assertStatus(await post('other', 1), [403])
  })
})

describe('two routers', () => {
  it('let a tenant have its rate together, not each', async () => {
    const routers = await Promise.all(
      [0, 1].map(() => startRouter({ bytesPerSecond: 20_000, burstMs: 100 })),
    )
    try {
      for (const { directory } of routers) directory.shareWith(2)
      const body = Buffer.concat([protobufPayload('logs'), padding(1000)])
      let taken = 0
      const seconds = 4
      for (let tenths = 0; tenths < seconds * 10; tenths++) {
        for (const router of routers) {
          for (;;) {
            const answer = await call(router, 'shop', GRPC, body)
            if (answer.status !== 0) break
            taken += body.length
          }
          await router.clock.advance(100)
        }
      }
      const allowed = 20_000 * seconds
      assert.ok(taken < allowed * 1.1 && taken > allowed * 0.9, `${taken} of ${allowed}`)
    } finally {
      await Promise.all(routers.map(({ harness }) => harness.close()))
    }
  })
})

/** A field that nobody knows, which a request may have: number 1,000, `bytes` long. */
function padding(bytes: number): Buffer {
  const length: number[] = []
  let rest = bytes
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128)
  return Buffer.concat([Buffer.from([0xc2, 0x3e, ...length, rest]), Buffer.alloc(bytes)])
}
