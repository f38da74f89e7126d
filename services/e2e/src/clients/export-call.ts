/** Single export calls by clients that are not ours: grpc-js, and Node's fetch. */
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'

import { Client, compressionAlgorithms, credentials, Metadata } from '@grpc/grpc-js'
import type { ServiceError } from '@grpc/grpc-js'

export interface ExportCall {
  readonly tenant: string
  readonly compression: 'none' | 'gzip'
  /** Trace context that goes with the call. */
  readonly traceparent?: string
}

const LOGS_SERVICE = '/opentelemetry.proto.collector.logs.v1.LogsService/Export'
const DEADLINE_MS = 120_000

/** Exports logs over gRPC; gives `OK`, or the number of the status and whether it tells when to retry. */
export function exportByGrpc(port: number, body: Uint8Array, call: ExportCall): Promise<string> {
  const client = new Client(`127.0.0.1:${String(port)}`, credentials.createInsecure(), {
    'grpc.max_send_message_length': -1,
    ...(call.compression === 'gzip' && {
      'grpc.default_compression_algorithm': compressionAlgorithms.gzip,
    }),
  })
  const metadata = new Metadata()
  metadata.set('x-tributary-tenant', call.tenant)
  if (call.traceparent !== undefined) metadata.set('traceparent', call.traceparent)
  return new Promise((resolve) => {
    const done = (error: ServiceError | null): void => {
      client.close()
      if (error === null) return resolve('OK')
      const details = error.metadata.get('grpc-status-details-bin').join()
      const when = details.includes('google.rpc.RetryInfo') ? 'later' : 'never'
      resolve(`${String(error.code)} ${when}: ${error.details}`)
    }
    const identity = (bytes: unknown): Buffer => Buffer.from(bytes as Uint8Array)
    const options = { deadline: Date.now() + DEADLINE_MS }
    client.makeUnaryRequest(LOGS_SERVICE, identity, identity, body, metadata, options, done)
  })
}

/** Exports logs over HTTP; gives `200`, or the status and what the server says. */
export async function exportByHttp(
  url: string,
  body: Uint8Array,
  call: ExportCall,
): Promise<string> {
  const headers = {
    'content-type': 'application/x-protobuf',
    'x-tributary-tenant': call.tenant,
    ...(call.compression === 'gzip' && { 'content-encoding': 'gzip' }),
    ...(call.traceparent === undefined ? {} : { traceparent: call.traceparent }),
  }
  const sent = call.compression === 'gzip' ? gzipSync(body, { level: 1 }) : body
  const answer = await fetch(`${url}/v1/logs`, {
    method: 'POST',
    headers,
    body: sent as Uint8Array<ArrayBuffer>,
  })
  await answer.arrayBuffer()
  return String(answer.status)
}

/** What stands for a body where two sets of large ones are compared. */
export function digestOf(text: string): string {
  return createHash('md5').update(text).digest('hex')
}
