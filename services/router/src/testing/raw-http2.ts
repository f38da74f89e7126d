/** HTTP/2 frames by hand over a socket, for what no client library would send (RFC 9113). */
import { connect } from 'node:net'
import type { Socket } from 'node:net'

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const FrameFlag = { endStream: 1, ack: 1, endHeaders: 4 } as const

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const bytes = Buffer.alloc(9 + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(streamId, 5)
  bytes.set(payload, 9)
  return bytes
}

/** HPACK of POST, scheme http, authority x, a path and application/grpc, without the dynamic table. */
export function grpcHeaderBlock(path: string): Uint8Array {
  return Buffer.concat([
    Buffer.from([0x83, 0x86, 0x01, 1, 0x78, 0x04, path.length]),
    Buffer.from(path),
    literal('content-type', 'application/grpc'),
  ])
}

/** A header without indexing, name and value up to 126 bytes as HPACK's short lengths have it. */
export function literal(name: string, value: string): Uint8Array {
  return Buffer.concat([
    Buffer.from([0x00, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ])
}

/** One setting as SETTINGS carries it. */
export function setting(id: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(6)
  bytes.writeUInt16BE(id)
  bytes.writeUInt32BE(value, 2)
  return bytes
}

export class RawHttp2 {
  readonly socket: Socket
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>

  private constructor(socket: Socket) {
    this.socket = socket
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        resolve()
      })
    })
    socket.on('error', () => undefined)
    socket.resume()
  }

  /** Connects and sends preface and settings. */
  static async open(port: number, settings: Uint8Array = new Uint8Array(0)): Promise<RawHttp2> {
    const socket = connect(port, '127.0.0.1')
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    const raw = new RawHttp2(socket)
    raw.send(PREFACE, frame(FrameType.settings, 0, 0, settings))
    return raw
  }

  get isOpen(): boolean {
    return !this.socket.destroyed && this.socket.writable
  }

  send(...frames: readonly Uint8Array[]): void {
    if (this.isOpen) this.socket.write(Buffer.concat(frames))
  }

  /** Sends `next()` again and again, a turn of the loop apart, until the server closes or `times` are out. */
  async flood(times: number, next: (turn: number) => Uint8Array): Promise<void> {
    for (let turn = 0; turn < times && this.isOpen; turn++) {
      this.send(next(turn))
      await new Promise(setImmediate)
    }
  }

  close(): void {
    this.socket.destroy()
  }
}
