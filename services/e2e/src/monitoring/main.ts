/**
 * `npm run alerts`: alerts of a real Prometheus over a real cluster under load, each made to fire by the
 * fault that it is for, and to clear. Rules wait for seconds where they would wait for minutes. `--only` names
 * some faults.
 */
import { parseArgs } from 'node:util'

import { ALERT_SCENES, type AlertScene } from './alert-scenes.ts'
import { STANDALONE_SCENES } from './standalone-scenes.ts'
import { WatchedCluster, type WatchedClusterOptions } from './watched-cluster.ts'

const { values } = parseArgs({ options: { only: { type: 'string' } } })

const WINDOW_SECONDS = 15
const HOLD_SECONDS = 3
const FIRE_TIMEOUT_MS = 90_000
const CLEAR_TIMEOUT_MS = 120_000
const PANELS_TIMEOUT_MS = 60_000

/** Times and sizes that a run of minutes can reach. */
const REPLACED: Readonly<Record<string, readonly [string, string]>> = {
  TributaryRestarting: ['[15m]', '[60s]'],
  TributaryEventLoopHeld: ['> 2', '> 1'],
  TributaryRouterWithoutRedis: ['> 30', '> 6'],
  TributaryIngesterWithoutRedis: ['> 15', '> 6'],
  TributaryLagging: ['> 300', '> 10'],
  TributaryLagThreatensRetention: ['> 6 * 3600', '> 15'],
  TributaryFreshnessStale: ['> 600', '> 12'],
  TributaryUnflushedOld: ['> 300', '> 8'],
  TributaryStoreSlow: ['> 20', '> 2'],
}

const RULES = { holdSeconds: HOLD_SECONDS, windowSeconds: WINDOW_SECONDS, replaced: REPLACED }
const CLUSTER = { routers: 2, ingesters: 2, partitions: 4, rules: RULES }
const STANDALONE = { isStandalone: true, routers: 0, ingesters: 0, partitions: 1, rules: RULES }

const problems: string[] = []
await playAll(CLUSTER, ALERT_SCENES, true)
await playAll(STANDALONE, STANDALONE_SCENES, false)
for (const problem of problems) say(`! ${problem}`)
say(problems.length === 0 ? 'each alert fired by its fault and cleared' : 'not all is well')
// not by exitCode: Node's own cleanup waits for ever where a socket was reset in a bad moment
process.exit(problems.length === 0 ? 0 : 1)

async function playAll(
  options: WatchedClusterOptions,
  all: readonly AlertScene[],
  hasPanels: boolean,
): Promise<void> {
  const scenes = all.filter(isWanted)
  if (scenes.length === 0) return
  const site = await WatchedCluster.start(options)
  try {
    if (hasPanels) {
      const missing = await site.panelsWithoutData(`${String(WINDOW_SECONDS)}s`, PANELS_TIMEOUT_MS)
      problems.push(...missing.map((panel) => `no data: ${panel}`))
      say(`panels without data: ${String(missing.length)}`)
    }
    for (const scene of scenes) {
      try {
        problems.push(...(await play(site, scene)))
      } catch (error) {
        problems.push(`${scene.fault}: ${String(error)}`)
        await site.cluster.heal()
      }
    }
  } finally {
    await site.stop()
  }
}

function isWanted({ fault }: AlertScene): boolean {
  return values.only === undefined || values.only.split(',').some((word) => fault.includes(word))
}

/** Alerts that are for a fault fire, and clear when it is over. */
async function play(
  site: WatchedCluster,
  { fault, alerts, begin, end }: AlertScene,
): Promise<string[]> {
  const names = alerts.map((name) => `Tributary${name}`)
  const before = await site.untilAlerts(names, false, CLEAR_TIMEOUT_MS)
  const startMs = performance.now()
  const begun = begin(site.cluster)
  const silent = await site.untilAlerts(names, true, FIRE_TIMEOUT_MS)
  await begun
  const firedMs = performance.now()
  const beside = [...(await site.firing())].filter((name) => !names.includes(name))
  await end(site.cluster)
  const endedMs = performance.now()
  const stuck = await site.untilAlerts(names, false, CLEAR_TIMEOUT_MS)
  const seconds = (fromMs: number): string => ((performance.now() - fromMs) / 1000).toFixed(0)
  const took = ((firedMs - startMs) / 1000).toFixed(0)
  say(`${fault}: ${alerts.join(', ')} fired within ${took} s, cleared after ${seconds(endedMs)} s`)
  if (beside.length > 0) say(`  beside them: ${beside.join(', ')}`)
  return [
    ...before.map((name) => `${fault}: ${name} fired before`),
    ...silent.map((name) => `${fault}: ${name} does not fire`),
    ...stuck.map((name) => `${fault}: ${name} does not clear`),
  ]
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
