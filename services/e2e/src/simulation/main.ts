/**
 * `npm run simulate -- --seeds 1000 --from 1`: runs seeds of the simulation until one violates an
 * invariant, or all of them.
 *
 *   --jobs 2       in so many processes
 *   --bug NAME     with a deliberate bug: ends at the first seed that finds it
 *   --list         the deliberate bugs
 *   --trace        what happened, line by line: for one seed
 *   --json         one line of JSON instead of text
 */
import { spawn } from 'node:child_process'
import { parseArgs } from 'node:util'
import { BUGS } from './bugs.ts'
import { emptyReport, merged, reportLines, withOutcome, type Report } from './report.ts'
import { runSeed } from './simulate.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '1' },
    bug: { type: 'string' },
    list: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const PROGRESS_SEEDS = 5000

// thousands of errors a second are made and handled as they should be: their stacks are a fifth of the time
Error.stackTraceLimit = 0
if (values.list) {
  for (const [name, { what }] of Object.entries(BUGS)) say(`${name.padEnd(28)} ${what}`)
} else {
  const startMs = performance.now()
  const seeds = Number(values.seeds)
  const from = Number(values.from)
  const jobs = Math.min(Number(values.jobs), seeds)
  const report = jobs > 1 ? await runJobs(from, seeds, jobs) : await runSeeds(from, seeds)
  const seconds = (performance.now() - startMs) / 1000
  if (values.json) say(JSON.stringify({ ...report, seconds }))
  else for (const line of reportLines(report, seconds)) say(line)
  process.exitCode = report.violations.length === 0 ? 0 : 1
}

async function runSeeds(from: number, seeds: number): Promise<Report> {
  let report = emptyReport()
  const startCpu = process.cpuUsage()
  for (let seed = from; seed < from + seeds; seed++) {
    const outcome = await runSeed(seed, {
      isTraceKept: values.trace,
      ...(values.bug === undefined ? {} : { bug: values.bug }),
    })
    report = withOutcome(report, outcome)
    for (const line of outcome.lines) say(line)
    if (values.bug !== undefined && outcome.violations.length > 0) break
    const done = seed - from + 1
    if (done % PROGRESS_SEEDS === 0) {
      const text = `${String(done)} seeds from ${String(from)}, ${String(report.violations.length)} with violations`
      process.stderr.write(`${text}\n`)
    }
  }
  const { user, system } = process.cpuUsage(startCpu)
  return { ...report, cpuSeconds: (user + system) / 1e6 }
}

/** Shares the seeds among processes of the same command. */
async function runJobs(from: number, seeds: number, jobs: number): Promise<Report> {
  const share = Math.ceil(seeds / jobs)
  const parts = Array.from({ length: jobs }, (_, job) => {
    const count = Math.max(0, Math.min(share, seeds - job * share))
    return runChild(from + job * share, count)
  })
  return (await Promise.all(parts)).reduce(merged)
}

function runChild(from: number, seeds: number): Promise<Report> {
  const options = ['--json', '--from', String(from), '--seeds', String(seeds)]
  if (values.bug !== undefined) options.push('--bug', values.bug)
  const child = spawn(process.execPath, [import.meta.filename, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0 || code === 1) resolve(JSON.parse(output) as Report)
      else reject(new Error(`a job ended with ${String(code)}`))
    })
  })
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
