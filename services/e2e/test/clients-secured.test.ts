/**
 * Unmodified clients of OpenTelemetry against a real process with TLS, client certificates and API
 * keys: what they sent stands in the files of the tenant that their credential names.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { ConformanceReport } from '@tributary/cli/conformance/run-conformance'
import { freePort } from '@tributary/common/testing/free-port'
import { TestAuthority } from '@tributary/common/testing/test-certificates'

import { differences, type ClientRows } from '../src/clients/canonical-values.ts'
import { CollectorProcess } from '../src/clients/collector-process.ts'
import { runPythonClientWith } from '../src/clients/python-process.ts'
import { runSdkClient } from '../src/clients/sdk-client.ts'
import { sdkExporters, type SecureTarget } from '../src/clients/sdk-exporters.ts'
import { storedTelemetry } from '../src/clients/stored-telemetry.ts'
import { runTelemetrygen } from '../src/clients/telemetrygen.ts'
import { removeCheckedData } from '../src/readers/checked-store.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const JS_TRANSPORTS = ['grpc', 'http-json', 'http-protobuf'] as const
const TRANSPORTS = ['grpc', 'http'] as const
const SIGNALS = ['logs', 'spans', 'metrics'] as const
/** Per worker of telemetrygen, which has two. */
const GENERATED = 100
const DELIVERED_TIMEOUT_MS = 60_000
const POLL_MS = 100

/** What a client shows: an API key, or a certificate that names its tenant. */
const CREDENTIALS = ['key', 'certificate'] as const
type Credential = (typeof CREDENTIALS)[number]
const TENANTS: Readonly<Record<Credential, string>> = { key: 'shop', certificate: 'billing' }

void describe('clients with credentials', () => {
  let folder: string
  let dataDir: string
  let key: string
  let standalone: StandaloneProcess
  const sent = new Map<string, ClientRows>()
  const stored = new Map<Credential, Map<string, ClientRows>>()

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-secured-'))
    dataDir = join(folder, 'data')
    const authority = new TestAuthority(folder, 'ca')
    await authority.issue('server')
    await authority.issue('client', { commonName: TENANTS.certificate })
    key = await createKey(join(folder, 'keys.json'), TENANTS.key)
    standalone = await StandaloneProcess.start({ dataDir, flags: secureFlags(folder) })
    for (const credential of CREDENTIALS) {
      await runSdkClients(credential)
      await runPythonClients(credential)
      await runGoClients(credential)
    }
    await run(process.execPath, [COMMAND, 'flush', '--admin-tls', '--admin-port', adminPort()], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'ca.crt') },
    })
    for (const credential of CREDENTIALS) {
      stored.set(credential, storedTelemetry(dataDir, TENANTS[credential]))
    }
  })

  after(async () => {
    await standalone.kill()
    await removeCheckedData(dataDir)
    await rm(folder, { recursive: true, force: true })
  })

  for (const credential of CREDENTIALS) {
    for (const name of [
      ...JS_TRANSPORTS.map((transport) => `js-${transport}`),
      ...TRANSPORTS.map((transport) => `python-${transport}`),
    ]) {
      void it(`stores what ${name} sends with a ${credential}`, () => {
        const service = `${name}-${credential}`
        for (const signal of SIGNALS) {
          const expected = sent.get(service)![signal]
          assert.ok(expected.length > 10, `${service} sent ${signal}`)
          const actual = stored.get(credential)!.get(service)?.[signal] ?? []
          assert.deepEqual(differences(expected, actual), [])
        }
      })
    }
    for (const transport of TRANSPORTS) {
      void it(`stores what telemetrygen sends over ${transport} with a ${credential}`, () => {
        const rows = stored.get(credential)!.get(`go-${transport}-${credential}`)
        assert.equal(rows?.logs.length, 2 * GENERATED)
      })
      void it(`stores what a collector sends over ${transport} with a ${credential}`, () => {
        const rows = stored.get(credential)!.get(`collected-${transport}-${credential}`)
        assert.equal(rows?.logs.length, 2 * GENERATED)
      })
    }
  }

  void it('passes the conformance command over TLS with a key', async () => {
    const args = [
      ...['--grpc', `127.0.0.1:${String(standalone.grpcPort)}`, '--http', standalone.httpUrl],
      ...['--tls', '--ca-file', join(folder, 'ca.crt'), '--json'],
    ]
    const { stdout } = await run(process.execPath, [COMMAND, 'conformance', ...args], {
      env: { ...process.env, TRIBUTARY_API_KEY: key },
    })
    const report = JSON.parse(stdout) as ConformanceReport
    assert.equal(report.failed, 0)
    const passed = report.results.filter(({ result }) => result === 'pass')
    for (const name of ['unauthenticated', 'unknown_key', 'permission_denied']) {
      assert.ok(
        passed.some((result) => result.name.includes(`when ${name}`)),
        name,
      )
    }
  })

  void it('stores nothing as another tenant', () => {
    assert.equal(storedTelemetry(dataDir).size, 0)
  })

  function adminPort(): string {
    return new URL(standalone.adminUrl).port
  }

  async function secureTarget(credential: Credential): Promise<SecureTarget> {
    const read = (name: string): Promise<Buffer> => readFile(join(folder, name))
    const ca = await read('ca.crt')
    return credential === 'key'
      ? { ca, headers: { authorization: `Bearer ${key}` } }
      : {
          ca,
          headers: {},
          client: { cert: await read('client.crt'), key: await read('client.key') },
        }
  }

  async function runSdkClients(credential: Credential): Promise<void> {
    const { grpcPort, httpUrl } = standalone
    const secure = await secureTarget(credential)
    for (const transport of JS_TRANSPORTS) {
      const service = `js-${transport}-${credential}`
      const exporters = sdkExporters({ grpcPort, httpUrl, secure }, transport, 'gzip')
      sent.set(service, await runSdkClient(service, exporters))
    }
  }

  async function runPythonClients(credential: Credential): Promise<void> {
    const environment: Record<string, string> = {
      OTEL_EXPORTER_OTLP_CERTIFICATE: join(folder, 'ca.crt'),
      // the bundle of a machine would be asked instead
      REQUESTS_CA_BUNDLE: '',
      CURL_CA_BUNDLE: '',
      ...(credential === 'key'
        ? { OTEL_EXPORTER_OTLP_HEADERS: `x-api-key=${key}` }
        : {
            OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: join(folder, 'client.crt'),
            OTEL_EXPORTER_OTLP_CLIENT_KEY: join(folder, 'client.key'),
          }),
    }
    for (const transport of TRANSPORTS) {
      const service = `python-${transport}-${credential}`
      const endpoint = endpointOf(transport)
      const rows = await runPythonClientWith(
        environment,
        'python-client',
        service,
        transport,
        endpoint,
        'gzip',
      )
      sent.set(service, JSON.parse(rows) as ClientRows)
    }
  }

  function endpointOf(transport: 'grpc' | 'http'): string {
    return transport === 'grpc'
      ? `https://127.0.0.1:${String(standalone.grpcPort)}`
      : standalone.httpUrl
  }

  /** telemetrygen by itself, and through a collector that adds the credential. */
  async function runGoClients(credential: Credential): Promise<void> {
    const ca = ['--ca-cert', join(folder, 'ca.crt')]
    const flags =
      credential === 'key'
        ? [...ca, '--otlp-header', `authorization="Bearer ${key}"`]
        : [
            ...ca,
            ...['--mtls', '--client-cert', join(folder, 'client.crt')],
            ...['--client-key', join(folder, 'client.key')],
          ]
    for (const transport of TRANSPORTS) {
      const { host } = new URL(endpointOf(transport))
      const over = transport === 'http' ? ['--otlp-http'] : []
      const service = ['--service', `go-${transport}-${credential}`]
      const count = ['--logs', String(GENERATED)]
      await runTelemetrygen('logs', host, ...count, ...service, ...over, ...flags)
      await collect(transport, credential)
    }
  }

  async function collect(transport: 'grpc' | 'http', credential: Credential): Promise<void> {
    const port = await freePort()
    const exporter = transport === 'grpc' ? 'otlp' : 'otlphttp'
    const endpoint = endpointOf(transport)
    const tls = {
      ca_file: join(folder, 'ca.crt'),
      ...(credential === 'key'
        ? {}
        : { cert_file: join(folder, 'client.crt'), key_file: join(folder, 'client.key') }),
    }
    const headers = credential === 'key' ? { 'x-api-key': key } : {}
    const collector = await CollectorProcess.start({
      receivers: { otlp: { protocols: { grpc: { endpoint: `127.0.0.1:${String(port)}` } } } },
      exporters: { [exporter]: { endpoint, tls, headers } },
      pipelines: { logs: { receivers: ['otlp'], exporters: [exporter] } },
    })
    const service = `collected-${transport}-${credential}`
    const count = ['--logs', String(GENERATED), '--service', service]
    await runTelemetrygen('logs', `127.0.0.1:${String(port)}`, ...count)
    const deadlineMs = performance.now() + DELIVERED_TIMEOUT_MS
    while ((await collector.counts('exporter_sent_log_records')).get(exporter) !== 2 * GENERATED) {
      assert.ok(performance.now() < deadlineMs, collector.log)
      await sleep(POLL_MS)
    }
    await collector.stop()
  }
})

function secureFlags(folder: string): string[] {
  return [
    `--tls-cert-file=${join(folder, 'server.crt')}`,
    `--tls-key-file=${join(folder, 'server.key')}`,
    `--tls-client-ca-file=${join(folder, 'ca.crt')}`,
    '--tls-client-auth=optional',
    '--tls-client-tenant=cn',
    '--admin-tls',
    `--api-keys=${join(folder, 'keys.json')}`,
  ]
}

async function createKey(path: string, tenant: string): Promise<string> {
  const args = [COMMAND, 'keys', 'create', '--tenant', tenant, '--api-keys', path]
  const { stdout } = await run(process.execPath, args)
  return stdout.trimEnd()
}
