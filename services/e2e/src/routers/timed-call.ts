/** One export call as a client with a deadline sees it: what it heard, and after how long. */
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'

export interface TimedAnswer {
  /** `OK`, `200`, or the status: `14 later` where it says when to come back, `14 never` where not. */
  readonly answer: string
  readonly tookMs: number
  /** Seconds that the answer asks to wait; undefined where it does not. */
  readonly retryAfterSeconds: number | undefined
}

export interface TimedCall {
  readonly port: number
  readonly body: Uint8Array
  readonly tenant?: string
  readonly timeoutMs?: number
}

const PATH = '/opentelemetry.proto.collector.logs.v1.LogsService/Export'
const TIMEOUT_MS = 30_000

export function callGrpc({ port, body, tenant, timeoutMs }: TimedCall): Promise<TimedAnswer> {
  const client = new Client(`127.0.0.1:${String(port)}`, credentials.createInsecure())
  const metadata = new Metadata()
  metadata.set('x-tributary-tenant', tenant ?? 'default')
  const identity = (bytes: unknown): Buffer => Buffer.from(bytes as Uint8Array)
  const options = { deadline: Date.now() + (timeoutMs ?? TIMEOUT_MS) }
  const startMs = performance.now()
  return new Promise((resolve) => {
    client.makeUnaryRequest(PATH, identity, identity, body, metadata, options, (error) => {
      client.close()
      resolve({ ...grpcAnswer(error), tookMs: performance.now() - startMs })
    })
  })
}

function grpcAnswer(error: ServiceError | null): Omit<TimedAnswer, 'tookMs'> {
  if (error === null) return { answer: 'OK', retryAfterSeconds: undefined }
  const details = error.metadata.get('grpc-status-details-bin').map((part) => Buffer.from(part))
  const hasRetryInfo = details.some((part) => part.includes('google.rpc.RetryInfo'))
  return {
    answer: `${String(error.code)} ${hasRetryInfo ? 'later' : 'never'}`,
    retryAfterSeconds: undefined,
  }
}

export async function callHttp({ port, body, tenant, timeoutMs }: TimedCall): Promise<TimedAnswer> {
  const startMs = performance.now()
  const answer = await fetch(`http://127.0.0.1:${String(port)}/v1/logs`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-protobuf',
      'x-tributary-tenant': tenant ?? 'default',
    },
    body: body as Uint8Array<ArrayBuffer>,
    signal: AbortSignal.timeout(timeoutMs ?? TIMEOUT_MS),
  })
  await answer.arrayBuffer()
  const retryAfter = answer.headers.get('retry-after')
  const when = answer.status === 200 ? '' : retryAfter === null ? ' never' : ' later'
  return {
    answer: `${String(answer.status)}${when}`,
    tookMs: performance.now() - startMs,
    retryAfterSeconds: retryAfter === null ? undefined : Number(retryAfter),
  }
}
