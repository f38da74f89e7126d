/** Sends a ledger's requests over OTLP/HTTP and OTLP/gRPC until it is told to stop. */
import { connect, type ClientHttp2Session } from 'node:http2'
import type { StandaloneProcess } from '../standalone-process.ts'
import type { Ledger, LedgerRequest } from './ledger.ts'

const GRPC_PATH = '/opentelemetry.proto.collector.logs.v1.LogsService/Export'
/** Between tries of a request that was refused. */
const PAUSE_MS = 20

/** Runs `lanes` senders per transport; resolves when all have stopped. */
export async function sendUntil(
  standalone: StandaloneProcess,
  ledger: Ledger,
  lanes: number,
  records: number,
  stop: AbortSignal,
): Promise<void> {
  const session = connect(`http://127.0.0.1:${String(standalone.grpcPort)}`)
  session.on('error', () => undefined)
  const senders: Promise<void>[] = []
  for (let lane = 0; lane < lanes; lane++) {
    senders.push(runLane(ledger, records, stop, (request) => sendHttp(standalone, request, stop)))
    senders.push(runLane(ledger, records, stop, (request) => sendGrpc(session, request, stop)))
  }
  await Promise.all(senders)
  session.destroy()
}

/** Sends every request of unknown outcome once more and what comes back of them, until none is open. */
export async function drain(standalone: StandaloneProcess, ledger: Ledger): Promise<void> {
  const never = new AbortController().signal
  for (let tries = 0; ledger.openRequests > 0; tries++) {
    if (tries > 10_000) throw new Error('requests stay open')
    const request = ledger.take(1)
    if (await sendHttp(standalone, request, never)) ledger.succeeded(request)
    else {
      ledger.unknown(request)
      await pause()
    }
  }
}

async function runLane(
  ledger: Ledger,
  records: number,
  stop: AbortSignal,
  send: (request: LedgerRequest) => Promise<boolean>,
): Promise<void> {
  while (!stop.aborted) {
    const request = ledger.take(records)
    if (await send(request)) ledger.succeeded(request)
    else {
      ledger.unknown(request)
      await pause()
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}

/** True for OK; false for anything after which a client tries again. */
async function sendHttp(
  standalone: StandaloneProcess,
  request: LedgerRequest,
  signal: AbortSignal,
): Promise<boolean> {
  let status: number
  try {
    const answer = await fetch(`${standalone.httpUrl}/v1/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf' },
      body: request.body as Uint8Array<ArrayBuffer>,
      signal,
    })
    status = answer.status
    await answer.arrayBuffer()
  } catch {
    return false
  }
  if (status === 200) return true
  if (status === 503 || status === 429) return false
  throw new Error(`a well-formed request was answered with ${String(status)}`)
}

function sendGrpc(
  session: ClientHttp2Session,
  request: LedgerRequest,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (session.closed || session.destroyed) {
      resolve(false)
      return
    }
    const message = Buffer.alloc(5 + request.body.length)
    message.writeUInt32BE(request.body.length, 1)
    message.set(request.body, 5)
    const stream = session.request({
      ':method': 'POST',
      ':path': GRPC_PATH,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    let status: string | undefined
    const take = (headers: Record<string, unknown>): void => {
      const value = headers['grpc-status']
      if (typeof value === 'string') status = value
    }
    stream.on('response', take)
    stream.on('trailers', take)
    stream.on('error', () => undefined)
    const abort = (): void => {
      stream.destroy()
    }
    signal.addEventListener('abort', abort)
    stream.on('close', () => {
      signal.removeEventListener('abort', abort)
      if (status === '0') resolve(true)
      else if (status === undefined || status === '14' || status === '8') resolve(false)
      else reject(new Error(`a well-formed request was answered with gRPC status ${status}`))
    })
    stream.resume()
    stream.end(message)
  })
}
