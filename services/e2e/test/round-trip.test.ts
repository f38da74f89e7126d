/**
 * Generated requests of every signal and encoding through a whole process and back: sent over HTTP,
 * flushed to Parquet, replayed by the command line tool, and compared by a judge that shares no code
 * with the way. ROUND_TRIP_REQUESTS sets how many per signal and encoding, FUZZ_SEED which.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { SIGNAL_NAMES } from '@tributary/common/signal'
import type { SignalName } from '@tributary/common/signal'
import {
  canonicalizeModels,
  canonicalizeProtobuf,
  compareCanonical,
} from '@tributary/common/testing/otlp-canonical'
import {
  generateJson,
  generateProtobuf,
  generateRequest,
} from '@tributary/common/testing/otlp-generator'
import { exportResponse } from '@tributary/common/testing/otlp-messages'

import { removeCheckedData } from '../src/readers/checked-store.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))

const REQUESTS = Number(process.env['ROUND_TRIP_REQUESTS'] ?? 100)
const SEED = Number(process.env['FUZZ_SEED'] ?? randomInt(0x7fff_ffff))
/** 2100: past it the server would rather reject than store. */
const GENERATED = { timeMaxUnixNano: 4_102_444_800_000_000_000n }
const PATHS: Readonly<Record<SignalName, string>> = {
  logs: '/v1/logs',
  spans: '/v1/traces',
  metrics: '/v1/metrics',
}
const DIFFERENCES_SHOWN = 4

describe(`generated requests come back equal, FUZZ_SEED=${SEED}`, () => {
  let dataDir = ''
  let standalone: StandaloneProcess

  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'tributary-round-trip-'))
    standalone = await StandaloneProcess.start({
      dataDir,
      flags: ['--item-ahead-max=36500d', '--no-retry-removal', '--flush-interval=1h'],
    })
  })

  after(async () => {
    await standalone.kill()
    await removeCheckedData(dataDir)
  })

  for (const signal of SIGNAL_NAMES) {
    for (const encoding of ['protobuf', 'json'] as const) {
      it(`${signal} as ${encoding}`, async () => {
        const tenant = `${signal}-${encoding}`
        const seeds = Array.from({ length: REQUESTS }, (_, index) => (SEED + index) >>> 0)
        let rejectedItems = 0
        for (const seed of seeds) rejectedItems += await send(signal, encoding, seed, tenant)
        await standalone.flush()
        const options = { ...GENERATED, hasPlainNan: encoding === 'json' }
        const models = seeds.map((seed) => generateRequest(signal, seed, GENERATED))
        const sent = canonicalizeModels(signal, models, options)
        const replayed = canonicalizeProtobuf(signal, await replay(tenant), options)
        const differences = compareCanonical(sent.items, replayed.items)
        assert.deepEqual(
          differences.slice(0, DIFFERENCES_SHOWN),
          [],
          `${differences.length} differ`,
        )
        assert.equal(rejectedItems, sent.rejectedItems)
        assert.ok(sent.items.length >= REQUESTS)
      })
    }
  }

  /** Sends the request of a seed; gives the number of items rejected. */
  async function send(
    signal: SignalName,
    encoding: 'protobuf' | 'json',
    seed: number,
    tenant: string,
  ): Promise<number> {
    const body =
      encoding === 'json'
        ? generateJson(signal, seed, GENERATED)
        : generateProtobuf(signal, seed, GENERATED)
    const answer = await fetch(standalone.httpUrl + PATHS[signal], {
      method: 'POST',
      headers: {
        'content-type': encoding === 'json' ? 'application/json' : 'application/x-protobuf',
        'x-tributary-tenant': tenant,
      },
      body: body as Uint8Array<ArrayBuffer>,
    })
    const answered = await answer.bytes()
    assert.equal(answer.status, 200, `seed ${seed}: ${Buffer.from(answered).toString()}`)
    const response =
      encoding === 'json'
        ? (JSON.parse(Buffer.from(answered).toString()) as Record<string, unknown>)
        : exportResponse(signal).decode(answered)
    const partial = (response['partialSuccess'] ?? {}) as Record<string, unknown>
    const [rejected = 0] = Object.entries(partial)
      .filter(([name]) => name.startsWith('rejected'))
      .map(([, count]) => Number(count))
    return rejected
  }

  /** The requests that the tool makes of the files of a tenant. */
  async function replay(tenant: string): Promise<Uint8Array[]> {
    const folder = join(dataDir, 'replayed', tenant)
    const flags = [`--data-dir=${dataDir}`, `--tenant=${tenant}`, `--to=file:${folder}`]
    await run(process.execPath, [COMMAND, 'replay', ...flags])
    const names = await readdir(folder)
    return Promise.all(names.map((name) => readFile(join(folder, name))))
  }
})
