import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer, connect, type TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'

import { AppError } from '../src/errors.ts'
import { createLogger } from '../src/logger.ts'
import { createRegistry } from '../src/metrics.ts'
import { openServerCertificate, type ServerCertificate } from '../src/server-certificate.ts'
import { TestAuthority } from '../src/testing/test-certificates.ts'
import { VirtualClock } from '../src/testing/virtual-clock.ts'

const RELOADS_WITHIN_MS = 5000

describe('ServerCertificate', () => {
  let folder: string
  let certFile: string
  let keyFile: string
  let clientCaFile: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-certificate-'))
    certFile = join(folder, 'tls.crt')
    keyFile = join(folder, 'tls.key')
    clientCaFile = join(folder, 'clients.crt')
    const authority = new TestAuthority(folder, 'ca')
    await authority.issue('first')
    await authority.issue('second')
    await authority.issue('over', { days: -1 })
  })

  beforeEach(() => install('first', 'first'))

  after(() => rm(folder, { recursive: true, force: true }))

  async function install(cert: string, key: string): Promise<void> {
    await copyFile(join(folder, `${cert}.crt`), certFile)
    await copyFile(join(folder, `${key}.key`), keyFile)
    await copyFile(join(folder, 'ca.crt'), clientCaFile)
  }

  function open(clock = new VirtualClock(Date.now())): Promise<ServerCertificate> {
    const config = {
      tlsCertFile: certFile,
      tlsKeyFile: keyFile,
      tlsClientCaFile: clientCaFile,
      tlsMinVersion: 'TLSv1.2',
    } as const
    const logger = createLogger({ name: 'certificate-test', level: 'silent' })
    const registry = createRegistry({ hasProcessMetrics: false })
    return openServerCertificate(config, { clock, logger, registry }) as Promise<ServerCertificate>
  }

  it('serves the new certificate to new connections once its files changed', async () => {
    const certificate = await open()
    const server = createServer(certificate.context)
    certificate.onChange((context) => {
      server.setSecureContext(context)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      assert.equal(await subjectOf(server.address() as AddressInfo), 'test first')
      await install('second', 'second')
      await certificate.reload()
      assert.equal(await subjectOf(server.address() as AddressInfo), 'test second')
      assert.equal(certificate.isBroken, false)
    } finally {
      server.close()
    }
  })

  it('looks by itself, until it is stopped', async () => {
    const clock = new VirtualClock(Date.now())
    const certificate = await open(clock)
    const first = certificate.context.cert
    await install('second', 'second')
    const changed = new Promise((resolve) => certificate.onChange(resolve))
    await clock.advance(RELOADS_WITHIN_MS)
    await changed
    assert.notEqual(certificate.context.cert, first)
    await certificate.stop()
  })

  for (const [name, damage] of [
    ['a key of another certificate', () => install('second', 'first')],
    ['a certificate of another key', () => install('first', 'second')],
    ['no certificate file', () => rm(certFile)],
    ['no key file', () => rm(keyFile)],
    ['no file of authorities', () => rm(clientCaFile)],
    ['an empty certificate', () => truncate(certFile, 0)],
    ['an empty file of authorities', () => truncate(clientCaFile, 0)],
    ['a certificate cut in the middle', () => truncate(certFile, 300)],
    ['a chain cut within its second certificate', () => appendHalf()],
    ['text that is no PEM', () => writeFile(certFile, 'certificate')],
    ['a certificate that is over', () => install('over', 'over')],
  ] as const) {
    it(`keeps the old certificate when the new one is ${name}, and takes the next`, async () => {
      const certificate = await open()
      const old = certificate.context
      await damage()
      await certificate.reload()
      await certificate.reload()
      assert.equal(certificate.context, old)
      assert.equal(certificate.isBroken, true)
      await install('second', 'second')
      await certificate.reload()
      assert.equal(certificate.isBroken, false)
      assert.notEqual(certificate.context, old)
      await certificate.stop()
    })
  }

  async function appendHalf(): Promise<void> {
    const [chain, authority] = await Promise.all([readFile(certFile), readFile(clientCaFile)])
    await writeFile(certFile, Buffer.concat([chain, authority.subarray(0, 200)]))
  }

  it('is whole again when the old files come back', async () => {
    const certificate = await open()
    await rm(certFile)
    await certificate.reload()
    assert.equal(certificate.isBroken, true)
    await install('first', 'first')
    await certificate.reload()
    assert.equal(certificate.isBroken, false)
    await certificate.stop()
  })

  it('takes a certificate that is over in the place of one that is over too', async () => {
    const clock = new VirtualClock(Date.now())
    const certificate = await open(clock)
    clock.stepWallClock(30 * 86_400_000)
    await install('second', 'second')
    await certificate.reload()
    assert.equal(certificate.isBroken, false)
    await certificate.stop()
  })

  it('refuses to start with files that can not be used', async () => {
    await install('first', 'second')
    await assert.rejects(
      open(),
      (error) => error instanceof AppError && error.code === 'invalid_config',
    )
  })
})

/** The common name that a server shows. */
function subjectOf({ port }: AddressInfo): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect(
      { port, host: '127.0.0.1', rejectUnauthorized: false },
      () => {
        const { subject } = socket.getPeerCertificate()
        resolve(String(subject.CN))
        socket.destroy()
      },
    )
    socket.on('error', reject)
  })
}
