import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { describe, it } from 'node:test'

import { Client, Metadata, credentials } from '@grpc/grpc-js'
import type { CallOptions, ServiceError } from '@grpc/grpc-js'
import { AppError } from '@tributary/common/errors'
import { setFailpoints } from '@tributary/common/failpoint'

import { EXPORT_ROUTES } from '../../src/receive/export-route.ts'
import { startHealthyClient } from '../../src/testing/healthy-client.ts'
import { testAccount } from '../../src/testing/test-account.ts'
import { startReceivers } from '../../src/testing/receiver-harness.ts'
import type { HarnessOptions, ReceiverHarness } from '../../src/testing/receiver-harness.ts'

const PATH = EXPORT_ROUTES[0].grpcPath
const BODY = Buffer.from([0x0a, 0])
const MESSAGE = Buffer.from([0, 0, 0, 0, 2, ...BODY])

async function withReceivers(
  options: HarnessOptions,
  run: (harness: ReceiverHarness) => Promise<void>,
): Promise<void> {
  const harness = await startReceivers(options)
  try {
    await run(harness)
    while (harness.admission.reservations > 0) await turn()
    assert.equal(harness.admission.inFlightBytes, 0)
  } finally {
    await harness.close()
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A call by @grpc/grpc-js: undefined for OK, else its error. */
function callGrpcJs(
  harness: ReceiverHarness,
  body: Buffer,
  options: CallOptions = {},
): Promise<ServiceError | undefined> {
  const client = new Client(harness.grpcTarget, credentials.createInsecure())
  const identity = (bytes: Buffer): Buffer => bytes
  return new Promise((resolve) => {
    client.makeUnaryRequest(PATH, identity, identity, body, new Metadata(), options, (error) => {
      client.close()
      resolve(error ?? undefined)
    })
  })
}

function open(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': PATH,
    'content-type': 'application/grpc',
  })
  stream.on('error', () => undefined)
  return stream
}

/** grpc-status of a trailers-only answer or of the trailers. */
function statusOf(stream: ClientHttp2Stream): Promise<number> {
  return new Promise((resolve) => {
    const take = (headers: Readonly<Record<string, unknown>>): void => {
      if (headers['grpc-status'] !== undefined) resolve(Number(headers['grpc-status']))
    }
    stream.on('response', take)
    stream.on('trailers', take)
    stream.on('close', () => {
      resolve(-1)
    })
    stream.resume()
  })
}

describe('the gRPC receiver', () => {
  it('hands on signal, tenant, body and the time that is left', async () => {
    await withReceivers({}, async (harness) => {
      const deadline = Date.now() + 5000
      assert.equal(await callGrpcJs(harness, BODY, { deadline }), undefined)
      const [request] = harness.probe.requests
      assert.equal(request?.encoding, 'protobuf')
      assert.equal(request?.tenant, 'default')
      assert.deepEqual(Buffer.from(request?.body ?? []), BODY)
      assert.ok(request.deadlineMs! > 0 && request.deadlineMs! <= 5000)
    })
  })

  it('refuses a call on its headers when bytes in flight are at their bound', async () => {
    await withReceivers({}, async (harness) => {
      const held = harness.admission.reserve(harness.admission.inFlightBytesMax, testAccount())
      const session = connect(`http://${harness.grpcTarget}`)
      // No byte of the body is ever sent.
      const stream = open(session)
      assert.equal(await statusOf(stream), 14)
      assert.equal(harness.probe.requests.length, 0)
      session.destroy()
      held.release()
    })
  })

  it('refuses a message on its prefix when it does not fit beside others', async () => {
    await withReceivers({ inFlightBytesMax: 1024 * 1024 }, async (harness) => {
      const held = harness.admission.reserve(1024, testAccount())
      const session = connect(`http://${harness.grpcTarget}`)
      const stream = open(session)
      stream.write(Buffer.from([0, 0, 0x20, 0, 0]))
      assert.equal(await statusOf(stream), 14)
      session.destroy()
      held.release()
    })
  })

  it('reserves while a call is in flight, and no longer', async () => {
    await withReceivers({}, async (harness) => {
      const released = Promise.withResolvers<undefined>()
      harness.probe.before = () => released.promise
      const answer = callGrpcJs(harness, Buffer.concat([BODY, Buffer.alloc(0)]))
      while (harness.probe.requests.length === 0) await turn()
      assert.ok(harness.admission.inFlightBytes > 0)
      assert.equal(harness.admission.reservations, 1)
      released.resolve(undefined)
      assert.equal(await answer, undefined)
    })
  })

  it('keeps the reservation of a cancelled call until the handler lets go of its body', async () => {
    await withReceivers({}, async (harness) => {
      const released = Promise.withResolvers<undefined>()
      harness.probe.before = () => released.promise
      const session = connect(`http://${harness.grpcTarget}`)
      const stream = open(session)
      stream.end(MESSAGE)
      while (harness.probe.requests.length === 0) await turn()
      stream.close(8)
      await once(stream, 'close')
      session.destroy()
      assert.equal(harness.admission.reservations, 1)
      released.resolve(undefined)
    })
  })

  it('answers a call whose deadline passes as retryable', async () => {
    await withReceivers({}, async (harness) => {
      harness.probe.before = () => new Promise((resolve) => setTimeout(resolve, 300))
      const session = connect(`http://${harness.grpcTarget}`)
      const stream = session.request({
        ':method': 'POST',
        ':path': PATH,
        'content-type': 'application/grpc',
        'grpc-timeout': '50m',
      })
      stream.end(MESSAGE)
      assert.equal(await statusOf(stream), 14)
      session.destroy()
    })
  })

  it('answers before the deadline of its client, however short, and says when to come back', async () => {
    await withReceivers({ limits: { sweepIntervalMs: 50 } }, async (harness) => {
      harness.probe.before = () => new Promise((resolve) => setTimeout(resolve, 2000).unref())
      for (const timeoutMs of [150, 250, 1000]) {
        let error = await callGrpcJs(harness, BODY, { deadline: Date.now() + timeoutMs })
        // on a busy machine the client's own timer can be first: rarely, not again and again
        for (let again = 0; again < 3 && Number(error?.code) === 4; again++) {
          error = await callGrpcJs(harness, BODY, { deadline: Date.now() + timeoutMs })
        }
        assert.equal(error?.code, 14, `${String(timeoutMs)} ms`)
        assert.match(error.metadata.get('grpc-status-details-bin').join(), /RetryInfo/)
      }
    })
  })

  it('answers a client before its deadline too when its body does not come', async () => {
    await withReceivers({ limits: { sweepIntervalMs: 50 } }, async (harness) => {
      const session = connect(`http://${harness.grpcTarget}`)
      const stream = session.request({
        ':method': 'POST',
        ':path': PATH,
        'content-type': 'application/grpc',
        'grpc-timeout': '1S',
      })
      stream.on('error', () => undefined)
      const startMs = performance.now()
      assert.equal(await statusOf(stream), 14)
      assert.ok(performance.now() - startMs < 1000)
      session.destroy()
    })
  })

  it('tells a client no earlier time than the error knows', async () => {
    await withReceivers({}, async (harness) => {
      const details = { retryAfterMs: 7000 }
      harness.probe.before = () =>
        Promise.reject(new AppError('log_unavailable', 'the circuit is open', { details }))
      const error = await callGrpcJs(harness, BODY)
      const [status] = error!.metadata.get('grpc-status-details-bin')
      // RetryInfo { retry_delay { seconds: 7 } }
      assert.ok(Buffer.from(status as Buffer).includes(Buffer.of(0x0a, 0x02, 0x08, 7)))
    })
  })

  it('percent-encodes messages, and says the same in google.rpc.Status', async () => {
    await withReceivers({}, async (harness) => {
      harness.probe.before = () => Promise.reject(new AppError('malformed_body', '100 % ä\n漢'))
      const error = await callGrpcJs(harness, BODY)
      assert.equal(error?.code, 3)
      assert.equal(error.details, '100 % ä\n漢')
      const [status] = error.metadata.get('grpc-status-details-bin')
      assert.ok(Buffer.from(status as Buffer).includes('100 % ä\n漢'))
    })
  })

  it('takes 128 calls at once on one connection', async () => {
    await withReceivers({}, async (harness) => {
      const session = connect(`http://${harness.grpcTarget}`)
      await once(session, 'remoteSettings')
      assert.equal(session.remoteSettings.maxConcurrentStreams, 128)
      assert.equal(session.remoteSettings.initialWindowSize, 4 * 1024 * 1024)
      const released = Promise.withResolvers<undefined>()
      harness.probe.before = () => released.promise
      const answers = Array.from({ length: 128 }, () => {
        const stream = open(session)
        stream.end(MESSAGE)
        return statusOf(stream)
      })
      while (harness.probe.requests.length < 128) await turn()
      released.resolve(undefined)
      assert.deepEqual(new Set(await Promise.all(answers)), new Set([0]))
      session.destroy()
    })
  })

  it('takes large calls one after the other for as long as a client likes', async () => {
    await withReceivers({ limits: { sweepIntervalMs: 200 } }, async (harness) => {
      harness.probe.before = () => Promise.reject(new AppError('over_rate', 'test'))
      const session = connect(`http://${harness.grpcTarget}`)
      const large = Buffer.alloc(5 + 4 * 1024 * 1024)
      large.writeUInt32BE(large.length - 5, 1)
      for (let count = 0; count < 60; count++) {
        const stream = open(session)
        stream.end(large)
        assert.equal(await statusOf(stream), 8)
      }
      session.destroy()
    })
  })

  it('sends its clients away after a while, without failing a call', async () => {
    await withReceivers({ limits: { connectionAgeMs: 100 } }, async (harness) => {
      const client = new Client(harness.grpcTarget, credentials.createInsecure())
      const identity = (bytes: Buffer): Buffer => bytes
      const call = (): Promise<number> =>
        new Promise((resolve) => {
          client.makeUnaryRequest(PATH, identity, identity, BODY, (error) => {
            resolve(error?.code ?? 0)
          })
        })
      const sent = new Set<number>()
      const closed = /closed_total\{transport="grpc",reason="age"\} [2-9]/
      while (!closed.test(await harness.registry.metrics())) sent.add(await call())
      assert.deepEqual(sent, new Set([0]))
      client.close()
    })
  })
})

describe('the gRPC receiver, when it drains', () => {
  it('finishes what is in flight, and takes no new connection', async () => {
    await withReceivers({}, async (harness) => {
      const released = Promise.withResolvers<undefined>()
      harness.probe.before = () => released.promise
      const inFlight = callGrpcJs(harness, BODY)
      while (harness.probe.requests.length === 0) await turn()
      const drained = harness.grpc.drain(10_000)
      assert.equal((await callGrpcJs(harness, BODY))?.code, 14)
      released.resolve(undefined)
      assert.equal(await inFlight, undefined)
      await drained
    })
  })

  it('answers what does not finish in its grace as retryable, never OK (R6)', async () => {
    await withReceivers({}, async (harness) => {
      const released = Promise.withResolvers<undefined>()
      harness.probe.before = () => released.promise
      const inFlight = callGrpcJs(harness, BODY)
      const session = connect(`http://${harness.grpcTarget}`)
      const halfSent = open(session)
      halfSent.write(MESSAGE.subarray(0, 6))
      while (harness.admission.reservations < 2) await turn()
      const status = statusOf(halfSent)
      await harness.grpc.drain(50)
      assert.equal((await inFlight)?.code, 14)
      assert.equal(await status, 14)
      released.resolve(undefined)
      session.destroy()
    })
  })

  it('is done at once when nothing is in flight', async () => {
    await withReceivers({}, async (harness) => {
      const session = connect(`http://${harness.grpcTarget}`)
      await once(session, 'remoteSettings')
      await harness.grpc.drain(60_000)
      session.destroy()
    })
  })
})

describe('the receivers at their failpoints', () => {
  it('answer retryable where the call fails between acceptance and answer (R1, R5)', async () => {
    for (const name of ['receive:accepted', 'receive:before-response']) {
      await withReceivers({}, async (harness) => {
        setFailpoints(`${name}=throw`)
        assert.equal((await callGrpcJs(harness, BODY))?.code, 14)
        setFailpoints(undefined)
        const healthy = startHealthyClient(harness)
        assert.deepEqual(new Set(await healthy.finish()), new Set([0, 200]))
      })
    }
  })
})
