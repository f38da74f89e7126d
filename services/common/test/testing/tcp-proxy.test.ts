import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'

import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { TcpProxy } from '../../src/testing/tcp-proxy.ts'

/** Answers every byte with itself, and remembers what came. */
class EchoServer {
  received = ''
  ended = 0
  readonly #server: Server

  constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (bytes: Buffer) => {
        this.received += bytes.toString('latin1')
        socket.write(bytes)
      })
      socket.on('end', () => {
        this.ended++
        socket.end()
      })
    })
  }

  async start(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  stop(): void {
    this.#server.close()
  }
}

describe('TcpProxy', () => {
  let echo: EchoServer
  let proxy: TcpProxy
  const sockets: Socket[] = []
  before(async () => {
    echo = new EchoServer()
    proxy = await TcpProxy.start({ targetPort: await echo.start() })
  })
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    proxy.cut()
    await proxy.heal()
    echo.received = ''
  })
  after(async () => {
    await proxy.stop()
    echo.stop()
  })

  async function open(): Promise<Socket> {
    const socket = connect(proxy.port, '127.0.0.1')
    socket.on('error', () => undefined)
    sockets.push(socket)
    await once(socket, 'connect')
    return socket
  }

  async function heard(socket: Socket, bytes: number): Promise<string> {
    let text = ''
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      text += (chunk as Buffer).toString('latin1')
      if (text.length >= bytes) break
    }
    return text
  }

  async function until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1))
  }

  const code = async (socket: Socket): Promise<string | undefined> => {
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    return error.code
  }

  it('carries bytes and ends both ways', async () => {
    const socket = await open()
    const body = 'x'.repeat(3_000_000)
    socket.end(body)
    assert.equal(await heard(socket, Infinity), body)
    await until(() => proxy.connections === 0)
  })

  it('lets exactly the wanted bytes through before it resets', async () => {
    const socket = await open()
    socket.write('warm')
    await heard(socket, 4)
    proxy.cutAfter('up', 7)
    const failed = code(socket)
    socket.write('0123456789')
    assert.equal(await failed, 'ECONNRESET')
    assert.equal(echo.received, 'warm0123456')
    const next = await open()
    next.write('again')
    assert.equal(await heard(next, 5), 'again')
  })

  it('loses an answer after the server has done its work', async () => {
    const socket = await open()
    proxy.cutAfter('down', 0)
    const failed = code(socket)
    socket.write('work')
    assert.equal(await failed, 'ECONNRESET')
    assert.equal(echo.received, 'work')
  })

  it('swallows answers while the connection stands, and resets it when healed', async () => {
    const socket = await open()
    proxy.impair('down', { isSwallowed: true })
    socket.write('lost')
    await until(() => proxy.counts.swallowed > 0)
    assert.equal(echo.received, 'lost')
    assert.equal(socket.destroyed, false)
    const failed = code(socket)
    await proxy.heal()
    assert.equal(await failed, 'ECONNRESET')
  })

  it('holds a request until healed, and delivers it although its client has left', async () => {
    const socket = await open()
    proxy.impair('both', { isHeld: true })
    socket.write('late command')
    const closed = once(socket, 'close')
    socket.on('error', () => undefined)
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.resetAndDestroy()
    await closed
    assert.equal(echo.received, '')
    await proxy.heal()
    await until(() => echo.received === 'late command')
    await until(() => proxy.connections === 0)
  })

  it('lets its process end, although a connection was cut while its end went on', async () => {
    const script = join(import.meta.dirname, 'cut-with-end.ts')
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'ignore', 'inherit'] })
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
    const [status] = (await once(child, 'exit')) as [number | null]
    clearTimeout(timer)
    assert.equal(status, 0)
  })

  it('accepts and stays silent while held, also new connections', async () => {
    proxy.impair('both', { isHeld: true })
    const socket = await open()
    socket.write('hello')
    let isAnswered = false
    const answer = heard(socket, 5).then((text) => {
      isAnswered = true
      return text
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(isAnswered, false)
    await proxy.heal()
    assert.equal(await answer, 'hello')
  })

  it('refuses connections on a port that it gets back', async () => {
    const socket = await open()
    const failed = code(socket)
    await proxy.refuse()
    assert.equal(await failed, 'ECONNRESET')
    const refused = connect(proxy.port, '127.0.0.1')
    assert.equal(await code(refused), 'ECONNREFUSED')
    await proxy.heal()
    const next = await open()
    next.write('back')
    assert.equal(await heard(next, 4), 'back')
  })

  it('resets clients of a server that is not there', async () => {
    const lone = await TcpProxy.start({ targetPort: 9 })
    const socket = connect(lone.port, '127.0.0.1')
    assert.equal(await code(socket), 'ECONNRESET')
    await lone.stop()
  })

  it('delays, and throttles to the wanted rate', async () => {
    const socket = await open()
    proxy.impair('up', { delayMs: 60, jitterMs: 10 })
    let startMs = performance.now()
    socket.write('x')
    await heard(socket, 1)
    assert.ok(performance.now() - startMs >= 60)
    proxy.impair('up', {})
    proxy.impair('down', { bytesPerSecond: 4000 })
    startMs = performance.now()
    socket.write('y'.repeat(1000))
    await heard(socket, 1000)
    // five steps of 200 bytes, 50 ms apart
    assert.ok(performance.now() - startMs >= 190)
  })

  it('keeps the order of bytes under jitter and stalls', async () => {
    const socket = await open()
    proxy.impair('both', { jitterMs: 10, stallShare: 0.2, stallMs: 20 })
    let sent = ''
    for (let n = 0; n < 100; n++) {
      socket.write(`${n},`)
      sent += `${n},`
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    assert.equal(await heard(socket, sent.length), sent)
  })

  it('makes a sender wait that sends more than is held', async () => {
    const socket = await open()
    proxy.impair('both', { isHeld: true })
    const body = Buffer.alloc(64 * 1024 * 1024, 'z')
    let isSent = false
    socket.write(body, () => {
      isSent = true
    })
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal(isSent, false)
    await proxy.heal()
    assert.equal((await heard(socket, body.length)).length, body.length)
  })

  it('flaps under a seed until healed', async () => {
    proxy.flap({ healthyMsMax: 20, faultyMsMax: 5 })
    const random = new SeededRandom(1)
    let failures = 0
    for (let tries = 0; failures < 3; tries++) {
      assert.ok(tries < 200, 'connections are cut now and then')
      const socket = connect(proxy.port, '127.0.0.1')
      sockets.push(socket)
      const fails = once(socket, 'error').then(() => failures++)
      socket.write('x')
      await Promise.race([
        fails,
        new Promise((resolve) => setTimeout(resolve, 20 + random.below(20))),
      ])
    }
    await proxy.heal()
    const socket = await open()
    socket.write('calm')
    assert.equal(await heard(socket, 4), 'calm')
  })
})
