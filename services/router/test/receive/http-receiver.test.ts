import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, it } from 'node:test'

import { callHttp } from '../../src/testing/healthy-client.ts'
import { testAccount } from '../../src/testing/test-account.ts'
import { startReceivers } from '../../src/testing/receiver-harness.ts'
import type { HarnessOptions, ReceiverHarness } from '../../src/testing/receiver-harness.ts'

const MEBIBYTE = 1024 * 1024
const PROTOBUF: OutgoingHttpHeaders = { 'content-type': 'application/x-protobuf' }

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

/** A stop that waits for a call that never ends is no success. */
const LIMITED = { timeout: 30_000 }

/** A request that has sent three bytes of its body. */
async function sendPart(harness: ReceiverHarness, path: string, bytes: number): Promise<Socket> {
  const socket = connect(harness.http.port, '127.0.0.1')
  await once(socket, 'connect')
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`
  socket.write(`${head}content-length: ${bytes}\r\n\r\nabc`)
  return socket
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

function post(
  harness: ReceiverHarness,
  body: Uint8Array,
  headers: OutgoingHttpHeaders = {},
  agent?: Agent,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1',
      port: harness.http.port,
      path: '/v1/logs',
      method: 'POST',
      headers: {
        ...PROTOBUF,
        ...('transfer-encoding' in headers ? {} : { 'content-length': body.length }),
        ...headers,
      },
      agent: agent ?? false,
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      let text = ''
      response.setEncoding('latin1')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text })
      })
    })
    sent.end(body)
  })
}

describe('the HTTP receiver', () => {
  it('refuses on the headers, before a byte of the body, when overloaded', async () => {
    await withReceivers({}, async (harness) => {
      const held = harness.admission.reserve(harness.admission.inFlightBytesMax, testAccount())
      const socket = connect(harness.http.port, '127.0.0.1')
      socket.write(
        'POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n',
      )
      const [answer] = (await once(socket, 'data')) as [Buffer]
      assert.match(answer.toString('latin1'), /^HTTP\/1\.1 503 .*retry-after: [1-9]/is)
      socket.destroy()
      held.release()
    })
  })

  it('sends no 100 Continue for what it does not admit', async () => {
    await withReceivers({}, async (harness) => {
      const held = harness.admission.reserve(harness.admission.inFlightBytesMax, testAccount())
      const socket = connect(harness.http.port, '127.0.0.1')
      socket.write(
        'POST /v1/logs HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n',
      )
      let text = ''
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
      })
      await once(socket, 'close')
      assert.match(text, /^HTTP\/1\.1 503 .*connection: close/is)
      held.release()
    })
  })

  it('lets a client that sends 100 MB read its 413', async () => {
    await withReceivers({}, async (harness) => {
      const answer = await post(harness, Buffer.alloc(100 * MEBIBYTE))
      assert.equal(answer.status, 413)
    })
  })

  it('takes 64 MiB, and 100 MB when the limit is raised', async () => {
    await withReceivers({}, async (harness) => {
      const body = Buffer.alloc(64 * MEBIBYTE)
      harness.probe.before = () => Promise.reject(new Error('the body is not looked at'))
      assert.equal((await post(harness, body)).status, 503)
      assert.equal(harness.probe.requests[0]?.body.length, body.length)
    })
    const limits = { requestBytesMax: 100 * MEBIBYTE }
    await withReceivers({ limits }, async (harness) => {
      const body = Buffer.alloc(100 * MEBIBYTE)
      harness.probe.before = () => Promise.reject(new Error('the body is not looked at'))
      assert.equal((await post(harness, body)).status, 503)
      assert.equal(harness.probe.requests[0]?.body.length, body.length)
    })
  })

  it('bounds a chunked body, which announces nothing', async () => {
    await withReceivers({ limits: { requestBytesMax: MEBIBYTE } }, async (harness) => {
      const headers = { 'transfer-encoding': 'chunked' }
      const answer = await post(harness, Buffer.alloc(2 * MEBIBYTE), headers)
      assert.equal(answer.status, 413)
    })
  })

  it('keeps a connection through refusals', async () => {
    await withReceivers({}, async (harness) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      for (let count = 0; count < 3; count++) {
        const refused = await post(harness, Buffer.alloc(100_000), { 'content-type': 'a/b' }, agent)
        assert.equal(refused.status, 415)
        assert.equal((await post(harness, Buffer.from([0x0a, 0]), {}, agent)).status, 200)
      }
      assert.match(await harness.registry.metrics(), /connections\{transport="http"\} 1/)
      agent.destroy()
    })
  })

  it('closes a connection of a certain age with an answer, never without', async () => {
    await withReceivers({ limits: { connectionAgeMs: 1 } }, async (harness) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      const connections: (string | undefined)[] = []
      while (!connections.includes('close')) {
        const answer = await post(harness, Buffer.from([0x0a, 0]), {}, agent)
        assert.equal(answer.status, 200)
        connections.push(answer.headers.connection)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      agent.destroy()
    })
  })

  it('answers pipelined requests in their order', async () => {
    await withReceivers({}, async (harness) => {
      const socket = connect(harness.http.port, '127.0.0.1')
      const head = 'POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n'
      socket.write(
        `${head}content-length: 2\r\n\r\n\n\0${head}content-length: 1\r\n\r\nx${head}content-length: 0\r\nconnection: close\r\n\r\n`,
      )
      let text = ''
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
      })
      await once(socket, 'close')
      assert.deepEqual(
        [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]),
        ['200', '400', '200'],
      )
    })
  })

  it('finishes what is in flight when it drains, and closes its connection', async () => {
    await withReceivers({}, async (harness) => {
      const released = Promise.withResolvers<undefined>()
      harness.probe.before = () => released.promise
      const agent = new Agent({ keepAlive: true })
      const inFlight = post(harness, Buffer.from([0x0a, 0]), {}, agent)
      while (harness.probe.requests.length === 0) await turn()
      const drained = harness.http.drain(10_000)
      assert.equal(await callHttp(harness.http.port), -1)
      released.resolve(undefined)
      const answer = await inFlight
      assert.equal(answer.status, 200)
      assert.equal(answer.headers.connection, 'close')
      await drained
      agent.destroy()
    })
  })

  it('forgets calls whose clients hang up in their body, answered or not', LIMITED, async () => {
    await withReceivers({}, async (harness) => {
      for (const [path, bytes] of [
        ['/v1/nope', 1000],
        ['/v1/logs', 100 * MEBIBYTE],
      ] as const) {
        const socket = await sendPart(harness, path, bytes)
        assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 4(04|13) /)
        socket.destroy()
      }
      ;(await sendPart(harness, '/v1/logs', 1000)).destroy()
      const halfClosed = await sendPart(harness, '/v1/logs', 1000)
      halfClosed.end()
      await once(halfClosed.resume(), 'close')
      await harness.http.drain(2 * LIMITED.timeout)
    })
  })

  it('answers what does not finish in its grace with 503 (R6)', async () => {
    await withReceivers({}, async (harness) => {
      const released = Promise.withResolvers<undefined>()
      harness.probe.before = () => released.promise
      const inFlight = post(harness, Buffer.from([0x0a, 0]))
      while (harness.probe.requests.length === 0) await turn()
      await harness.http.drain(50)
      assert.equal((await inFlight).status, 503)
      released.resolve(undefined)
    })
  })
})
