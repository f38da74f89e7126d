import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { Client, credentials, loadPackageDefinition } from '@grpc/grpc-js'
import type { ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { protoPath } from 'grpc-health-check'

import { createAdminGrpcServer } from '../src/admin-grpc-server.ts'
import { AppError } from '../src/errors.ts'

let isReady = true
const protoFolder = join(import.meta.dirname, '../../../proto')
const server = createAdminGrpcServer({
  host: '127.0.0.1',
  port: 0,
  isReady: () => isReady,
  protoFolder,
})

before(() => server.start())
after(() => server.close())

/** Calls a unary method with plain objects. */
function call(
  constructor: ServiceClientConstructor,
  method: string,
  argument: object,
): Promise<Record<string, unknown>> {
  const client = new constructor(`127.0.0.1:${server.port}`, credentials.createInsecure())
  const unary = (client as unknown as Record<string, UnaryMethod>)[method]!
  return new Promise((resolve, reject) => {
    unary.call(client, argument, (error: Error | null, response: Record<string, unknown>) => {
      client.close()
      if (error === null) resolve(response)
      else reject(error)
    })
  })
}

type UnaryMethod = (
  argument: object,
  done: (error: Error | null, response: Record<string, unknown>) => void,
) => void

const healthPackage = loadPackageDefinition(loadSync(protoPath)) as unknown as {
  grpc: { health: { v1: { Health: ServiceClientConstructor } } }
}

describe('AdminGrpcServer', () => {
  it('tells health overall and of each OTLP service, following readiness', async () => {
    const { Health } = healthPackage.grpc.health.v1
    const services = ['', 'opentelemetry.proto.collector.logs.v1.LogsService']
    for (const service of services) {
      assert.equal((await call(Health, 'check', { service })).status, 1)
    }
    isReady = false
    let status: unknown = 1
    while (status === 1) status = (await call(Health, 'check', { service: '' })).status
    assert.equal(status, 2)
    isReady = true
  })

  it('reflects health and the OTLP services', async () => {
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure())
    // ServerReflectionRequest.list_services = 7, an empty string.
    const stream = client.makeBidiStreamRequest(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes.toString('latin1'),
    )
    const answer = new Promise<string>((resolve, reject) => {
      stream.on('data', resolve)
      stream.on('error', reject)
    })
    stream.write(Buffer.from([0x3a, 0]))
    const text = await answer
    stream.end()
    client.close()
    for (const service of [
      'grpc.health.v1.Health',
      'LogsService',
      'TraceService',
      'MetricsService',
    ]) {
      assert.ok(text.includes(service), service)
    }
  })

  it('refuses to start on a port that is taken', async () => {
    const second = createAdminGrpcServer({
      host: '127.0.0.1',
      port: server.port,
      isReady: () => true,
    })
    await assert.rejects(
      second.start(),
      (error) => error instanceof AppError && error.code === 'invalid_config',
    )
    await second.close()
  })
})
