/** A process of its own: a proxy cuts its connection in the moment in which it passes on its end. */
import { once } from 'node:events'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

import { TcpProxy } from '../../src/testing/tcp-proxy.ts'

const server = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => undefined)
  socket.resume()
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const proxy = await TcpProxy.start({ targetPort: (server.address() as AddressInfo).port })
const client = connect(proxy.port, '127.0.0.1')
client.on('error', () => undefined)
client.write('something')
while (proxy.counts.up === 0) await sleep(1)

const passedOn = Promise.withResolvers<void>()
const passEnd = Reflect.get(Socket.prototype, 'end') as (this: Socket, ...rest: unknown[]) => Socket
Socket.prototype.end = function end(this: Socket, ...rest: unknown[]): Socket {
  passEnd.apply(this, rest)
  if (this !== client) {
    proxy.cut()
    passedOn.resolve()
  }
  return this
}
client.end()
await passedOn.promise
await proxy.stop()
server.close()
client.destroy()
