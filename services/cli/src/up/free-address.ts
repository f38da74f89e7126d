/** Ports of servers that come back on the same one: kept in a file of the data folder. */
import { once } from 'node:events'
import { createServer, connect } from 'node:net'

/** A port of the loopback: the wanted one where nobody listens on it, else any that is free. */
export async function freeLocalPort(wanted: number): Promise<number> {
  for (const port of [wanted, 0]) {
    const server = createServer()
    try {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      const address = server.address()
      if (typeof address === 'object' && address !== null) return address.port
    } catch {
      // taken: the next one
    } finally {
      server.close()
    }
  }
  throw new Error('no port of 127.0.0.1 is free')
}

/** Whether somebody accepts connections there. */
export function isListening(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (isThere: boolean) => (): void => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('connect', end(true))
    socket.once('error', end(false))
    socket.setTimeout(2000, end(false))
  })
}
