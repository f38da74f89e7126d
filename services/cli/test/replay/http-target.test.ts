import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'

import type { AppError } from '@tributary/common/errors'
import { bytesField, message, stringField, varintField } from '@tributary/common/protobuf-message'

import { HttpTarget } from '../../src/replay/http-target.ts'
import type { OtlpRequest } from '../../src/replay/otlp-target.ts'

const ignore = (_error: AppError): unknown => undefined
const REQUEST: OtlpRequest = { signal: 'spans', tenant: 'acme', body: Buffer.of(1, 2), items: 3 }

describe('HttpTarget', () => {
  let answers: ((response: ServerResponse) => void)[] = []
  let requests: { url: string; tenant: string; body: Buffer }[] = []
  const server = createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const tenant = String(request.headers['x-tributary-tenant'])
      requests.push({ url: request.url ?? '', tenant, body: Buffer.concat(chunks) })
      const answer = answers.shift() ?? ((last: ServerResponse) => last.writeHead(200).end())
      answer(response)
    })
  })

  beforeEach(async () => {
    answers = []
    requests = []
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })

  afterEach(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  function target(giveUpAfterMs = 10_000, onRetry = ignore): HttpTarget {
    const { port } = server.address() as AddressInfo
    return new HttpTarget({ url: `http://127.0.0.1:${port}/`, giveUpAfterMs, pauseMs: 1, onRetry })
  }

  it('posts the bytes to the path of the signal, under the tenant', async () => {
    assert.equal(await target().send(REQUEST), 0)
    assert.deepEqual(requests, [{ url: '/v1/traces', tenant: 'acme', body: Buffer.of(1, 2) }])
  })

  it('tries again what a server asks to retry, and a connection that broke', async () => {
    answers = [
      (response) => response.writeHead(429, { 'retry-after': '0' }).end(),
      (response) => response.writeHead(503, { 'retry-after': '0' }).end(),
      (response) => response.writeHead(502).end(),
      (response) => response.destroy(),
    ]
    const told: string[] = []
    assert.equal(await target(10_000, ({ message }) => told.push(message)).send(REQUEST), 0)
    assert.equal(requests.length, 5)
    assert.equal(told.length, 1, 'whoever waits hears why, once')
  })

  it('gives up when the time that the server asks for is past its own', async () => {
    answers = [(response) => response.writeHead(503, { 'retry-after': '20' }).end()]
    await assert.rejects(target(100).send(REQUEST), { code: 'overloaded' })
    assert.equal(requests.length, 1)
  })

  it('does not repeat what is refused, and says what the server said', async () => {
    const status = message(varintField(1, 3), stringField(2, 'no such tenant'))
    answers = [(response) => response.writeHead(400).end(status)]
    await assert.rejects(target().send(REQUEST), {
      code: 'malformed_body',
      message: 'request refused',
    })
    assert.equal(requests.length, 1)
  })

  it('counts the items that a partial success rejects', async () => {
    const body = message(bytesField(1, message(varintField(1, 2), stringField(2, 'too old'))))
    answers = [(response) => response.writeHead(200).end(body)]
    assert.equal(await target().send(REQUEST), 2)
  })
})
