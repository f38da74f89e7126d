/** A well-behaved client beside an attack: calls on both transports, one after the other. */
import { request } from 'node:http'
import { connect } from 'node:http2'

import { EXPORT_ROUTES } from '../receive/export-route.ts'
import type { ReceiverHarness } from './receiver-harness.ts'

const [LOGS] = EXPORT_ROUTES
/** ExportLogsServiceRequest with one empty ResourceLogs. */
const BODY = Buffer.from([0x0a, 0])
const MESSAGE = Buffer.from([0, 0, 0, 0, BODY.length, ...BODY])

export interface HealthyClient {
  /** Ends the calls and tells the statuses that came: OK is 0 and 200. */
  readonly finish: () => Promise<readonly number[]>
}

/** Calls over new connections until `finish`, and once more after it. */
export function startHealthyClient(harness: ReceiverHarness): HealthyClient {
  const statuses: number[] = []
  let isOver = false
  const run = async (): Promise<void> => {
    let isLast = false
    do {
      isLast = isOver
      statuses.push(await callGrpc(harness.grpc.port), await callHttp(harness.http.port))
    } while (!isLast)
  }
  const running = run()
  return {
    finish: async () => {
      isOver = true
      await running
      return statuses
    },
  }
}

/** The grpc-status of one call over a new connection; -1 where there was none. */
export function callGrpc(port: number): Promise<number> {
  return new Promise((resolve) => {
    const session = connect(`http://127.0.0.1:${port}`)
    session.on('error', () => {
      resolve(-1)
    })
    const stream = session.request({
      ':method': 'POST',
      ':path': LOGS.grpcPath,
      'content-type': 'application/grpc',
    })
    let status = -1
    const take = (headers: Readonly<Record<string, unknown>>): void => {
      if (headers['grpc-status'] !== undefined) status = Number(headers['grpc-status'])
    }
    stream.on('response', take)
    stream.on('trailers', take)
    stream.on('error', () => undefined)
    stream.on('close', () => {
      session.destroy()
      resolve(status)
    })
    stream.resume()
    stream.end(MESSAGE)
  })
}

/** The HTTP status of one call over a new connection; -1 where there was none. */
export function callHttp(port: number): Promise<number> {
  return new Promise((resolve) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      path: LOGS.httpPath,
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf', 'content-length': BODY.length },
      agent: false,
    })
    sent.on('error', () => {
      resolve(-1)
    })
    sent.on('response', (response) => {
      response.resume()
      response.on('close', () => {
        resolve(response.statusCode ?? -1)
      })
    })
    sent.end(BODY)
  })
}
