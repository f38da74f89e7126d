/** What clients of a real router hear when a real Kafka is down, frozen, slow, or refuses: the contract. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { readRejectedItems, type ProbeAnswer } from '@tributary/cli/conformance/probe-answer'
import { send as sendProbe } from '@tributary/cli/conformance/send'
import { payload } from '@tributary/common/testing/payloads'

import { callGrpc, callHttp, type TimedAnswer } from '../src/routers/timed-call.ts'
import {
  chunkPlaces,
  distinctRows,
  isReady,
  RouterSite,
  until,
} from '../src/routers/router-site.ts'
import { GRPC } from '../src/routers/secured-site.ts'
import type { TributaryProcess } from '../src/tributary-process.ts'

const PARTITIONS = 6
/** Seconds pass before a frozen process's work is given up. */
const PRODUCE_TIMEOUT_MS = 1500

let calls = 0

/** Records that were never sent before. */
function body(records = 20, resources = 4): Uint8Array {
  return payload('logs', { records, resources, call: calls++ })
}

const TRANSPORTS = [
  {
    name: 'gRPC',
    ok: 'OK',
    later: '14 later',
    call: (router: TributaryProcess, bytes: Uint8Array, timeoutMs?: number) =>
      callGrpc({ port: router.port('grpc'), body: bytes, ...(timeoutMs && { timeoutMs }) }),
  },
  {
    name: 'HTTP',
    ok: '200',
    later: '503 later',
    call: (router: TributaryProcess, bytes: Uint8Array) =>
      callHttp({ port: router.port('http'), body: bytes }),
  },
] as const

describe('a router whose Kafka has one broker', () => {
  let site: RouterSite
  let router: TributaryProcess

  before(async () => {
    site = await RouterSite.start({ brokers: 1, topic: 'faults', partitions: PARTITIONS })
    router = await site.router('router-1', [
      `--produce-timeout=${String(PRODUCE_TIMEOUT_MS)}ms`,
      '--request-timeout=10s',
    ])
  })

  after(() => site.stop())

  async function untilOk(): Promise<void> {
    await until('requests are stored again', async () => {
      const answers = await Promise.all(TRANSPORTS.map(({ call }) => call(router, body())))
      return answers.every(({ answer }, index) => answer === TRANSPORTS[index]!.ok)
    })
  }

  it('stores and says OK', async () => {
    for (const { call, ok } of TRANSPORTS) {
      assert.equal((await call(router, body(500, 20))).answer, ok)
    }
    assert.equal(distinctRows(await site.stored()), 1000)
    assert.ok(await isReady(router))
  })

  it('tells clients to come back before their deadline while the broker is frozen, and goes on after', async () => {
    await site.kafka.freeze(1)
    try {
      const asked = await Promise.all([
        ...TRANSPORTS.map(({ call }) => call(router, body())),
        callGrpc({ port: router.port('grpc'), body: body(), timeoutMs: 700 }),
      ])
      const [grpc, http, hurried] = asked as [TimedAnswer, TimedAnswer, TimedAnswer]
      assert.equal(grpc.answer, '14 later')
      assert.equal(http.answer, '503 later')
      assert.equal(hurried.answer, '14 later', 'the client heard it, its deadline did not pass')
    } finally {
      await site.kafka.thaw(1)
    }
    await untilOk()
  })

  it('refuses at once behind an open circuit, and is not ready after a while; then recovers alone', async () => {
    await site.kafka.kill(1)
    await until('the circuit opens', async () => {
      const answers = await Promise.all(TRANSPORTS.map(({ call }) => call(router, body())))
      for (const [index, { later }] of TRANSPORTS.entries()) {
        assert.equal(answers[index]!.answer, later)
      }
      return answers.every(({ tookMs }) => tookMs < 300)
    })
    const { retryAfterSeconds } = await callHttp({ port: router.port('http'), body: body() })
    assert.ok(retryAfterSeconds! >= 1)
    await until('readiness ends', async () => !(await isReady(router)), 30_000)
    await site.kafka.restart(1)
    await untilOk()
    await until('readiness returns', () => isReady(router), 30_000)
  })

  it('cuts large requests below the bound of the topic, also one that shrinks under it', async () => {
    const bound = 1024 * 1024
    await site.createTopic('narrow', {
      partitions: 2,
      topicConfig: { 'max.message.bytes': String(bound) },
    })
    const narrow = await site.router('router-narrow', [], 'narrow')
    const sent = 40_000
    for (const { call, ok } of TRANSPORTS) {
      assert.equal((await call(narrow, body(sent / 2, 10))).answer, ok)
    }
    assert.equal(distinctRows(await site.stored('narrow')), sent)
    await site.kafka.alterTopic('narrow', {
      'max.message.bytes': '200000',
      'message.timestamp.type': 'LogAppendTime',
    })
    // a size that the broker refuses makes the router read the bound anew: nobody is told to drop
    await until('the smaller bound is known', async () => {
      for (const { call, ok, later } of TRANSPORTS) {
        const { answer } = await call(narrow, body(3000, 1))
        assert.ok(answer === ok || answer === later, answer)
        if (answer !== ok) return false
      }
      return true
    })
  })

  it('goes on by the table that it knows while Redis is gone', async () => {
    await site.redis.kill()
    for (const { call, ok } of TRANSPORTS) assert.equal((await call(router, body())).answer, ok)
    const late = await site.router('router-late')
    for (const { call, ok } of TRANSPORTS) assert.equal((await call(late, body())).answer, ok)
    await site.redis.restart()
  })

  it('finishes what it accepted when it is told to stop, and says OK to nothing that is not stored', async () => {
    const leaving = await site.router('router-leaving')
    const before = distinctRows(await site.stored())
    let okRows = 0
    let refusals = 0
    let isStopping = false
    const clients = Array.from({ length: 8 }, async (_, lane) => {
      const { call, ok, later } = TRANSPORTS[lane % 2]!
      for (;;) {
        try {
          const { answer } = await call(leaving, body(50, 3))
          if (answer === ok) okRows += 50
          else if (answer === later) refusals++
          else assert.match(answer, /^14 /, 'a connection that ended')
        } catch {
          refusals++
        }
        if (isStopping) return
      }
    })
    await until('load runs', () => okRows > 1000)
    const status = leaving.stop()
    isStopping = true
    await Promise.all(clients)
    assert.equal(await status, 0)
    const stored = distinctRows(await site.stored()) - before
    assert.ok(stored >= okRows, `${String(stored)} stored, ${String(okRows)} acknowledged`)
    assert.ok(stored <= okRows + refusals * 50)
  })

  it('rejects no good items by a clock that is more than a day behind, and says that it is', async () => {
    const behind = site.spawnRouter('router-behind', [], site.topic, -30)
    await behind.untilReady()
    const skewSeconds = async (): Promise<number> => {
      const text = await (await fetch(`${behind.adminUrl}/metrics`)).text()
      return Number(/^tributary_router_clock_skew_seconds (\S+)$/m.exec(text)?.[1])
    }
    assert.ok(Number.isNaN(await skewSeconds()), 'no produce has told the time yet')
    const endpoint = { grpc: `127.0.0.1:${String(behind.port('grpc'))}`, http: '' }
    const send = (aheadMs: number): Promise<ProbeAnswer> => {
      const startUnixNano = BigInt(Date.now() + aheadMs) * 1_000_000n
      const bytes = payload('logs', { records: 10, call: calls++, startUnixNano })
      return sendProbe(endpoint, GRPC, 'logs', bytes)
    }
    // the first one is judged by what the log held at the start
    for (let request = 0; request < 3; request++) {
      const answer = await send(0)
      assert.equal(answer.status, 0)
      assert.equal(readRejectedItems(answer), undefined, answer.message)
    }
    assert.equal(readRejectedItems(await send(25 * 3_600_000)), 10, 'by the brokers it is too far')
    assert.ok(Math.abs((await skewSeconds()) + 30 * 3600) < 60)
    await until('the log says so', () => behind.log.includes('clock differs'), 15_000)
    assert.equal(await behind.stop(), 0)
  })

  it('waits for a Kafka that comes later, alive and not ready', async () => {
    await site.kafka.kill(1)
    const early = site.spawnRouter('router-early')
    const ready = early.untilReady(60_000)
    await site.kafka.restart(1)
    await ready
    for (const { call, ok } of TRANSPORTS) assert.equal((await call(early, body())).answer, ok)
  })
})

describe('routers whose Kafka has three brokers', () => {
  let site: RouterSite

  before(async () => {
    // one replica each: a broker that stands still takes its partitions with it
    site = await RouterSite.start({ brokers: 3, topic: 'spread', partitions: 12, replication: 1 })
  })

  after(() => site.stop())

  it('serve tenants of other brokers while one broker is frozen', async () => {
    const router = await site.router('router-1', ['--produce-timeout=20s'])
    const tenants = Array.from({ length: 24 }, (_, index) => `tenant-${String(index)}`)
    const send = (tenant: string, timeoutMs: number): Promise<TimedAnswer> =>
      callGrpc({ port: router.port('grpc'), body: body(), tenant, timeoutMs })
    for (const tenant of tenants) assert.equal((await send(tenant, 10_000)).answer, 'OK')
    await site.kafka.freeze(3)
    try {
      const outcomes = await Promise.all(
        tenants.map(async (tenant) => {
          const answers: TimedAnswer[] = []
          for (let call = 0; call < 5; call++) answers.push(await send(tenant, 4000))
          return answers
        }),
      )
      const served = outcomes.filter((answers) => answers.every(({ answer }) => answer === 'OK'))
      const stuck = outcomes.filter((answers) =>
        answers.every(({ answer }) => answer === '14 later'),
      )
      assert.equal(served.length + stuck.length, tenants.length, 'a tenant is served or it is not')
      assert.ok(served.length >= 8 && stuck.length >= 2, `${String(served.length)} served`)
    } finally {
      await site.kafka.thaw(3)
    }
  })

  it('put a retry that comes through the other router where the first try went', async () => {
    const routers = [await site.router('router-2'), await site.router('router-3')]
    const requests = [body(200, 40), body(3000, 10), body(1, 1), body(5000, 1)]
    const places: string[][] = []
    for (const router of routers) {
      for (const { call, ok } of TRANSPORTS) {
        for (const request of requests) assert.equal((await call(router, request)).answer, ok)
        places.push(chunkPlaces(await site.stored()))
      }
    }
    assert.deepEqual(new Set(places.map(String)).size, 1)
  })
})
