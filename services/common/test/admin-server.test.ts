/** The admin ports over TLS: the same certificate as the rest, replaced under way. */
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:http2'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { TLSSocket } from 'node:tls'

import { credentials, loadPackageDefinition } from '@grpc/grpc-js'
import type { Client, ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { protoPath } from 'grpc-health-check'

import { createAdminGrpcServer, type AdminGrpcServer } from '../src/admin-grpc-server.ts'
import { createAdminServer, type AdminServer } from '../src/admin-server.ts'
import { systemClock } from '../src/clock.ts'
import { createLogger } from '../src/logger.ts'
import { createRegistry } from '../src/metrics.ts'
import { ServerCertificate } from '../src/server-certificate.ts'
import { TestAuthority } from '../src/testing/test-certificates.ts'

const healthPackage = loadPackageDefinition(loadSync(protoPath)) as unknown as {
  grpc: { health: { v1: { Health: ServiceClientConstructor } } }
}
const logger = createLogger({ name: 'admin-test', level: 'silent' })

describe('the admin servers with TLS', () => {
  let folder: string
  let ca: Buffer
  let certificate: ServerCertificate
  let http: AdminServer
  let grpc: AdminGrpcServer

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-admin-'))
    const authority = new TestAuthority(folder, 'ca')
    await authority.issue('first')
    await authority.issue('second')
    ca = await readFile(join(folder, 'ca.crt'))
    await install('first')
    certificate = await ServerCertificate.open({
      certFile: join(folder, 'tls.crt'),
      keyFile: join(folder, 'tls.key'),
      clientCaFile: join(folder, 'ca.crt'),
      minVersion: 'TLSv1.2',
      clock: systemClock,
      logger,
    })
    const shared = { host: '127.0.0.1', port: 0, certificate, isReady: () => true }
    http = createAdminServer({
      ...shared,
      registry: createRegistry({ hasProcessMetrics: false }),
      logger,
      flush: () => Promise.resolve('flushed'),
    })
    grpc = createAdminGrpcServer(shared)
    await http.start()
    await grpc.start()
  })

  after(async () => {
    await http.close()
    await grpc.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function install(name: string): Promise<void> {
    await copyFile(join(folder, `${name}.crt`), join(folder, 'tls.crt'))
    await copyFile(join(folder, `${name}.key`), join(folder, 'tls.key'))
  }

  it('answer without asking for a client certificate, before and after it is replaced', async () => {
    assert.deepEqual(await get(http.port), [200, 'test first'])
    assert.equal(await health(grpc.port), 'SERVING')
    await install('second')
    await certificate.reload()
    assert.deepEqual(await get(http.port), [200, 'test second'])
    assert.equal(await health(grpc.port), 'SERVING')
  })

  it('show the new certificate to gRPC clients too', async () => {
    const session = connect(`https://localhost:${grpc.port}`, { ca })
    await new Promise((resolve) => session.on('connect', resolve))
    const shown = (session.socket as TLSSocket).getPeerCertificate().subject.CN
    session.destroy()
    assert.equal(shown, 'test second')
  })

  /** Status of /livez and the common name that the server shows. */
  function get(port: number): Promise<[number | undefined, string]> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: 'localhost', port, path: '/livez', ca, agent: false })
      sent.on('error', reject)
      sent.on('response', (response) => {
        const { subject } = (response.socket as TLSSocket).getPeerCertificate()
        response.resume()
        resolve([response.statusCode, String(subject.CN)])
      })
      sent.end()
    })
  }

  function health(port: number): Promise<unknown> {
    const { Health } = healthPackage.grpc.health.v1
    const client = new Health(`localhost:${port}`, credentials.createSsl(ca))
    return new Promise((resolve, reject) => {
      const check = (client as unknown as HealthClient).check
      check.call(client, { service: '' }, (error, answer) => {
        client.close()
        if (error === null) resolve(answer.status === 1 ? 'SERVING' : answer.status)
        else reject(error)
      })
    })
  }
})

type HealthClient = Client & {
  check: (
    argument: object,
    done: (error: Error | null, answer: { readonly status: unknown }) => void,
  ) => void
}
