/**
 * An HTTP proxy in front of an S3-compatible server that does to requests what networks and stores do:
 * refuse, delay, cut, damage, do twice, do later, answer with what was true before. Rules say to which
 * requests and how often; without one a request streams through.
 *
 * Requests are signed for the Host header, so it is passed on as it came, as are all headers.
 */
import { once } from 'node:events'
import { Agent, createServer, request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingMessage, Server, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'

import type { S3Operation, S3Request } from './s3-request.ts'
import type { S3Server } from './s3-server.ts'
import { freePort } from './free-port.ts'
import { parseS3Request, withoutKeys } from './s3-request.ts'
import { SeededRandom } from './seeded-random.ts'

export type S3Fault =
  /** An answer of the proxy's own; the server never hears of the request. */
  | { readonly kind: 'status'; readonly status: number; readonly code: string }
  /** 200 for whatever is sent; nothing is stored. */
  | { readonly kind: 'deaf' }
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** Body and answer at this rate. */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** No answer until healed, and then a reset; the server never hears of the request. */
  | { readonly kind: 'hang' }
  /** Half of the body or of the answer, then a reset. */
  | { readonly kind: 'cut-body' | 'cut-answer' }
  /** One bit of the body or of the answer. */
  | { readonly kind: 'flip-body' | 'flip-answer' }
  /** Done, and then a reset in place of the answer. */
  | { readonly kind: 'lose-answer' }
  /** A reset at once; the server gets the request later, when the client may have tried again. */
  | { readonly kind: 'late'; readonly delayMs: number }
  /** Done twice, the second time later; which answer the client gets. */
  | { readonly kind: 'twice'; readonly delayMs: number; readonly answer: 'first' | 'second' }
  /** Lists, reads and heads as if nothing had been written since the rule was made. */
  | { readonly kind: 'stale' }
  /** `If-None-Match` and `If-Match` are ignored: the server overwrites. */
  | { readonly kind: 'unconditional' }
  /** As it is: lets requests pass before a later rule. */
  | { readonly kind: 'pass' }

export const S3_SLOW_DOWN: S3Fault = { kind: 'status', status: 503, code: 'SlowDown' }
export const S3_INTERNAL_ERROR: S3Fault = { kind: 'status', status: 500, code: 'InternalError' }
export const S3_ACCESS_DENIED: S3Fault = { kind: 'status', status: 403, code: 'AccessDenied' }
export const S3_CONFLICT: S3Fault = {
  kind: 'status',
  status: 409,
  code: 'ConditionalRequestConflict',
}

export interface S3Rule {
  readonly fault: S3Fault
  /** Default all. */
  readonly operations?: readonly S3Operation[]
  readonly key?: RegExp
  /** How many requests, default 1; Infinity until healed. */
  readonly times?: number
  /** Of the requests that match, by chance; default 1. */
  readonly share?: number
}

/** Hears the body of each put under a key, also of those that are refused. */
export interface PutWatch {
  readonly key: RegExp
  readonly tell: (body: Buffer) => void
}

interface ActiveRule extends S3Rule {
  left: number
  /** Keys written since. */
  readonly written: Set<string>
}

const LATE_MAX = 1000

export class S3FaultProxy {
  readonly port: number
  /** Requests that each kind of fault was done to. */
  readonly counts = new Map<S3Fault['kind'], number>()
  /** Operations of all requests since the last `heal`. */
  readonly seen: S3Request[] = []
  readonly #target: URL
  readonly #client: S3Client
  readonly #server: Server
  readonly #agent = new Agent({ keepAlive: true })
  readonly #random: SeededRandom
  readonly #hung = new Set<ServerResponse>()
  readonly #late = new Set<Promise<void>>()
  #rules: ActiveRule[] = []
  #watch: PutWatch | undefined

  private constructor(server: S3Server, port: number, seed: number) {
    this.port = port
    this.#target = new URL(server.endpoint)
    this.#random = new SeededRandom(seed)
    const { endpoint, region, credentials } = server
    this.#client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch(() => response.destroy())
    })
    // an idle connection that the proxy closed would look like a fault that nobody asked for
    this.#server.keepAliveTimeout = 0
  }

  static async start(server: S3Server, seed = 1): Promise<S3FaultProxy> {
    const proxy = new S3FaultProxy(server, await freePort(), seed)
    proxy.#server.listen(proxy.port, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** The first rule with tries left that matches a request acts on it. */
  inject(rule: S3Rule): void {
    this.#rules.push({ ...rule, left: rule.times ?? 1, written: new Set() })
  }

  watch(watch: PutWatch): void {
    this.#watch = watch
  }

  /** Whether every rule has acted as often as it should. */
  get isSpent(): boolean {
    return this.#rules.every(({ left }) => left === 0)
  }

  /** Ends all rules; what hangs is reset. */
  heal(): void {
    this.#rules = []
    this.seen.length = 0
    for (const response of this.#hung) response.destroy()
    this.#hung.clear()
  }

  /** Waits for requests that the server gets later than their clients left. */
  async settled(): Promise<void> {
    while (this.#late.size > 0) await Promise.allSettled(this.#late)
  }

  async stop(): Promise<void> {
    this.heal()
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
    await this.settled()
    this.#agent.destroy()
    this.#client.destroy()
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = parseS3Request(request)
    this.seen.push(asked)
    if (this.seen.length > 10_000) this.seen.shift()
    const rule = this.#due(asked)
    if (rule === undefined) {
      await this.#stream(request, response, asked)
      return
    }
    const { fault } = rule
    this.counts.set(fault.kind, (this.counts.get(fault.kind) ?? 0) + 1)
    switch (fault.kind) {
      case 'pass':
        return this.#stream(request, response, asked)
      case 'delay':
        await sleep(fault.delayMs)
        return this.#stream(request, response, asked)
      case 'slow':
        return this.#stream(request, response, asked, fault.bytesPerSecond)
      case 'hang':
        request.resume()
        this.#hung.add(response)
        return
      default:
        return this.#disturb(rule, fault, asked, request, response)
    }
  }

  /** Faults that need the whole body. */
  async #disturb(
    rule: ActiveRule,
    fault: Exclude<S3Fault, { kind: 'pass' | 'delay' | 'slow' | 'hang' }>,
    asked: S3Request,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const body = await this.#bodyOf(request, asked)
    const forward = (): Promise<Answer> => this.#forward(request, body, asked)
    switch (fault.kind) {
      case 'status':
        return answerError(response, request.method, fault.status, fault.code)
      case 'deaf':
        response.writeHead(200, { etag: '"none"' }).end()
        return
      case 'unconditional':
        return this.#overwrite(request, response, body, asked)
      case 'cut-body':
        await this.#cutBody(request, body)
        response.destroy()
        return
      case 'flip-body':
        if (body.length > 0) body[body.length >> 1]! ^= 4
        return answer(response, await forward())
      case 'lose-answer':
        await forward()
        response.destroy()
        return
      case 'late':
        this.#later(fault.delayMs, forward)
        response.destroy()
        return
      case 'twice': {
        const first = await forward()
        if (fault.answer === 'first') {
          this.#later(fault.delayMs, forward)
          return answer(response, first)
        }
        await sleep(fault.delayMs)
        return answer(response, await forward())
      }
      case 'stale':
        return answer(response, stale(await forward(), rule.written, asked))
      case 'flip-answer':
      case 'cut-answer': {
        const { status, headers, body: payload } = await forward()
        if (fault.kind === 'flip-answer' && payload.length > 0) payload[payload.length >> 1]! ^= 4
        if (fault.kind === 'flip-answer')
          return answer(response, { status, headers, body: payload })
        response.writeHead(status, headers)
        response.write(payload.subarray(0, payload.length >> 1), () => response.destroy())
      }
    }
  }

  #due(asked: S3Request): ActiveRule | undefined {
    const rule = this.#rules.find(
      ({ left, operations, key, share = 1 }) =>
        left > 0 &&
        operations?.includes(asked.operation) !== false &&
        key?.test(asked.key) !== false &&
        this.#random.chance(share),
    )
    if (rule !== undefined) rule.left--
    return rule
  }

  /** Both bodies flow, at a rate where one is given. */
  async #stream(
    request: IncomingMessage,
    response: ServerResponse,
    asked: S3Request,
    bytesPerSecond?: number,
  ): Promise<void> {
    const forwarded = this.#open(request)
    // either side that leaves takes the other with it
    response.on('close', () => forwarded.destroy())
    const answered = once(forwarded, 'response') as Promise<[IncomingMessage]>
    answered.catch(() => undefined)
    const source = this.#isWatched(asked)
      ? Readable.from([await this.#bodyOf(request, asked)])
      : request
    await pipeline(throttled(source, bytesPerSecond), forwarded)
    const [answer] = await answered
    this.#noteWrite(asked, answer.statusCode ?? 500)
    response.writeHead(answer.statusCode ?? 500, answer.headers)
    await pipeline(throttled(answer, bytesPerSecond), response)
  }

  async #forward(request: IncomingMessage, body: Buffer, asked: S3Request): Promise<Answer> {
    const forwarded = this.#open(request)
    forwarded.end(body)
    const [answer] = (await once(forwarded, 'response')) as [IncomingMessage]
    const status = answer.statusCode ?? 500
    const { headers } = answer
    const received = await whole(answer)
    this.#noteWrite(asked, status)
    return { status, headers, body: received }
  }

  async #cutBody(request: IncomingMessage, body: Buffer): Promise<void> {
    const forwarded = this.#open(request)
    forwarded.on('error', () => undefined)
    await new Promise((resolve) => forwarded.write(body.subarray(0, body.length >> 1), resolve))
    forwarded.destroy()
  }

  /** Stores with credentials of the proxy's own: the condition is a part of what was signed. */
  async #overwrite(
    request: IncomingMessage,
    response: ServerResponse,
    body: Buffer,
    asked: S3Request,
  ): Promise<void> {
    const { 'if-none-match': ifNoneMatch, 'if-match': ifMatch } = request.headers
    if (asked.operation !== 'put' || (ifNoneMatch ?? ifMatch) === undefined) {
      return answer(response, await this.#forward(request, body, asked))
    }
    const { ETag } = await this.#client.send(
      new PutObjectCommand({ Bucket: asked.bucket, Key: asked.key, Body: body }),
    )
    this.#noteWrite(asked, 200)
    response.writeHead(200, { etag: ETag }).end()
  }

  #open(request: IncomingMessage): ClientRequest {
    const { method, url: path, headers } = request
    const { hostname: host, port } = this.#target
    return httpRequest({ host, port, method, path, headers, agent: this.#agent })
  }

  #later(delayMs: number, forward: () => Promise<Answer>): void {
    if (this.#late.size >= LATE_MAX) return
    const done: Promise<void> = sleep(delayMs)
      .then(forward)
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => this.#late.delete(done))
    this.#late.add(done)
  }

  #isWatched({ operation, key }: S3Request): boolean {
    return operation === 'put' && this.#watch?.key.test(key) === true
  }

  async #bodyOf(request: IncomingMessage, asked: S3Request): Promise<Buffer> {
    const body = await whole(request)
    // a copy: faults bend what they pass on
    if (this.#isWatched(asked)) this.#watch?.tell(Buffer.from(body))
    return body
  }

  #noteWrite({ operation, key }: S3Request, status: number): void {
    if (status !== 200 || (operation !== 'put' && operation !== 'complete-upload')) return
    for (const { fault, written } of this.#rules) if (fault.kind === 'stale') written.add(key)
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

function stale(
  answer: Answer,
  written: ReadonlySet<string>,
  { operation, key }: S3Request,
): Answer {
  if (operation === 'list') {
    return { ...answer, body: Buffer.from(withoutKeys(answer.body.toString(), written)) }
  }
  if ((operation !== 'get' && operation !== 'head') || !written.has(key)) return answer
  return { status: 404, headers: {}, body: operation === 'head' ? NOTHING : errorBody('NoSuchKey') }
}

const NOTHING = Buffer.alloc(0)

function answer(response: ServerResponse, { status, headers, body }: Answer): void {
  const { 'transfer-encoding': _, 'content-length': length, ...rest } = headers
  // the length of a head is that of the object
  const bytes = body.length === 0 && length !== undefined ? length : String(body.length)
  response.writeHead(status, { ...rest, 'content-length': bytes }).end(body)
}

function answerError(
  response: ServerResponse,
  method: string | undefined,
  status: number,
  code: string,
): void {
  const body = method === 'HEAD' ? NOTHING : errorBody(code)
  answer(response, { status, headers: { 'content-type': 'application/xml' }, body })
}

function errorBody(code: string): Buffer {
  return Buffer.from(`<Error><Code>${code}</Code><Message>by the test</Message></Error>`)
}

async function whole(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function throttled(source: Readable, bytesPerSecond: number | undefined): Readable {
  return bytesPerSecond === undefined ? source : Readable.from(inSteps(source, bytesPerSecond))
}

async function* inSteps(source: Readable, bytesPerSecond: number): AsyncGenerator<Buffer> {
  const step = Math.max(1, Math.floor(bytesPerSecond / 20))
  for await (const chunk of source as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += step) {
      yield chunk.subarray(at, at + step)
      await sleep(50)
    }
  }
}
