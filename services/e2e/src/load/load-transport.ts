/** How a load client sends one request over gRPC or HTTP. */
import { Agent, request as httpRequest } from 'node:http'
import { connect, type ClientHttp2Session } from 'node:http2'
import type { SignalName } from '@tributary/common/signal'

export interface LoadTransport {
  /** 'ok', or what came instead: a status, `reset`. */
  send(body: Buffer): Promise<string>
  close(): void
}

const GRPC_PATHS: Readonly<Record<SignalName, string>> = {
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  spans: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
}

const HTTP_PATHS: Readonly<Record<SignalName, string>> = {
  logs: '/v1/logs',
  spans: '/v1/traces',
  metrics: '/v1/metrics',
}

/**
 * Unary calls over `connections` HTTP/2 connections, in turn, as so many tenants, in turn too, or as one
 * that is named.
 */
export function grpcTransport(
  address: string,
  signal: SignalName,
  connections: number,
  tenants: number | string = 1,
): LoadTransport {
  const sessions: ClientHttp2Session[] = Array.from({ length: connections }, () => {
    const session = connect(`http://${address}`)
    session.on('error', () => undefined)
    return session
  })
  let next = 0
  return {
    send(body) {
      const session = sessions[next % connections]!
      const tenant = tenantNumbered(next, tenants)
      next++
      return new Promise((resolve) => {
        const stream = session.request({
          ':method': 'POST',
          ':path': GRPC_PATHS[signal],
          'content-type': 'application/grpc',
          te: 'trailers',
          'x-tributary-tenant': tenant,
        })
        let status: string | undefined
        const take = (headers: Record<string, unknown>): void => {
          const value = headers['grpc-status']
          if (typeof value !== 'string') return
          status = value
          // refused before all of it was sent: Node would wait for the rest to be written, for ever
          if (!stream.writableFinished) stream.destroy()
        }
        stream.on('response', take)
        stream.on('trailers', take)
        stream.on('error', () => undefined)
        stream.on('close', () => {
          resolve(status === '0' ? 'ok' : (status ?? 'reset'))
        })
        stream.resume()
        const prefix = Buffer.alloc(5)
        prefix.writeUInt32BE(body.length, 1)
        // one write to the socket, not two
        stream.cork()
        stream.write(prefix)
        stream.end(body)
      })
    },
    close() {
      for (const session of sessions) session.destroy()
    },
  }
}

function tenantNumbered(number: number, tenants: number | string): string {
  if (typeof tenants === 'string') return tenants
  return tenants === 1 ? 'default' : `tenant-${String(number % tenants)}`
}

/** POSTs over at most `connections` kept-alive connections. */
export function httpTransport(
  url: string,
  signal: SignalName,
  connections: number,
  encoding: 'protobuf' | 'json' = 'protobuf',
): LoadTransport {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const target = new URL(HTTP_PATHS[signal], url)
  const contentType = encoding === 'json' ? 'application/json' : 'application/x-protobuf'
  return {
    send(body) {
      return new Promise((resolve) => {
        const request = httpRequest(
          target,
          {
            method: 'POST',
            agent,
            headers: { 'content-type': contentType, 'content-length': body.length },
          },
          (answer) => {
            answer.resume()
            answer.on('end', () => {
              resolve(answer.statusCode === 200 ? 'ok' : String(answer.statusCode))
            })
          },
        )
        request.on('error', () => {
          resolve('reset')
        })
        request.end(body)
      })
    },
    close() {
      agent.destroy()
    },
  }
}
