/** Unmodified clients of OpenTelemetry against a real process: what they sent stands in the files, once. */
import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rename, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { differences, type ClientRows } from '../src/clients/canonical-values.ts'
import { runPythonClient } from '../src/clients/python-process.ts'
import { runSdkClient } from '../src/clients/sdk-client.ts'
import { sdkExporters } from '../src/clients/sdk-exporters.ts'
import { storedTelemetry } from '../src/clients/stored-telemetry.ts'
import { removeCheckedData } from '../src/readers/checked-store.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

const JS_TRANSPORTS = ['grpc', 'http-json', 'http-protobuf'] as const
const PYTHON_TRANSPORTS = ['grpc', 'http'] as const
const COMPRESSIONS = ['gzip', 'none'] as const
const SIGNALS = ['logs', 'spans', 'metrics'] as const
const TAILED_LINES = 1000
const ROTATE_EVERY = 300
/** 10 ms each. */
const OPENED_TRIES_MAX = 3000

void describe('clients', () => {
  let dataDir: string
  let standalone: StandaloneProcess
  const sent = new Map<string, ClientRows>()
  let stored: Map<string, ClientRows>

  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'tributary-clients-'))
    standalone = await StandaloneProcess.start({ dataDir })
    const tailed = tailRotatedFile(standalone.grpcPort, join(dataDir, 'app.log'))
    for (const transport of JS_TRANSPORTS) {
      for (const compression of COMPRESSIONS) {
        const service = `js-${transport}-${compression}`
        const exporters = sdkExporters(standalone, transport, compression)
        sent.set(service, await runSdkClient(service, exporters))
      }
    }
    for (const transport of PYTHON_TRANSPORTS) {
      for (const compression of COMPRESSIONS) {
        const service = `python-${transport}-${compression}`
        const endpoint =
          transport === 'grpc'
            ? `http://127.0.0.1:${String(standalone.grpcPort)}`
            : standalone.httpUrl
        const rows = await runPythonClient(
          'python-client',
          service,
          transport,
          endpoint,
          compression,
        )
        sent.set(service, JSON.parse(rows) as ClientRows)
      }
    }
    await tailed
    await standalone.flush()
    stored = storedTelemetry(dataDir)
  })

  after(async () => {
    await standalone.kill()
    await removeCheckedData(dataDir)
  })

  for (const compression of COMPRESSIONS) {
    for (const transport of JS_TRANSPORTS) {
      void it(`stores what the JavaScript SDK sends over ${transport}, compression ${compression}`, () => {
        assertStored(`js-${transport}-${compression}`)
      })
    }
    for (const transport of PYTHON_TRANSPORTS) {
      void it(`stores what the Python SDK sends over ${transport}, compression ${compression}`, () => {
        assertStored(`python-${transport}-${compression}`)
      })
    }
  }

  void it('stores each line of a tailed file once, through its rotations', () => {
    const lines = stored.get('tailer')!.logs.map(({ body }) => body)
    const written = Array.from({ length: TAILED_LINES }, (_, index) => `s:${lineOf(index)}`)
    assert.deepEqual(lines.sort(), written.sort())
  })

  void it('holds nothing that no client sent', () => {
    assert.deepEqual([...stored.keys()].sort(), [...sent.keys(), 'tailer'].sort())
  })

  function assertStored(service: string): void {
    for (const signal of SIGNALS) {
      const expected = sent.get(service)![signal]
      assert.ok(expected.length > 10, `${service} sent ${signal}`)
      assert.deepEqual(differences(expected, stored.get(service)?.[signal] ?? []), [])
    }
  }
})

/** Writes a log as a program does, half lines too, and rotates it as logrotate does, under the tailer. */
async function tailRotatedFile(grpcPort: number, path: string): Promise<void> {
  const tailer = runPythonClient('python-tailer', path, `http://127.0.0.1:${String(grpcPort)}`)
  let files = 1
  await appendFile(path, '')
  for (let index = 0; index < TAILED_LINES; index++) {
    const line = lineOf(index)
    await appendFile(path, line.slice(0, 5))
    if (index % 50 === 0) await sleep(20)
    await appendFile(path, `${line.slice(5)}\n`)
    if (index % ROTATE_EVERY === ROTATE_EVERY - 1) {
      await untilOpened(path, files++)
      await rename(path, `${path}.${String(index)}`)
      await appendFile(path, '')
    }
  }
  await appendFile(path, 'END\n')
  await tailer
}

/** Log rotation keeps the old file until its reader has it; here that is when the tailer opened it. */
async function untilOpened(path: string, files: number): Promise<void> {
  for (let tries = 0; tries < OPENED_TRIES_MAX; tries++) {
    const opened = await stat(`${path}.opened`).catch(() => undefined)
    if (opened !== undefined && opened.size >= files) return
    await sleep(10)
  }
  throw new Error('the tailer does not open the file')
}

function lineOf(index: number): string {
  return `2026-11-21T10:00:00Z INFO order ${String(index)} placed, déjà vu`
}
