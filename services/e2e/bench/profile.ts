/**
 * `npm run profile -- [decode] [flush] [standalone] [--out FOLDER] [--seconds N]`: CPU and heap
 * profiles for Chrome's developer tools, and the ten dearest functions of every busy thread.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { formatTable } from '@tributary/common/bench/bench-harness'

import { runLoad } from '../src/load/load-run.ts'
import { grpcTransport } from '../src/load/load-transport.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'
import {
  dearestFunctions,
  largestAllocators,
  profilesIn,
  type FunctionCost,
} from './cpu-profile.ts'
import { poolOf } from './standalone-session.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
const TOP = 10
/** Threads that were busy for less are not shown. */
const BUSY_MS_MIN = 100

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string' },
    seconds: { type: 'string', default: '10' },
  },
})
const seconds = Number(values.seconds)
const out = resolve(values.out ?? mkdtempSync(join(tmpdir(), 'tributary-profiles-')))

function profileFlags(folder: string): string[] {
  return [
    '--cpu-prof',
    `--cpu-prof-dir=${folder}`,
    '--heap-prof',
    `--heap-prof-dir=${folder}`,
    '--heap-prof-interval=16384',
  ]
}

function profileBench(folder: string, path: string, args: readonly string[]): void {
  const command = [...profileFlags(folder), join(ROOT, path), ...args]
  const { status } = spawnSync(process.execPath, command, {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error(`${path} failed`)
}

/** Load over gRPC, a graceful stop at the end: only then profiles are written. */
async function profileStandalone(folder: string): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'tributary-profile-data-'))
  const server = await StandaloneProcess.start({
    dataDir,
    environment: { NODE_OPTIONS: profileFlags(folder).join(' ') },
  })
  try {
    const pool = poolOf({ signal: 'logs', records: 1000, resources: 10, requests: 100 })
    const transport = grpcTransport(`127.0.0.1:${server.grpcPort}`, 'logs', 4)
    const load = await runLoad({ pool, transport, seconds, rate: undefined, inFlight: 8 })
    transport.close()
    await server.flush()
    process.stdout.write(`${load.recordsPerSecond} records/s under the profiler\n`)
    await server.stop()
  } finally {
    await server.kill()
    await rm(dataDir, { recursive: true, force: true })
  }
}

const SUBJECTS: Readonly<Record<string, (folder: string) => void | Promise<void>>> = {
  decode: (folder) => {
    profileBench(folder, 'services/ingester/bench/flush-loop.ts', ['decode', String(seconds)])
  },
  flush: (folder) => {
    profileBench(folder, 'services/ingester/bench/flush-loop.ts', ['flush', String(seconds)])
  },
  standalone: profileStandalone,
}

function print(title: string, costs: readonly FunctionCost[], unit: string): void {
  const lines = costs.map(({ name, percent, amount }) => [
    name,
    `${percent.toFixed(1)} %`,
    `${Math.round(amount).toLocaleString('en')} ${unit}`,
  ])
  process.stdout.write(`\n${formatTable([title, 'share', 'self'], lines)}\n`)
}

const names = positionals.length > 0 ? positionals : Object.keys(SUBJECTS)
for (const name of names) {
  const subject = SUBJECTS[name]
  if (subject === undefined) throw new Error(`profile one of ${Object.keys(SUBJECTS).join(', ')}`)
  const folder = join(out, name)
  mkdirSync(folder, { recursive: true })
  process.stdout.write(`\n== ${name}: profiles in ${folder}\n`)
  await subject(folder)
  for (const path of profilesIn(folder, 'cpuprofile')) {
    const costs = dearestFunctions(path, TOP)
    const busyMs = costs.length > 0 ? (100 * costs[0]!.amount) / costs[0]!.percent : 0
    if (busyMs >= BUSY_MS_MIN) print(`CPU, ${basename(path)}`, costs, 'ms')
  }
  for (const path of profilesIn(folder, 'heapprofile')) {
    print(`heap, ${basename(path)}`, largestAllocators(path, TOP), 'B')
  }
}
