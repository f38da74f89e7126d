/** A development cluster on this machine: started, used, stopped, killed, and gone on with. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { endWithUs } from '@tributary/common/testing/end-with-us'

import { untilSo } from '../src/cluster/small-cluster.ts'

const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const START_TIMEOUT_MS = 90_000

let folder: string

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-up-test-'))
})

after(() => {
  rmSync(folder, { recursive: true, force: true })
})

class UpProcess {
  readonly #child: ChildProcess
  readonly #exited: Promise<number>
  text = ''

  /** @param path where programs are looked for; default: as here */
  constructor(flags: readonly string[] = [], path = process.env['PATH']) {
    const standard = [
      '--routers=2',
      '--ingesters=2',
      '--partitions=4',
      '--servers=local',
      '--otlp-grpc-port=0',
      '--otlp-http-port=0',
      '--flush-interval=1h',
      '--status-interval=500ms',
      `--data-dir=${folder}/up`,
    ]
    const given = new Set(flags.map((flag) => flag.split('=')[0]))
    const rest = standard.filter((flag) => !given.has(flag.split('=')[0]))
    this.#child = spawn(process.execPath, [COMMAND, 'up', ...rest, ...flags], {
      env: { ...process.env, PATH: path },
    })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('data', (chunk: Buffer) => (this.text += chunk.toString('utf8')))
    }
    this.#exited = once(this.#child, 'exit').then(([status, signal]: unknown[]) =>
      typeof status === 'number' ? status : signal === 'SIGKILL' ? 137 : -1,
    )
    endWithUs(this.#child)
  }

  get pid(): number {
    return this.#child.pid!
  }

  get exited(): Promise<number> {
    return this.#exited
  }

  async until(pattern: RegExp): Promise<RegExpExecArray> {
    const ended = this.#exited.then((status) => {
      throw new Error(`ended with ${status}:\n${this.text}`)
    })
    ended.catch(() => undefined)
    const seen = untilSo(
      () => Promise.resolve(this.text),
      (text) => pattern.test(text),
      START_TIMEOUT_MS,
    )
    await Promise.race([seen, ended])
    return pattern.exec(this.text)!
  }

  signal(signal: NodeJS.Signals): Promise<number> {
    this.#child.kill(signal)
    return this.#exited
  }
}

/** Command lines of living processes that work in the folder. */
function leftovers(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
        return words.includes(folder) ? [words] : []
      } catch {
        return []
      }
    })
}

async function sendLogs(up: UpProcess, router: string, mark: string): Promise<void> {
  const [, url] = await up.until(new RegExp(`${router} {2}OTLP/gRPC \\S+ {2}OTLP/HTTP (\\S+)`))
  const logRecords = Array.from({ length: 10 }, (_, index) => ({
    timeUnixNano: String(BigInt(Date.now()) * 1_000_000n + BigInt(index + 1)),
    body: { stringValue: `${mark}-${index}` },
  }))
  const answer = await fetch(`${url!}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] }),
  })
  assert.equal(answer.status, 200, await answer.text())
}

/** Runs the query that the cluster itself tells, with another statement. */
async function query(up: UpProcess): Promise<unknown> {
  const [, line] = await up.until(/ask with\n {2}(.*)\n/)
  const words = line!.replace(/ "select.*$/, '').split(' ')
  const variables = words.filter((word) => /^AWS_\w+=/.test(word)).map((word) => word.split('='))
  const flags = words.slice(words.indexOf('query') + 1)
  const sql = 'select count(*)::int as n, count(distinct body)::int as d from logs'
  const child = spawn(
    process.execPath,
    [COMMAND, 'query', ...flags, `--cache-dir=${folder}/cache`, sql],
    { env: { ...process.env, ...(Object.fromEntries(variables) as Record<string, string>) } },
  )
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString('utf8')))
  const [status] = (await once(child, 'close')) as [number]
  return status === 0 ? (JSON.parse(out) as unknown) : err
}

describe('tributary up', () => {
  it('starts servers of this machine and roles, takes telemetry and answers queries', async () => {
    const up = new UpProcess()
    await up.until(/2 routers and 2 ingesters are ready/)
    assert.match(up.text, /\nmade topic tributary of 4 partitions\n/)
    assert.match(up.text, /^redis: redis-server of this machine, port \d+$/m)
    assert.match(up.text, /^kafka: Java of this machine, port \d+$/m)
    assert.match(up.text, /^s3: versitygw of this machine, port \d+$/m)
    await sendLogs(up, 'router-1', 'first')
    await sendLogs(up, 'router-2', 'second')
    await untilSo(
      () => query(up),
      (rows) => JSON.stringify(rows) === '[{"n":20,"d":20}]',
      30_000,
    )
    await up.until(
      /routers 2\/2 \d+ items\/s, ingesters 2\/2 .*partitions 4\/4 owned, lag \d+ records/,
    )

    const second = new UpProcess()
    assert.equal(await second.exited, 1)
    assert.match(second.text, /another process uses this data directory/)

    assert.equal(await up.signal('SIGINT'), 0)
    assert.match(up.text, /stopping: .*\nstopped; everything is kept in /)
    assert.deepEqual(leftovers(), [])
  })

  it('goes on from what it kept, starts a role again that ends, and leaves nothing when killed', async () => {
    const up = new UpProcess()
    await up.until(/2 routers and 2 ingesters are ready/)
    assert.match(up.text, /\nfound topic tributary\n/)
    const [victim] = readdirSync('/proc').filter((pid) => {
      const path = `/proc/${pid}/cmdline`
      return (
        /^\d+$/.test(pid) &&
        existsSync(path) &&
        readFileSync(path, 'utf8').includes(`--data-dir=${folder}/up/ingester-1`)
      )
    })
    process.kill(Number(victim), 'SIGKILL')
    await up.until(/ingester-1 has ended \(SIGKILL\), starts again/)
    await sendLogs(up, 'router-1', 'third')
    await untilSo(
      () => query(up),
      (rows) => JSON.stringify(rows) === '[{"n":30,"d":30}]',
      60_000,
    )
    assert.equal(await up.signal('SIGKILL'), 137)
    await untilSo(
      () => Promise.resolve(leftovers()),
      (words) => words.length === 0,
    )
  })

  it('says what to install where nothing is there', async () => {
    const data = `--data-dir=${folder}/other`
    const none = new UpProcess(['--servers=auto', data], folder)
    assert.equal(await none.exited, 1)
    assert.match(none.text, /^no container engine runs: servers of this machine are taken\n/)
    assert.match(
      none.text,
      /there is no Redis \(remedy install it \(apt-get install redis-server\)/,
    )
    const engine = new UpProcess(['--servers=container', data], folder)
    assert.equal(await engine.exited, 1)
    assert.match(engine.text, /no container engine runs \(remedy start Docker or Podman/)
  })
})
