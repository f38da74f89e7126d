/**
 * Ports for servers that tests stop and start again. They lie below the range from which systems
 * take the ports of outgoing connections (Linux 32768, macOS 49152): a port that a stopped server
 * left must still be free when it comes back, and a client that tries it meanwhile must not happen
 * to connect to itself, which TCP allows.
 */
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

const PORT_MIN = 20_000
const PORT_END = 32_768
const TRIES_MAX = 50

/** A port of the loopback that nobody listens on now, and that no outgoing connection will take. */
export async function freePort(): Promise<number> {
  for (let tries = 1; ; tries++) {
    const port = randomInt(PORT_MIN, PORT_END)
    const server = createServer()
    try {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      server.close()
      await once(server, 'close')
      return port
    } catch (error) {
      if (tries === TRIES_MAX) throw error
    }
  }
}
