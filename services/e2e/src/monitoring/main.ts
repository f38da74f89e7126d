/**
 * `npm run alerts`: each alert of a real Prometheus over a real cluster under load, made to fire by the fault
 * that it is for, and to clear; at last a table of it. Rules wait for seconds where they would wait for minutes.
 * `--only` names some faults, `--docs` writes what came of them into docs/monitoring.md. Controllers need an API server of
 * Kubernetes: TRIBUTARY_KUBERNETES_TOOLS.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'

import { testKubernetes } from '@tributary/common/config/config'

import { withMeasured } from '../measured-page.ts'
import { alertRules } from './alert-rules.ts'
import { ALERT_SCENES, type AlertScene } from './alert-scenes.ts'
import { CONTROLLER_SCENES } from './controller-scenes.ts'
import { firedRows } from './fired-alerts.ts'
import { LOAD_SCENES } from './load-scenes.ts'
import { STANDALONE_SCENES } from './standalone-scenes.ts'
import { WatchedCluster, type WatchedClusterOptions } from './watched-cluster.ts'

const { values } = parseArgs({
  options: { only: { type: 'string' }, docs: { type: 'boolean', default: false } },
})

const PAGE = new URL('../../../../docs/monitoring.md', import.meta.url)
const PREFIX = 'Tributary'
const WINDOW_SECONDS = 15
const HOLD_SECONDS = 3
const FIRE_TIMEOUT_MS = 120_000
const CLEAR_TIMEOUT_MS = 150_000
const PANELS_TIMEOUT_MS = 60_000

/** Times and sizes that a run of minutes can reach. */
const REPLACED: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  // a machine that others load too answers a scrape late now and then
  TributaryTargetDown: [['up{tributary!=""}', 'max_over_time(up{tributary!=""}[6s])']],
  TributaryRestarting: [['[15m]', '[60s]']],
  TributaryEventLoopHeld: [['> 2', '> 1']],
  TributaryMemoryGrows: [
    ['offset 6h', 'offset 30s'],
    ['512 * 1024 * 1024', '128 * 1024 * 1024'],
  ],
  TributaryRouterWithoutRedis: [['> 30', '> 6']],
  TributaryRouterSpendsMoreCpu: [
    ['> 100e-6', '> 30e-6'],
    ['> 1000', '> 800'],
  ],
  TributaryIngesterSpendsMoreCpu: [
    ['> 200e-6', '> 50e-6'],
    ['> 1000', '> 800'],
  ],
  TributaryIngesterWithoutRedis: [['> 15', '> 6']],
  TributaryFlushQueueBacksUp: [['> 10', '> 1']],
  TributaryLagging: [['> 300', '> 10']],
  TributaryLagThreatensRetention: [['> 6 * 3600', '> 15']],
  TributaryFreshnessStale: [['> 600', '> 12']],
  TributaryUnflushedOld: [['> 300', '> 8']],
  TributaryStoreSlow: [['> 20', '> 2']],
}

/** What came of an alert, seconds; undefined: not in time. */
interface Outcome {
  readonly alert: string
  readonly fault: string
  readonly fired: number | undefined
  readonly cleared: number | undefined
}

const RULES = { holdSeconds: HOLD_SECONDS, windowSeconds: WINDOW_SECONDS, replaced: REPLACED }
const CLUSTER: WatchedClusterOptions = {
  ...{ routers: 2, ingesters: 2, partitions: 4, rules: RULES },
  controllers: testKubernetes().tools === undefined ? 'nobody answers' : 'api server',
}
const STANDALONE: WatchedClusterOptions = {
  ...{ isStandalone: true, routers: 0, ingesters: 0, partitions: 1, rules: RULES },
}

const problems: string[] = []
const outcomes: Outcome[] = []
let panels = ''
await playAll(CLUSTER, [...CONTROLLER_SCENES, ...LOAD_SCENES, ...ALERT_SCENES], true)
await playAll(STANDALONE, STANDALONE_SCENES, false)
finish()
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
    if (hasPanels) await checkPanels(site)
    for (const scene of scenes) {
      try {
        await play(site, scene)
      } catch (error) {
        problems.push(`${scene.fault}: ${String(error)}`)
        await site.cluster.heal()
      }
    }
  } finally {
    await site.stop()
  }
}

async function checkPanels(site: WatchedCluster): Promise<void> {
  const window = `${String(WINDOW_SECONDS)}s`
  const { queries, missing } = await site.panelsWithoutData(window, PANELS_TIMEOUT_MS)
  problems.push(...missing.map((panel) => `no data: ${panel}`))
  panels = `${String(queries - missing.length)} of ${String(queries)} queries of panels have data`
  say(panels)
}

function isWanted({ fault }: AlertScene): boolean {
  return values.only === undefined || values.only.split(',').some((word) => fault.includes(word))
}

/** Alerts that are for a fault fire, and clear when it is over. */
async function play(site: WatchedCluster, scene: AlertScene): Promise<void> {
  const { fault, begin, end, whileClearing } = scene
  const names = scene.alerts.map((name) => `${PREFIX}${name}`)
  const before = await site.untilAlerts(names, false, CLEAR_TIMEOUT_MS)
  problems.push(...before.map((name) => `${fault}: ${name} fired before`))
  const [fired] = await Promise.all([
    site.secondsUntil(names, true, FIRE_TIMEOUT_MS),
    begin(site.cluster, site),
  ])
  const beside = [...(await site.firing())].filter((name) => !names.includes(name))
  await end(site.cluster, site)
  const better = whileClearing?.(site.cluster)
  const cleared = await site.secondsUntil(names, false, CLEAR_TIMEOUT_MS)
  await better
  for (const name of names) {
    const outcome = { fault, fired: fired.get(name), cleared: cleared.get(name) }
    outcomes.push({ alert: name.slice(PREFIX.length), ...outcome })
    say(lineOf(outcomes.at(-1)!))
    if (outcome.fired === undefined) problems.push(`${fault}: ${name} does not fire`)
    if (outcome.cleared === undefined) problems.push(`${fault}: ${name} does not clear`)
  }
  if (beside.length > 0) say(`  beside them: ${beside.join(', ')}`)
}

function finish(): void {
  if (values.only === undefined) {
    const names = new Set(outcomes.map(({ alert }) => `${PREFIX}${alert}`))
    const unplayed = alertRules().filter(({ alert }) => !names.has(alert))
    problems.push(...unplayed.map(({ alert }) => `${alert}: no scene made it fire`))
  }
  const table = ['| alert | fault | s until firing | s until clear |', '|---|---|---|---|']
  say([...table, ...outcomes.map(lineOf)].join('\n'))
  for (const problem of problems) say(`! ${problem}`)
  say(problems.length === 0 ? 'each alert fired by its fault and cleared' : 'not all is well')
  if (values.docs) writePage(table)
}

/** Rows of alerts that were not played, or did not do as they should, stay as they are. */
function writePage(head: readonly string[]): void {
  const page = readFileSync(PAGE, 'utf8')
  const rows = new Map([...firedRows(page)].map(([alert, { line }]) => [alert, line]))
  for (const outcome of outcomes) {
    const { alert, fired, cleared } = outcome
    if (fired !== undefined && cleared !== undefined) rows.set(alert, lineOf(outcome))
  }
  const lines = alertRules().flatMap(({ alert }) => rows.get(alert.slice(PREFIX.length)) ?? [])
  const date = new Date().toISOString().slice(0, 10)
  const machine = `${String(cpus().length)} x ${cpus()[0]?.model ?? 'unknown'}`
  // a run of a few scenes may have no cluster with dashboards
  panels ||= /\d+ of \d+ queries of panels have data/.exec(page)?.[0] ?? ''
  const text = [`On ${date}, ${machine}; ${panels}.\n`, ...head, ...lines].join('\n')
  writeFileSync(PAGE, withMeasured(page, { alerts: text }))
}

function lineOf({ alert, fault, fired, cleared }: Outcome): string {
  const seconds = (value: number | undefined): string => value?.toFixed(0) ?? 'never'
  return `| ${alert} | ${fault} | ${seconds(fired)} | ${seconds(cleared)} |`
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
