/** TLS and mutual TLS of both receivers: who comes in, as which tenant, and what a stranger can't do. */
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { Agent, request } from 'node:https'
import { connect as connectPlain, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, afterEach, describe, it } from 'node:test'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'

import { systemClock } from '@tributary/common/clock'
import { createLogger } from '@tributary/common/logger'
import { ServerCertificate } from '@tributary/common/server-certificate'
import { TestAuthority, type TestCertificate } from '@tributary/common/testing/test-certificates'

import { EXPORT_ROUTES } from '../../src/receive/export-route.ts'
import type { CertificateTenant } from '../../src/receive/receiver-tls.ts'
import { startReceivers, type ReceiverHarness } from '../../src/testing/receiver-harness.ts'
import { Authenticator } from '../../src/tenants/authenticator.ts'

const [LOGS] = EXPORT_ROUTES
/** ExportLogsServiceRequest with one empty ResourceLogs. */
const BODY = Buffer.from([0x0a, 0])
const PREFIX = 'spiffe://example.org/tenant/'
/** No answer, because there was no connection. */
const REFUSED = -1

/** Client certificates of the right authority, and what they name. */
const CLIENTS: Readonly<Record<string, TestCertificate>> = {
  shop: { commonName: 'shop', names: [`URI:${PREFIX}shop`] },
  nobody: { commonName: 'Not a tenant', names: ['URI:https://example.org/shop'] },
  nameless: { commonName: undefined, names: ['DNS:localhost'] },
  twice: { commonName: 'shop', names: [`URI:${PREFIX}shop`, `URI:${PREFIX}billing`] },
  sly: { commonName: 'shop/CN=billing', names: [`URI:https://x, URI:${PREFIX}shop, y`] },
  over: { commonName: 'shop', names: [`URI:${PREFIX}shop`], days: -1 },
}

let folder: string
const clients = new Map<string, ConnectionOptions>()

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-tls-'))
  const authority = new TestAuthority(folder, 'ca')
  await authority.issue('server')
  await authority.issue('next')
  for (const [name, certificate] of Object.entries(CLIENTS))
    await authority.issue(name, certificate)
  await new TestAuthority(folder, 'others').issue('stranger', { commonName: 'shop' })
  const ca = await readFile(join(folder, 'ca.crt'))
  clients.set('none', { ca })
  for (const name of [...Object.keys(CLIENTS), 'stranger']) {
    const cert = await readFile(join(folder, `${name}.crt`))
    clients.set(name, { ca, cert, key: await readFile(join(folder, `${name}.key`)) })
  }
})

after(() => rm(folder, { recursive: true, force: true }))

interface SecureOptions {
  readonly asksClients?: boolean
  readonly isClientRequired?: boolean
  readonly tenant?: CertificateTenant
  readonly handshakeMs?: number
}

interface Secure {
  readonly harness: ReceiverHarness
  readonly certificate: ServerCertificate
}

async function startSecure(options: SecureOptions = {}): Promise<Secure> {
  const { asksClients = false, isClientRequired = true, handshakeMs } = options
  const tenant = options.tenant ?? { kind: 'none' }
  await install('server')
  const certificate = await ServerCertificate.open({
    certFile: join(folder, 'tls.crt'),
    keyFile: join(folder, 'tls.key'),
    clientCaFile: asksClients ? join(folder, 'ca.crt') : undefined,
    minVersion: 'TLSv1.2',
    clock: systemClock,
    logger: createLogger({ name: 'tls-test', level: 'silent' }),
  })
  const harness = await startReceivers({
    limits: { connectionsMax: 100, ...(handshakeMs === undefined ? {} : { handshakeMs }) },
    tls: { certificate, isClientRequired, tenant },
    ...(tenant.kind === 'none'
      ? {}
      : { authenticator: new Authenticator({ keys: undefined, areCertificatesNamed: true }) }),
  })
  return { harness, certificate }
}

async function install(name: string): Promise<void> {
  await copyFile(join(folder, `${name}.crt`), join(folder, 'tls.crt'))
  await copyFile(join(folder, `${name}.key`), join(folder, 'tls.key'))
}

/** The status of one call over a connection of its own: gRPC, then HTTP. */
async function callBoth(
  { harness }: Secure,
  client: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<readonly number[]> {
  const options = clients.get(client)!
  return [
    await callGrpc(harness.grpc.port, options, headers),
    await callHttp(harness.http.port, options, headers),
  ]
}

function callGrpc(
  port: number,
  options: ConnectionOptions,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  return new Promise((resolve) => {
    const session = connectHttp2(`https://localhost:${port}`, options)
    session.on('error', () => {
      resolve(REFUSED)
    })
    const stream = session.request({
      ':method': 'POST',
      ':path': LOGS.grpcPath,
      'content-type': 'application/grpc',
      ...headers,
    })
    let status = REFUSED
    const take = (answer: Readonly<Record<string, unknown>>): void => {
      if (answer['grpc-status'] !== undefined) status = Number(answer['grpc-status'])
    }
    stream.on('response', take)
    stream.on('trailers', take)
    stream.on('error', () => undefined)
    stream.on('close', () => {
      session.destroy()
      resolve(status)
    })
    stream.resume()
    stream.end(Buffer.from([0, 0, 0, 0, BODY.length, ...BODY]))
  })
}

function callHttp(
  port: number,
  options: ConnectionOptions,
  headers: Readonly<Record<string, string>> = {},
  agent?: Agent,
): Promise<number> {
  return new Promise((resolve) => {
    const sent = request({
      ...options,
      host: 'localhost',
      port,
      path: LOGS.httpPath,
      method: 'POST',
      headers: {
        'content-type': 'application/x-protobuf',
        'content-length': BODY.length,
        ...headers,
      },
      agent: agent ?? false,
    })
    sent.on('error', () => {
      resolve(REFUSED)
    })
    sent.on('response', (response) => {
      response.resume()
      response.on('close', () => {
        resolve(response.statusCode ?? REFUSED)
      })
    })
    sent.end(BODY)
  })
}

describe('receivers with TLS', () => {
  let secure: Secure

  beforeEach(async () => {
    secure = await startSecure()
  })

  afterEach(() => secure.harness.close())

  it('serve clients that trust their authority', async () => {
    assert.deepEqual(await callBoth(secure, 'none'), [0, 200])
    assert.equal(await callGrpc(secure.harness.grpc.port, {}), REFUSED)
    assert.equal(await callHttp(secure.harness.http.port, {}), REFUSED)
  })

  it('speak TLS 1.2 and 1.3 and nothing older', async () => {
    const { ca } = clients.get('none')!
    for (const port of [secure.harness.grpc.port, secure.harness.http.port]) {
      const spoken: (string | null)[] = []
      for (const maxVersion of ['TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const) {
        const ciphers = 'DEFAULT@SECLEVEL=0' // OpenSSL itself speaks 1.1 only so
        const options = { ca, maxVersion, minVersion: 'TLSv1', ciphers, port } as const
        spoken.push(await protocolOf({ ...options, ALPNProtocols: ['h2', 'http/1.1'] }))
      }
      assert.deepEqual(spoken, [null, 'TLSv1.2', 'TLSv1.3'])
    }
  })

  it('choose h2 for gRPC, and serve no client that offers something else', async () => {
    const { ca } = clients.get('none')!
    const chosen = await alpnOf({ ca, port: secure.harness.grpc.port, ALPNProtocols: ['h2'] })
    assert.equal(chosen, 'h2')
    const other = await alpnOf({ ca, port: secure.harness.grpc.port, ALPNProtocols: ['spdy/1'] })
    assert.equal(other, null)
  })

  it('answer no client that speaks plain text', async () => {
    for (const port of [secure.harness.grpc.port, secure.harness.http.port]) {
      const socket = connectPlain(port, '127.0.0.1')
      socket.write('POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n')
      const heard = await untilClosed(socket)
      assert.ok(!heard.includes('HTTP/'), heard)
    }
  })

  it('close connections that never shake hands, and do not wait for them to stop', async () => {
    const hurried = await startSecure({ handshakeMs: 200 })
    const { grpc, http } = hurried.harness
    const silent = [grpc.port, http.port].flatMap((port) =>
      Array.from({ length: 50 }, () => connectPlain(port, '127.0.0.1')),
    )
    await Promise.all(silent.map(untilClosed))
    const late = [grpc.port, http.port].map((port) => connectPlain(port, '127.0.0.1'))
    await Promise.all(late.map((socket) => new Promise((resolve) => socket.on('connect', resolve))))
    const closed = late.map(untilClosed)
    await hurried.harness.close()
    await Promise.all(closed)
  })

  it('refuse to renegotiate', async () => {
    const { ca } = clients.get('none')!
    const { port } = secure.harness.http
    const options = { ca, port, host: 'localhost', maxVersion: 'TLSv1.2' } as const
    const isRefused = await new Promise<boolean>((resolve) => {
      const socket: TLSSocket = connectTls(options, () => {
        socket.renegotiate({}, (error) => {
          socket.destroy()
          resolve(error !== null)
        })
      })
      socket.on('error', () => {
        resolve(true)
      })
    })
    assert.ok(isRefused)
  })

  it('take bodies of many megabytes over one connection', async () => {
    const { port } = secure.harness.grpc
    const session = connectHttp2(`https://localhost:${port}`, clients.get('none'))
    // field 1 of the request with one unknown field of bytes in it
    const rest = Buffer.alloc(4 * 1024 * 1024)
    const inner = Buffer.concat([Buffer.from([0xfa, 0x07]), varint(rest.length), rest])
    const body = Buffer.concat([Buffer.from([0x0a]), varint(inner.length), inner])
    const prefix = Buffer.alloc(5)
    prefix.writeUInt32BE(body.length, 1)
    for (let count = 0; count < 8; count++) {
      const status = await new Promise<unknown>((resolve, reject) => {
        const stream = session.request({
          ':method': 'POST',
          ':path': LOGS.grpcPath,
          'content-type': 'application/grpc',
        })
        stream.on('trailers', (trailers: IncomingHttpHeaders) => {
          resolve(trailers['grpc-status'])
        })
        stream.on('error', reject)
        stream.resume()
        stream.write(prefix)
        stream.end(body)
      })
      assert.equal(status, '0')
    }
    session.destroy()
  })

  it('change the certificate under load without a failed request', async () => {
    const { harness, certificate } = secure
    const options = clients.get('none')!
    const agent = new Agent({ ...options, keepAlive: true, maxSockets: 4 })
    let isOver = false
    const statuses: number[] = []
    const shown = new Set<string>()
    const run = async (call: () => Promise<number>): Promise<void> => {
      while (!isOver) statuses.push(await call())
    }
    const load = [
      run(() => callGrpc(harness.grpc.port, options)),
      run(() => callHttp(harness.http.port, options)),
      run(() => callHttp(harness.http.port, options, {}, agent)),
    ]
    for (let count = 0; count < 40; count++) {
      await install(count % 2 === 0 ? 'next' : 'server')
      await certificate.reload()
      shown.add(await nameOf({ ...options, port: harness.http.port }))
    }
    isOver = true
    await Promise.all(load)
    agent.destroy()
    assert.deepEqual([...shown].sort(), ['test next', 'test server'])
    assert.deepEqual([...new Set(statuses)].sort(), [0, 200])
    assert.ok(statuses.length > 100, String(statuses.length))
  })
})

describe('receivers that want a client certificate', () => {
  let secure: Secure

  before(async () => {
    secure = await startSecure({ asksClients: true })
  })

  after(() => secure.harness.close())

  it('let in whoever has one of their authority', async () => {
    assert.deepEqual(await callBoth(secure, 'shop'), [0, 200])
    assert.deepEqual(await callBoth(secure, 'nameless'), [0, 200])
  })

  it('let in nobody without, of another authority, or with one that is over', async () => {
    for (const client of ['none', 'stranger', 'over']) {
      assert.deepEqual(await callBoth(secure, client), [REFUSED, REFUSED], client)
    }
  })

  it('resume no session: each connection shows its certificate', async () => {
    const options = { ...clients.get('shop')!, host: 'localhost', port: secure.harness.http.port }
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const session = await sessionOf({ ...options, maxVersion })
      const resumed = await new Promise<boolean>((resolve, reject) => {
        const socket: TLSSocket = connectTls({ ...options, maxVersion, session }, () => {
          resolve(socket.isSessionReused())
          socket.destroy()
        })
        socket.on('error', reject)
      })
      assert.equal(resumed, false, maxVersion)
    }
  })
})

describe('receivers that ask for a client certificate', () => {
  it('let in whoever has none, and nobody with a wrong one', async () => {
    const secure = await startSecure({ asksClients: true, isClientRequired: false })
    try {
      assert.deepEqual(await callBoth(secure, 'none'), [0, 200])
      assert.deepEqual(await callBoth(secure, 'shop'), [0, 200])
      for (const client of ['stranger', 'over']) {
        assert.deepEqual(await callBoth(secure, client), [REFUSED, REFUSED], client)
      }
    } finally {
      await secure.harness.close()
    }
  })
})

for (const tenant of [{ kind: 'cn' }, { kind: 'uri', prefix: PREFIX }] as const) {
  describe(`receivers that read the tenant from the ${tenant.kind} of a certificate`, () => {
    let secure: Secure

    before(async () => {
      secure = await startSecure({ asksClients: true, isClientRequired: false, tenant })
    })

    after(() => secure.harness.close())

    it('store what it sends as rows of that tenant', async () => {
      assert.deepEqual(await callBoth(secure, 'shop'), [0, 200])
      const tenants = secure.harness.probe.requests.slice(-2).map((taken) => taken.tenant)
      assert.deepEqual(tenants, ['shop', 'shop'])
    })

    it('let a header name that tenant and no other', async () => {
      assert.deepEqual(await callBoth(secure, 'shop', { 'x-tributary-tenant': 'shop' }), [0, 200])
      assert.deepEqual(await callBoth(secure, 'shop', { 'x-scope-orgid': 'billing' }), [7, 403])
    })

    it('deny a certificate that names none, or two, or hides one in another name', async () => {
      const bad =
        tenant.kind === 'cn'
          ? ['nobody', 'nameless', 'sly']
          : ['nobody', 'nameless', 'twice', 'sly']
      for (const client of bad) assert.deepEqual(await callBoth(secure, client), [7, 403], client)
    })

    it('know nobody without a certificate, whatever the header says', async () => {
      const headers = { 'x-tributary-tenant': 'shop' }
      assert.deepEqual(await callBoth(secure, 'none', headers), [16, 401])
    })
  })
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128)
  return Buffer.from([...bytes, value])
}

/** What a socket hears until it is closed. */
function untilClosed(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let heard = ''
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      resolve(heard)
    })
  })
}

/** What `read` says of a connection; null where there is none. */
function shaken<T>(options: ConnectionOptions, read: (socket: TLSSocket) => T): Promise<T | null> {
  return new Promise((resolve) => {
    const socket: TLSSocket = connectTls({ host: 'localhost', ...options }, () => {
      resolve(read(socket))
      socket.destroy()
    })
    socket.on('error', () => {
      resolve(null)
    })
  })
}

function protocolOf(options: ConnectionOptions): Promise<string | null> {
  return shaken(options, (socket) => socket.getProtocol())
}

function alpnOf(options: ConnectionOptions): Promise<string | false | null> {
  return shaken(options, (socket) => socket.alpnProtocol)
}

async function nameOf(options: ConnectionOptions): Promise<string> {
  return String(await shaken(options, (socket) => socket.getPeerCertificate().subject.CN))
}

/** A session that could be resumed, as the server gave it. */
function sessionOf(options: ConnectionOptions): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connectTls(options, () => {
      const session = socket.getSession()
      socket.destroy()
      resolve(session)
    })
    socket.on('error', reject)
  })
}
