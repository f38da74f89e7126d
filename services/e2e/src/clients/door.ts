/** A way into a server that does not listen any more: over a connection that was opened before. */
import { createServer, connect } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

export interface Door {
  /** host:port */
  readonly target: string
  readonly close: () => void
}

/** A client that has sent nothing for this long has sent its request. */
const CLIENT_SILENCE_MS = 30

/**
 * A port that leads to an upstream connection which is open already. What the server says is held
 * back until the client has sent its request: one that saw GOAWAY first would not send it.
 */
export async function openDoor(port: number): Promise<Door> {
  const upstream = connect(port, '127.0.0.1')
  await new Promise((resolve) => upstream.once('connect', resolve))
  const door: Server = createServer((socket: Socket) => {
    socket.on('error', () => undefined)
    upstream.on('error', () => undefined)
    let opensDoor: NodeJS.Timeout | undefined
    socket.on('data', () => {
      clearTimeout(opensDoor)
      opensDoor = setTimeout(() => upstream.pipe(socket), CLIENT_SILENCE_MS)
    })
    socket.pipe(upstream)
  })
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
  return {
    target: `127.0.0.1:${(door.address() as AddressInfo).port}`,
    close: () => {
      door.close()
      upstream.destroy()
    },
  }
}
