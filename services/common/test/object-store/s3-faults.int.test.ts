/** The S3 store behind a proxy that loses answers, refuses, and damages bytes in both directions. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'

import { CommitChain } from '../../src/commit/commit-chain.ts'
import { createLogger } from '../../src/logger.ts'
import type { ObjectStore } from '../../src/object-store/object-store.ts'
import { openObjectStore } from '../../src/object-store/object-store.ts'
import { startS3Server } from '../../src/testing/s3-server.ts'
import type { S3Server } from '../../src/testing/s3-server.ts'
import { PARTITION, commitRecord } from '../commit/sample-commit.ts'

const sha256 = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')

/**
 * lose: the server does it, the answer never comes; refuse: 503 SlowDown; conflict: 409; deaf: 200
 * whatever is sent; pass: nothing; flip: one bit of the request body; cut and spoil: the answer's body.
 */
type Fault = 'lose' | 'refuse' | 'conflict' | 'deaf' | 'pass' | 'flip' | 'cut' | 'spoil'

class FaultProxy {
  readonly #target: URL
  readonly #server: Server
  /** For the next requests of that method, in order. */
  readonly faults: { method: string; fault: Fault; times: number }[] = []
  /** Methods of all requests so far. */
  readonly seen: string[] = []

  constructor(target: string) {
    this.#target = new URL(target)
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch(() => response.destroy())
    })
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  inject(method: string, fault: Fault, times = 1): void {
    this.faults.push({ method, fault, times })
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? ''
    this.seen.push(method)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const fault = this.#due(method)
    if (fault === 'refuse' || fault === 'conflict') return refuse(response, fault)
    if (fault === 'deaf') return void response.writeHead(200, { etag: '"x"' }).end()
    if (fault === 'flip' && body.length > 0) body[body.length >> 1]! ^= 4
    const answer = await this.#forward(request, body)
    if (fault === 'lose') return void response.destroy()
    const answered: Buffer[] = []
    for await (const chunk of answer) answered.push(chunk as Buffer)
    const payload = Buffer.concat(answered)
    if (fault === 'spoil') payload[payload.length >> 1]! ^= 4
    response.writeHead(answer.statusCode ?? 500, answer.headers)
    if (fault !== 'cut') return void response.end(payload)
    response.write(payload.subarray(0, payload.length >> 1), () => response.destroy())
  }

  #due(method: string): Fault | undefined {
    const due = this.faults.find((each) => each.method === method && each.times > 0)
    if (due !== undefined) due.times--
    return due?.fault
  }

  async #forward(request: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
    const { method, url: path, headers } = request
    const { hostname: host, port } = this.#target
    const forwarded = httpRequest({ host, port, method, path, headers })
    forwarded.end(body)
    const [answer] = (await once(forwarded, 'response')) as [IncomingMessage]
    return answer
  }
}

function refuse(response: ServerResponse, fault: 'refuse' | 'conflict'): void {
  const [status, code] =
    fault === 'refuse' ? [503, 'SlowDown'] : [409, 'ConditionalRequestConflict']
  response.writeHead(status, { 'content-type': 'application/xml' })
  response.end(`<Error><Code>${code}</Code><Message>by the test</Message></Error>`)
}

describe('S3ObjectStore behind faults', () => {
  const logger = createLogger({ name: 'test', level: 'silent' })
  let server: S3Server
  let proxy: FaultProxy
  let endpoint: string
  let folder: string
  const stores: ObjectStore[] = []
  before(async () => {
    server = await startS3Server()
    proxy = new FaultProxy(server.endpoint)
    endpoint = await proxy.start()
    folder = await mkdtemp(join(tmpdir(), 'tributary-s3-faults-'))
  })
  afterEach(() => {
    proxy.faults.length = 0
    proxy.seen.length = 0
  })
  after(async () => {
    for (const store of stores) await store.close()
    await proxy.stop()
    await server.stop()
    await rm(folder, { recursive: true })
  })

  async function open(attemptsMax = 3): Promise<ObjectStore> {
    const { region, credentials } = server
    const url = `s3://${server.bucket}/${randomUUID()}`
    const store = await openObjectStore(url, {
      ...{ endpoint, region, credentials, logger, attemptsMax },
    })
    stores.push(store)
    return store
  }

  async function spool(bytes: number): Promise<{ path: string; body: Buffer }> {
    const body = Buffer.alloc(bytes, randomUUID())
    const path = join(folder, randomUUID())
    await writeFile(path, body)
    return { path, body }
  }

  it('meets its own object where the answer to a create was lost', async () => {
    const store = await open()
    proxy.inject('PUT', 'lose')
    await assert.rejects(store.put('a', Buffer.from('x'), { onlyIfAbsent: true }), {
      code: 'object_exists',
    })
    assert.equal(Buffer.from(await store.get('a')).toString(), 'x')
  })

  it('commits once where answers are lost, refused or in conflict', async () => {
    for (const faults of [
      ['lose'],
      ['refuse', 'lose'],
      ['conflict', 'conflict'],
      ['flip'],
    ] as const) {
      const store = await open()
      const chain = await CommitChain.open(store, PARTITION)
      for (const fault of faults) proxy.inject('PUT', fault)
      assert.equal(await chain.append(commitRecord(0n, 5n)), 'committed', faults.join())
      assert.equal((await CommitChain.open(store, PARTITION)).end, 5n)
    }
  })

  it('leaves the outcome open where every answer is lost, and settles it later', async () => {
    const store = await open(1)
    const chain = await CommitChain.open(store, PARTITION, { retryPauseMs: 1 })
    proxy.inject('PUT', 'pass')
    await chain.append(commitRecord(0n, 2n))
    proxy.inject('PUT', 'lose')
    proxy.inject('PUT', 'refuse', Infinity)
    await assert.rejects(chain.append(commitRecord(2n, 5n)), { code: 'store_unavailable' })
    proxy.faults.length = 0
    assert.equal(await chain.append(commitRecord(2n, 5n)), 'committed')
  })

  it('is unfit where the second create-only write succeeds', async () => {
    const store = await open()
    proxy.inject('PUT', 'deaf', Infinity)
    await assert.rejects(store.probe(), { code: 'store_unfit' })
  })

  it('sends again what was damaged on its way, in both directions', async () => {
    const store = await open()
    const body = Buffer.alloc(100_000, 'commit')
    proxy.inject('PUT', 'flip')
    await store.put('damaged/put', body)
    proxy.inject('GET', 'cut')
    assert.ok(body.equals(await store.get('damaged/put')))
    proxy.inject('GET', 'spoil')
    assert.ok(body.equals(await store.get('damaged/put')))
    const file = await spool(1_000_000)
    proxy.inject('PUT', 'flip')
    await store.putFile('damaged/file', file.path, file.body.length, sha256(file.body))
    const copy = join(folder, 'copy')
    proxy.inject('GET', 'cut')
    await store.getToFile('damaged/file', copy)
    assert.ok(file.body.equals(await readFile(copy)))
  })

  it('never stores a file that was damaged on its way each time', async () => {
    const store = await open()
    const file = await spool(1_000_000)
    proxy.inject('PUT', 'flip', Infinity)
    await assert.rejects(
      store.putFile('damaged/always', file.path, file.body.length, sha256(file.body)),
      { code: 'object_mismatch' },
    )
    assert.equal(await store.head('damaged/always'), undefined)
  })

  it('uploads a file in parts through refusals and lost answers', async () => {
    const store = await open()
    const file = await spool(65 * 1024 * 1024)
    proxy.inject('PUT', 'refuse')
    // creates the upload in the second try, and completes it without an answer
    proxy.inject('POST', 'refuse')
    proxy.inject('POST', 'pass')
    proxy.inject('POST', 'lose')
    proxy.inject('PUT', 'lose')
    proxy.inject('PUT', 'flip')
    await store.putFile('parts/a', file.path, file.body.length, sha256(file.body))
    const copy = join(folder, 'parts-copy')
    await store.getToFile('parts/a', copy)
    assert.equal(sha256(await readFile(copy)), sha256(file.body))
  })

  it('stops uploading to a store that refuses, and commits all the same', async () => {
    const store = await open()
    const file = await spool(10)
    const hash = sha256(file.body)
    proxy.inject('PUT', 'refuse', Infinity)
    const uploads = Array.from({ length: 6 }, (_, n) =>
      store.putFile(`breaker/${n}`, file.path, file.body.length, hash),
    )
    for (const upload of await Promise.allSettled(uploads)) {
      assert.equal(upload.status, 'rejected')
      assert.equal((upload.reason as { code?: string }).code, 'store_unavailable')
    }
    proxy.seen.length = 0
    await assert.rejects(store.putFile('breaker/x', file.path, file.body.length, hash), {
      code: 'store_unavailable',
      message: 'uploads wait for the object store to recover',
    })
    assert.deepEqual(proxy.seen, [], 'no request was sent')
    proxy.faults.length = 0
    const chain = await CommitChain.open(store, PARTITION)
    assert.equal(await chain.append(commitRecord(0n, 5n)), 'committed')
  })
})
