/**
 * `npm run loadtest -- [SCENARIO...]`: runs k6 against a router, writes per scenario a JSON summary and
 * an HTML page with plots, compares with a saved run, and asks the bucket whether it holds what k6
 * counted as accepted. Exit status 1 when a threshold, an answer or a count is wrong.
 */
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, type ParseArgsConfig } from 'node:util'

import { compareRuns, readRun, tableOf, type RunFigures } from './figures.ts'
import { SCENARIOS } from './scenarios.ts'

/** Not older: 1.0 brought TypeScript without a build step. */
const K6 = 'go.k6.io/k6@v1.8.1'
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SCRIPT = fileURLToPath(new URL('main.ts', import.meta.url))

const { values, positionals } = parsed({
  allowPositionals: true,
  options: {
    http: { type: 'string', default: process.env['HTTP'] ?? 'http://127.0.0.1:4318' },
    grpc: { type: 'string', default: process.env['GRPC'] ?? '127.0.0.1:4317' },
    scale: { type: 'string', default: '1' },
    'time-scale': { type: 'string', default: '1' },
    'p99-factor': { type: 'string', default: '1' },
    runs: { type: 'string', default: '1' },
    out: { type: 'string', default: 'loadtest-results' },
    baseline: { type: 'string' },
    'data-dir': { type: 'string' },
    'object-store': { type: 'string', ...fromEnvironment('TRIBUTARY_OBJECT_STORE') },
    'object-store-endpoint': {
      type: 'string',
      ...fromEnvironment('TRIBUTARY_OBJECT_STORE_ENDPOINT'),
    },
    'no-check': { type: 'boolean', default: false },
    wait: { type: 'string', default: '120' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

/** The default of a flag where the environment has one. */
function fromEnvironment(name: string): { readonly default?: string } {
  const value = process.env[name]
  return value === undefined ? {} : { default: value }
}

/** What a user typed wrong is a sentence, not a stack. */
function parsed<const Config extends ParseArgsConfig>(config: Config) {
  try {
    return parseArgs(config)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`)
    process.exit(2)
  }
}

const HELP = `npm run loadtest -- [flags] [SCENARIO...]      without a name: smoke
  --list              the scenarios
  --http URL          OTLP/HTTP of the router        --grpc HOST:PORT  OTLP/gRPC of the router
                      (or HTTP, GRPC and TRIBUTARY_OBJECT_STORE... of the environment)
  --scale N           multiplies all rates: 0.05 suits a laptop
  --time-scale N      multiplies how long each scenario lasts
  --p99-factor N      multiplies the thresholds on latency
  --runs N            of each scenario; a table of medians and spreads at the end
  --out DIR           summaries (JSON) and pages (HTML), default loadtest-results
  --baseline DIR      compare with the summaries of an earlier run
  --data-dir, --object-store, --object-store-endpoint   where the rows are counted, as tributary query
  --wait N            seconds until the rows must be in files, default 120
  --no-check          do not count rows in the bucket
`

if (values.help) process.stdout.write(HELP)
else if (values.list) {
  for (const [name, { description }] of Object.entries(SCENARIOS)) {
    process.stdout.write(`${name.padEnd(22)}${description}\n`)
  }
} else {
  const names = positionals.length === 0 ? ['smoke'] : positionals
  const unknown = names.filter((name) => !Object.hasOwn(SCENARIOS, name))
  if (unknown.length > 0) {
    process.stderr.write(`unknown scenario ${unknown.join(', ')}; --list shows them\n`)
    process.exitCode = 2
  } else if (!/^[1-9]\d*$/.test(values.runs)) {
    process.stderr.write('--runs takes a whole number, 1 or more\n')
    process.exitCode = 2
  } else process.exitCode = runAll(names) ? 0 : 1
}

function runAll(names: readonly string[]): boolean {
  const out = resolve(values.out)
  mkdirSync(out, { recursive: true })
  const finished: RunFigures[] = []
  let isGood = true
  for (const name of names) {
    for (let run = 1; run <= Number(values.runs); run++) {
      const figures = runScenario(name, join(out, run === 1 ? name : `${name}-${run}`))
      if (figures !== undefined) finished.push(figures)
      const problems = figures === undefined ? ['k6 did not finish'] : judge(name, figures)
      for (const problem of problems) process.stdout.write(`${name}: ${problem}\n`)
      if (problems.length > 0) isGood = false
    }
  }
  const table = tableOf(finished)
  writeFileSync(join(out, 'table.md'), table)
  process.stdout.write(`${table}results: ${out}\n`)
  return isGood
}

function judge(name: string, figures: RunFigures): string[] {
  const problems = figures.failedThresholds.map((threshold) => `threshold missed: ${threshold}`)
  if (!values['no-check']) problems.push(...checkRows(figures))
  if (values.baseline !== undefined) {
    const path = join(values.baseline, `${name}.json`)
    if (existsSync(path)) process.stdout.write(compareRuns(readRun(path), figures))
    else process.stdout.write(`${name}: no ${path} to compare with\n`)
  }
  return problems
}

/** @param base path of its files, without their endings */
function runScenario(name: string, base: string): RunFigures | undefined {
  const summary = `${base}.json`
  const variables = {
    SCENARIO: name,
    HTTP: values.http,
    GRPC: values.grpc,
    SCALE: values.scale,
    TIME_SCALE: values['time-scale'],
    P99_FACTOR: values['p99-factor'],
    RUN: randomUUID(),
    SUMMARY: summary,
  }
  const flags = Object.entries(variables).flatMap(([key, value]) => ['-e', `${key}=${value}`])
  const k6 = spawnSync(findK6(), ['run', '--no-usage-report', '--quiet', ...flags, SCRIPT], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      K6_WEB_DASHBOARD: 'true',
      K6_WEB_DASHBOARD_PORT: '-1',
      K6_WEB_DASHBOARD_PERIOD: '1s',
      K6_WEB_DASHBOARD_EXPORT: `${base}.html`,
    },
  })
  // 99: thresholds were missed, which the summary tells
  if (k6.error !== undefined || (k6.status !== 0 && k6.status !== 99)) return undefined
  const figures = readRun(summary)
  writeFileSync(`${base}.txt`, figures.text)
  process.stdout.write(figures.text)
  return figures
}

/** The program that K6 names, one on the path, or one built with Go into the cache folder. */
function findK6(): string {
  const given = process.env['K6']
  if (given !== undefined) return given
  if (spawnSync('k6', ['version']).status === 0) return 'k6'
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tributary', 'bin')
  const built = join(cache, 'k6')
  if (existsSync(built)) return built
  process.stdout.write('building k6 with Go, about a minute\n')
  const env = { ...process.env, GOBIN: cache }
  if (spawnSync('go', ['install', K6], { env, stdio: 'inherit' }).status === 0) return built
  throw new Error(`k6 is missing: install it (https://k6.io), set K6, or run: go install ${K6}`)
}

/** Acknowledged rows must be there; those without an answer may be. */
function checkRows({ run, acceptedItems, unknownItems }: RunFigures): string[] {
  if (acceptedItems === 0) return []
  const deadline = Date.now() + Number(values.wait) * 1000
  let stored = countRows(run)
  while (stored < acceptedItems && Date.now() < deadline) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000)
    stored = countRows(run)
  }
  process.stdout.write(
    `rows: ${acceptedItems} acknowledged, ${stored} stored, ${unknownItems} without an answer\n`,
  )
  if (stored < acceptedItems) return [`${acceptedItems - stored} acknowledged rows are missing`]
  if (stored > acceptedItems + unknownItems) return [`${stored - acceptedItems} rows too many`]
  return []
}

function countRows(run: string): number {
  const perView = ['logs', 'spans', 'metrics'].map((view) => {
    const sql = `select count(*) as rows from ${view} where "resource.loadtest.run" = '${run}'`
    return countIn(sql)
  })
  return perView.reduce((sum, rows) => sum + rows, 0)
}

/** A view without a row of a load test has no such column: that counts as none. */
function countIn(sql: string): number {
  const flags = (['data-dir', 'object-store', 'object-store-endpoint'] as const).flatMap((name) =>
    values[name] === undefined ? [] : [`--${name}`, values[name]],
  )
  const query = spawnSync('npx', ['tributary', 'query', ...flags, '--format', 'json', sql], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  if (query.status === 0) return (JSON.parse(query.stdout) as { rows: number }[])[0]?.rows ?? 0
  if (query.stderr.includes('loadtest.run')) return 0
  throw new Error(`the rows can not be counted: ${query.stderr.trim()}`)
}
