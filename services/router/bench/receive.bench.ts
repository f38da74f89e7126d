/**
 * CPU of a server per request when nothing is done with the bytes: our receivers against a
 * @grpc/grpc-js server with an identity deserializer, each in a process of its own, in one run.
 * `node receive.bench.ts [--seconds N] [--json]`; the client's CPU is not counted.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'
import { parseArgs } from 'node:util'

import { EXPORT_ROUTES } from '../src/receive/export-route.ts'
import { startReceivers } from '../src/testing/receiver-harness.ts'

const RECORD_BYTES = 347
const RECORDS_PER_REQUEST = [1000, 100, 10]
const CONNECTIONS = 4
const CALLS_PER_CONNECTION = 4
const [LOGS] = EXPORT_ROUTES

const SERVERS = ['own gRPC', 'grpc-js', 'own HTTP'] as const
type ServerName = (typeof SERVERS)[number]

interface ServerReport {
  readonly cpuMicroseconds: number
  readonly requests: number
}

interface Row {
  readonly server: ServerName
  readonly recordsPerRequest: number
  readonly cpuMicrosecondsPerRequest: number
  readonly requestsPerSecond: number
}

const childRole = process.env['RECEIVE_BENCH_SERVER']
if (childRole === undefined) await runBench()
else await serve(childRole)

async function runBench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    },
  })
  const rows: Row[] = []
  for (const recordsPerRequest of RECORDS_PER_REQUEST) {
    for (const server of SERVERS) {
      rows.push(await measure(server, recordsPerRequest, Number(values.seconds) * 1000))
    }
  }
  if (values.json) process.stdout.write(`${JSON.stringify(rows)}\n`)
  else for (const row of rows) process.stdout.write(formatRow(row, rows))
}

function formatRow(row: Row, rows: readonly Row[]): string {
  const rival = rows.find(
    (other) => other.server === 'grpc-js' && other.recordsPerRequest === row.recordsPerRequest,
  )
  const ratio = row.cpuMicrosecondsPerRequest / (rival?.cpuMicrosecondsPerRequest ?? 1)
  return [
    row.server.padEnd(9),
    `${row.recordsPerRequest} records`.padStart(13),
    `${row.cpuMicrosecondsPerRequest.toFixed(1)} us CPU/request`.padStart(24),
    `${(row.cpuMicrosecondsPerRequest / row.recordsPerRequest).toFixed(3)} us/record`.padStart(18),
    `${row.requestsPerSecond.toFixed(0)} requests/s`.padStart(18),
    `${ratio.toFixed(2)}x of grpc-js\n`.padStart(18),
  ].join('')
}

async function measure(server: ServerName, recordsPerRequest: number, ms: number): Promise<Row> {
  const child = fork(import.meta.filename, {
    env: { ...process.env, RECEIVE_BENCH_SERVER: server },
  })
  const [port] = (await once(child, 'message')) as [number]
  const body = Buffer.alloc(recordsPerRequest * RECORD_BYTES, 'telemetry ')
  await drive(server, port, body, ms / 2)
  const before = await ask(child)
  const startedMs = performance.now()
  await drive(server, port, body, ms)
  const elapsedMs = performance.now() - startedMs
  const after = await ask(child)
  child.kill()
  const requests = after.requests - before.requests
  return {
    server,
    recordsPerRequest,
    cpuMicrosecondsPerRequest: (after.cpuMicroseconds - before.cpuMicroseconds) / requests,
    requestsPerSecond: (requests * 1000) / elapsedMs,
  }
}

async function ask(child: ChildProcess): Promise<ServerReport> {
  child.send('report')
  const [report] = (await once(child, 'message')) as [ServerReport]
  return report
}

/** Closed loop over several connections; every answer is checked. */
async function drive(
  server: ServerName,
  port: number,
  body: Uint8Array,
  durationMs: number,
): Promise<void> {
  const endsMs = performance.now() + durationMs
  const loops: Promise<void>[] = []
  for (let connection = 0; connection < CONNECTIONS; connection++) {
    const call = server === 'own HTTP' ? httpCaller(port, body) : grpcCaller(port, body)
    const loop = async (): Promise<void> => {
      while (performance.now() < endsMs) await call.run()
    }
    const running = Array.from({ length: CALLS_PER_CONNECTION }, loop)
    loops.push(
      Promise.all(running).then(() => {
        call.close()
      }),
    )
  }
  await Promise.all(loops)
}

interface Caller {
  readonly run: () => Promise<void>
  readonly close: () => void
}

function grpcCaller(port: number, body: Uint8Array): Caller {
  const session = connect(`http://127.0.0.1:${port}`)
  const message = Buffer.alloc(5 + body.length)
  message.writeUInt32BE(body.length, 1)
  message.set(body, 5)
  return {
    run: () => callGrpc(session, message),
    close: () => {
      session.close()
    },
  }
}

function callGrpc(session: ClientHttp2Session, message: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': LOGS.grpcPath,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    let status = ''
    stream.on('trailers', (trailers: IncomingHttpHeaders) => {
      status = String(trailers['grpc-status'])
    })
    stream.on('error', reject)
    stream.on('close', () => {
      if (status === '0') resolve()
      else reject(new Error(`grpc-status ${status}`))
    })
    stream.resume()
    stream.end(message)
  })
}

function httpCaller(port: number, body: Uint8Array): Caller {
  const agent = new Agent({ keepAlive: true, maxSockets: CALLS_PER_CONNECTION })
  const headers = { 'content-type': 'application/x-protobuf', 'content-length': body.length }
  const run = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const sent = request({
        host: '127.0.0.1',
        port,
        path: LOGS.httpPath,
        method: 'POST',
        headers,
        agent,
      })
      sent.on('error', reject)
      sent.on('response', (response) => {
        response.resume()
        response.on('end', () => {
          if (response.statusCode === 200) resolve()
          else reject(new Error(`status ${response.statusCode}`))
        })
      })
      sent.end(body)
    })
  return {
    run,
    close: () => {
      agent.destroy()
    },
  }
}

/** In the child: starts the server, tells its port, reports on demand. */
async function serve(name: string): Promise<void> {
  let requests = 0
  const port =
    name === 'grpc-js'
      ? await serveGrpcJs(() => {
          requests++
        })
      : await serveOwn(name, () => {
          requests++
        })
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    const report: ServerReport = { cpuMicroseconds: user + system, requests }
    process.send!(report)
  })
  process.send!(port)
}

async function serveOwn(name: string, onRequest: () => void): Promise<number> {
  const success = Promise.resolve({ rejectedItems: 0, storedItems: 0, message: '' })
  const harness = await startReceivers({
    limits: { sweepIntervalMs: 500 },
    handler: () => {
      onRequest()
      return success
    },
  })
  return name === 'own HTTP' ? harness.http.port : harness.grpc.port
}

async function serveGrpcJs(onRequest: () => void): Promise<number> {
  const { Server, ServerCredentials } = await import('@grpc/grpc-js')
  const server = new Server({ 'grpc.max_receive_message_length': 64 * 1024 * 1024 })
  const identity = (bytes: Buffer): Buffer => bytes
  server.addService(
    {
      export: {
        path: LOGS.grpcPath,
        requestStream: false,
        responseStream: false,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      },
    },
    {
      export: (_call: unknown, done: (error: null, answer: Buffer) => void) => {
        onRequest()
        done(null, Buffer.alloc(0))
      },
    },
  )
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port)
      else reject(error)
    })
  })
}
