/**
 * Two routers before a real Kafka and Redis that ask who calls: TLS on all ports, API keys and settings
 * of tenants in Redis, client certificates that name a tenant. Everything an operator does to them is
 * done by `tributary` commands.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { Endpoint, Variant } from '@tributary/cli/conformance/conformance-case'
import { TestAuthority } from '@tributary/common/testing/test-certificates'

import type { TributaryProcess } from '../tributary-process.ts'
import { RouterSite } from './router-site.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
export const PORTS = ['grpc', 'http', 'admin', 'adminGrpc'] as const
/** The tenant of `client.crt`. */
export const CERTIFICATE_TENANT = 'billing'
const TLS_TIMEOUT_MS = 5000

export const GRPC: Variant = { transport: 'grpc', encoding: 'protobuf', compression: 'identity' }
export const HTTP: Variant = { transport: 'http', encoding: 'protobuf', compression: 'identity' }

export class SecuredSite {
  readonly site: RouterSite
  readonly routers: TributaryProcess[] = []
  readonly #folder: string
  readonly #authority: TestAuthority

  private constructor(site: RouterSite, folder: string, authority: TestAuthority) {
    this.site = site
    this.#folder = folder
    this.#authority = authority
  }

  static async start(): Promise<SecuredSite> {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-routers-'))
    const authority = new TestAuthority(folder, 'ca')
    await authority.issue('server')
    await authority.issue('client', { commonName: CERTIFICATE_TENANT })
    const site = await RouterSite.start({ brokers: 1, topic: 'secured', partitions: 4 })
    const secured = new SecuredSite(site, folder, authority)
    try {
      for (const name of ['router-1', 'router-2']) {
        secured.routers.push(await site.router(name, secured.#flags()))
      }
      return secured
    } catch (error) {
      await secured.stop()
      throw error
    }
  }

  /** `tributary <words>`; what it wrote. */
  async command(...words: readonly string[]): Promise<string> {
    const redis = `--redis-url=${this.site.redis.url}`
    const { stdout } = await run(process.execPath, [COMMAND, ...words, redis])
    return stdout.trimEnd()
  }

  async createKey(tenant: string): Promise<{ id: string; key: string }> {
    const words = ['--tenant', tenant, '--api-keys', 'redis', '--json']
    return JSON.parse(await this.command('keys', 'create', ...words)) as { id: string; key: string }
  }

  async setTenants(document: Readonly<Record<string, unknown>>): Promise<void> {
    const path = join(this.#folder, 'tenants.json')
    await writeFile(path, JSON.stringify({ format: 1, ...document }))
    await this.command('tenants', 'set', path)
  }

  /** Another certificate of the same authority in the place of the one in use. */
  renewCertificate(): Promise<void> {
    return this.#authority.issue('server', { commonName: 'renewed' })
  }

  async endpoint(index: number, hasCertificate = false): Promise<Endpoint> {
    const read = (name: string): Promise<Buffer> => readFile(join(this.#folder, name))
    const router = this.routers[index]!
    return {
      grpc: `127.0.0.1:${String(router.port('grpc'))}`,
      http: `https://127.0.0.1:${String(router.port('http'))}`,
      tls: {
        ca: await read('ca.crt'),
        ...(hasCertificate
          ? { cert: await read('client.crt'), key: await read('client.key') }
          : {}),
      },
    }
  }

  /** Who a port says it is. */
  async subjectOf(index: number, port: (typeof PORTS)[number]): Promise<string> {
    const ca = await readFile(join(this.#folder, 'ca.crt'))
    return new Promise((resolve, reject) => {
      const options = {
        ca,
        host: '127.0.0.1',
        port: this.routers[index]!.port(port),
        timeout: TLS_TIMEOUT_MS,
      }
      const socket = connect({ ...options, ALPNProtocols: ['h2', 'http/1.1'] }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN))
        socket.destroy()
      })
      socket.on('timeout', () => socket.destroy(new Error(`${port} does not answer`)))
      socket.on('error', reject)
    })
  }

  async stop(): Promise<void> {
    await this.site.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }

  #flags(): string[] {
    return [
      `--tls-cert-file=${join(this.#folder, 'server.crt')}`,
      `--tls-key-file=${join(this.#folder, 'server.key')}`,
      `--tls-client-ca-file=${join(this.#folder, 'ca.crt')}`,
      '--tls-client-auth=optional',
      '--tls-client-tenant=cn',
      '--admin-tls',
      '--api-keys=redis',
      '--tenant-settings=redis',
    ]
  }
}
