/**
 * Two checkouts under the same load, in turn: which one costs less. Both processes stay alive and
 * the one that is not measured does nothing, so neighbours, caches and temperature charge both alike.
 *
 *     npm run duel -- --against ../tributary-before [--rounds 5] [--seconds 3] [part of a row's name...]
 *
 * Rows are those of the standalone bench and `10-record requests, 64 connections`. Figures are
 * medians over the rounds; every row of both is counted in the files at the end.
 */
import { figureOf, formatFigure, formatTable } from '@tributary/common/bench/bench-harness'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { threadCpuUs } from './process-usage.ts'
import { SCENARIOS, SMALL_REQUESTS, type Scenario } from './standalone-scenarios.ts'
import { poolOf, StandaloneSession } from './standalone-session.ts'

type Samples = Record<string, number[]>

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    warm: { type: 'string', default: '3' },
  },
})
if (values.against === undefined) throw new Error('--against names the folder of another checkout')

const ALL: Readonly<Record<string, Scenario>> = {
  ...SCENARIOS,
  '10-record requests, 64 connections': SMALL_REQUESTS,
}

function newSamples(): Samples {
  return {}
}

async function sample(
  session: StandaloneSession,
  pool: ReturnType<typeof poolOf>,
  { shape }: Scenario,
  samples: Samples,
): Promise<void> {
  const before = threadCpuUs(session.pid)
  const { load, used } = await session.measure(pool, shape, Number(values.seconds))
  const figures: Record<string, number> = {
    cpuUsPerRecord: used.cpuUs / load.records,
    cpuUsPerRequest: used.cpuUs / load.requests,
    recordsPerSecond: load.records / load.seconds,
    p99Ms: load.latencyMs.p99,
    peakRssMb: used.peakRssBytes / 1e6,
    failures: Object.values(load.failures).reduce((sum, count) => sum + count, 0),
  }
  for (const [thread, cpuUs] of threadCpuUs(session.pid)) {
    figures[`${thread} us/request`] = (cpuUs - (before.get(thread) ?? 0)) / load.requests
  }
  for (const [status, count] of Object.entries(load.failures)) figures[status] = count
  for (const [name, value] of Object.entries(figures)) (samples[name] ??= []).push(value)
}

async function duel(name: string, scenario: Scenario): Promise<void> {
  const pool = poolOf(scenario.pool)
  const sides = await Promise.all(
    [values.against!, resolve(import.meta.dirname, '../../..')].map(async (checkout) => ({
      session: await StandaloneSession.start([], resolve(checkout)),
      samples: newSamples(),
    })),
  )
  try {
    for (const { session } of sides) {
      await session.measure(pool, scenario.shape, Number(values.warm))
    }
    for (let round = 0; round < Number(values.rounds); round++) {
      const order = round % 2 === 0 ? sides : sides.toReversed()
      for (const { session, samples } of order) await sample(session, pool, scenario, samples)
    }
    for (const { session } of sides) await session.verify()
  } finally {
    for (const { session } of sides) await session.stop()
  }
  const [before, now] = sides.map(({ samples }) => samples)
  const lines = Object.keys(before!).map((figure) => {
    const pair = [before!, now!].map((samples) => figureOf(samples[figure] ?? 0))
    const ratio = pair[1]!.median / pair[0]!.median
    return [figure, ...pair.map(formatFigure), Number.isFinite(ratio) ? ratio.toFixed(3) : '']
  })
  process.stdout.write(`\n${formatTable([name, 'against', 'this', 'ratio'], lines)}\n`)
}

for (const [name, scenario] of Object.entries(ALL)) {
  if (positionals.some((part) => name.includes(part))) await duel(name, scenario)
}
