/** What a hostile client tries on the receivers, while a healthy one beside it must be served. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'

import { EXPORT_ROUTES } from '../../src/receive/export-route.ts'
import { startHealthyClient } from '../../src/testing/healthy-client.ts'
import {
  FrameFlag,
  FrameType,
  RawHttp2,
  frame,
  grpcHeaderBlock,
  literal,
  setting,
} from '../../src/testing/raw-http2.ts'
import { startReceivers } from '../../src/testing/receiver-harness.ts'
import type { ReceiverHarness } from '../../src/testing/receiver-harness.ts'

const PATH = EXPORT_ROUTES[0].grpcPath
const HEADERS = grpcHeaderBlock(PATH)
/** A message of one empty ResourceLogs. */
const MESSAGE = Buffer.from([0, 0, 0, 0, 2, 0x0a, 0])
/** Settings of RFC 9113. */
const INITIAL_WINDOW_SIZE = 4
/** 1,000 in the normal run; the long form asks for 10,000. */
const IDLE_CONNECTIONS = Number(process.env['IDLE_CONNECTIONS'] ?? 1000)

let harness: ReceiverHarness

before(async () => {
  harness = await startReceivers({
    limits: {
      bodyIdleMs: 100,
      bodyTimeoutMs: 400,
      answerUnreadMs: 100,
      handshakeMs: 300,
      connectionsMax: IDLE_CONNECTIONS + 100,
    },
  })
})

after(async () => {
  await harness.close()
})

/** Runs an attack beside a healthy client, and checks that nothing of it stays. */
async function underAttack(attack: () => Promise<void>): Promise<void> {
  const healthy = startHealthyClient(harness)
  await attack()
  const statuses = await healthy.finish()
  assert.deepEqual(
    statuses.filter((status) => status !== 0 && status !== 200),
    [],
  )
  while (harness.admission.reservations > 0) await new Promise(setImmediate)
  assert.equal(harness.admission.inFlightBytes, 0)
}

function streamIdOf(turn: number): number {
  return 2 * turn + 1
}

function call(turn: number, flags: number = FrameFlag.endHeaders): Uint8Array {
  return frame(FrameType.headers, flags, streamIdOf(turn), HEADERS)
}

describe('the gRPC receiver closes a connection that', () => {
  const floods: readonly (readonly [string, (turn: number) => Uint8Array])[] = [
    [
      'opens streams and resets them at once',
      (turn) =>
        Buffer.concat([
          call(turn),
          frame(FrameType.resetStream, 0, streamIdOf(turn), Buffer.from([0, 0, 0, 8])),
        ]),
    ],
    [
      'goes on with CONTINUATION frames for ever',
      (turn) =>
        turn === 0
          ? call(0, 0)
          : frame(FrameType.continuation, 0, 1, literal(`x-${turn}`, 'value')),
    ],
    [
      'sends empty DATA frames',
      (turn) => (turn === 0 ? call(0) : repeated(frame(FrameType.data, 0, 1), 100)),
    ],
    [
      'sends PRIORITY after PRIORITY',
      () => repeated(frame(FrameType.priority, 0, 1, Buffer.from([0, 0, 0, 3, 1])), 100),
    ],
    [
      'sends frames of a type that nobody knows',
      () => repeated(frame(0xaa, 0, 0, Buffer.alloc(100)), 100),
    ],
    ['sends PING after PING', () => frame(FrameType.ping, 0, 0, Buffer.alloc(8))],
    ['sends SETTINGS after SETTINGS', () => frame(FrameType.settings, 0, 0)],
    [
      'sends more headers than allowed, call after call',
      (turn) =>
        frame(
          FrameType.headers,
          FrameFlag.endHeaders | FrameFlag.endStream,
          streamIdOf(turn),
          Buffer.concat([HEADERS, ...Array.from({ length: 100 }, () => literal('x-h', 'v'))]),
        ),
    ],
    ['sends more streams at once than allowed', (turn) => call(turn)],
  ]
  for (const [name, next] of floods) {
    it(name, async () => {
      await underAttack(async () => {
        const raw = await RawHttp2.open(harness.grpc.port)
        await raw.flood(20_000, (turn) => next(turn))
        await raw.closed
      })
    })
  }

  it('never sends its preface', async () => {
    await underAttack(async () => {
      const socket = connect(harness.grpc.port, '127.0.0.1')
      socket.resume()
      await once(socket, 'close')
    })
  })

  it('sends bytes that are no HTTP/2', async () => {
    await underAttack(async () => {
      const socket = connect(harness.grpc.port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.resume()
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
      await once(socket, 'close')
    })
  })
})

describe('the gRPC receiver gives up on a call', () => {
  it('whose body stands still, retryable', async () => {
    await underAttack(async () => {
      const raw = await RawHttp2.open(harness.grpc.port)
      const received: Buffer[] = []
      raw.socket.on('data', (chunk: Buffer) => received.push(chunk))
      raw.send(call(0), frame(FrameType.data, 0, 1, Buffer.from([0, 0, 0, 4, 0, 1])))
      while (!hasFrame(received, FrameType.resetStream)) await once(raw.socket, 'data')
      assert.equal(harness.admission.reservations <= 1, true)
      raw.close()
    })
  })

  it('whose body comes a byte at a time', async () => {
    await underAttack(async () => {
      const raw = await RawHttp2.open(harness.grpc.port)
      const received: Buffer[] = []
      raw.socket.on('data', (chunk: Buffer) => received.push(chunk))
      raw.send(call(0), frame(FrameType.data, 0, 1, Buffer.from([0, 0, 1, 0, 0])))
      while (!hasFrame(received, FrameType.resetStream)) {
        raw.send(frame(FrameType.data, 0, 1, Buffer.from([1])))
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      raw.close()
    })
  })

  it('whose client takes no byte of the answer', async () => {
    await underAttack(async () => {
      const raw = await RawHttp2.open(harness.grpc.port, setting(INITIAL_WINDOW_SIZE, 0))
      const received: Buffer[] = []
      raw.socket.on('data', (chunk: Buffer) => received.push(chunk))
      for (let turn = 0; turn < 100; turn++) {
        raw.send(call(turn), frame(FrameType.data, FrameFlag.endStream, streamIdOf(turn), MESSAGE))
      }
      while (!hasFrame(received, FrameType.resetStream)) await once(raw.socket, 'data')
      raw.close()
    })
  })

  it('that claims a message it does not send, on every stream', async () => {
    await underAttack(async () => {
      const raw = await RawHttp2.open(harness.grpc.port)
      for (let turn = 0; turn < 100; turn++) {
        const prefix = Buffer.from([0, 0, 0x40, 0, 0])
        raw.send(call(turn), frame(FrameType.data, 0, streamIdOf(turn), prefix))
      }
      while (harness.admission.reservations < 50) await new Promise(setImmediate)
      while (harness.admission.reservations > 2) await new Promise(setImmediate)
      raw.close()
    })
  })
})

describe('the HTTP receiver', () => {
  it('closes a connection whose headers come too slowly', async () => {
    await underAttack(async () => {
      const socket = await openSocket()
      socket.write('POST /v1/logs HTTP/1.1\r\nhost: x\r\n')
      const answer = await readAll(socket)
      assert.ok(answer === '' || answer.startsWith('HTTP/1.1 408'), answer)
    })
  })

  it('answers a body that stands still with 503, and closes', async () => {
    await underAttack(async () => {
      const socket = await openSocket()
      socket.write(`${requestHead('content-length: 100000')}\r\n`)
      socket.write('x')
      const [first] = (await once(socket, 'data')) as [Buffer]
      assert.match(first.toString('latin1'), /^HTTP\/1\.1 503 .*retry-after: \d+/is)
      socket.destroy()
    })
  })

  it('refuses headers above its bound', async () => {
    await underAttack(async () => {
      const socket = await openSocket()
      socket.write(requestHead(`x-large: ${'x'.repeat(20_000)}`))
      assert.match(await readAll(socket), /^HTTP\/1\.1 431 /)
    })
  })

  it('refuses a body that is not chunked as it says', async () => {
    await underAttack(async () => {
      const socket = await openSocket()
      socket.write(`${requestHead('transfer-encoding: chunked')}\r\nzz\r\n`)
      assert.match(await readAll(socket), /^HTTP\/1\.1 400 /)
    })
  })

  it('refuses two lengths, and a length beside chunks', async () => {
    await underAttack(async () => {
      for (const header of [
        'content-length: 2\r\ncontent-length: 3',
        'content-length: 2\r\ntransfer-encoding: chunked',
      ]) {
        const socket = await openSocket()
        socket.write(`${requestHead(header)}\r\n`)
        assert.match(await readAll(socket), /^HTTP\/1\.1 400 /)
      }
    })
  })

  it('survives clients that go away in the middle of a body', async () => {
    await underAttack(async () => {
      for (let turn = 0; turn < 100; turn++) {
        const socket = await openSocket()
        socket.write(`${requestHead('content-length: 1000')}\r\nxx`)
        if (turn % 2 === 0) await new Promise(setImmediate)
        socket.resetAndDestroy()
      }
    })
  })

  it('serves others while bombs go off', async () => {
    const bomb = gzipSync(Buffer.alloc(48 * 1024 * 1024))
    await underAttack(async () => {
      const sockets = await Promise.all(Array.from({ length: 8 }, openSocket))
      const answers = sockets.map((socket) => {
        socket.write(
          `${requestHead(`content-encoding: gzip\r\nconnection: close\r\ncontent-length: ${bomb.length}`)}\r\n`,
        )
        socket.write(bomb)
        return readAll(socket)
      })
      for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 413 /)
    })
  })
})

describe('both receivers', () => {
  it(`serve a client beside ${IDLE_CONNECTIONS} idle connections`, async () => {
    const idle: Socket[] = []
    const idleHttp2: RawHttp2[] = []
    for (let count = 0; count < IDLE_CONNECTIONS / 2; count++) {
      idleHttp2.push(await RawHttp2.open(harness.grpc.port))
      idle.push(await openSocket())
    }
    await underAttack(() => Promise.resolve())
    for (const socket of idle) socket.destroy()
    for (const raw of idleHttp2) raw.close()
  })

  it('let the connection idle for longest make room for a new one', async () => {
    const small = await startReceivers({ limits: { connectionsMax: 10 } })
    const oldest = await RawHttp2.open(small.grpc.port)
    const younger: RawHttp2[] = []
    for (let count = 0; count < 9; count++) younger.push(await RawHttp2.open(small.grpc.port))
    const newest = await RawHttp2.open(small.grpc.port)
    await oldest.closed
    assert.ok(newest.isOpen)
    const healthy = startHealthyClient(small)
    assert.deepEqual(new Set(await healthy.finish()), new Set([0, 200]))
    for (const raw of [...younger, newest]) raw.close()
    await small.close()
  })
})

function repeated(bytes: Uint8Array, times: number): Uint8Array {
  return Buffer.concat(Array.from({ length: times }, () => bytes))
}

function requestHead(header: string): string {
  return `POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n${header}\r\n`
}

async function openSocket(): Promise<Socket> {
  const socket = connect(harness.http.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.on('error', () => undefined)
  return socket
}

async function readAll(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  if (!socket.closed) await once(socket, 'close')
  return text
}

/** Whether the server has sent a frame of this type. */
function hasFrame(received: readonly Buffer[], type: number): boolean {
  const bytes = Buffer.concat(received)
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === type) return true
  }
  return false
}
