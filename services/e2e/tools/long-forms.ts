/**
 * The long forms of the tests, one after the other, each with its own command: `npm run long`, or
 * `npm run long -- NAME...` for some (a name may be a beginning: `fuzz`). Prints a row of the table
 * in docs/long-forms.md for each; ends with 1 when one failed. What a form says goes to a file.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, globSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

import { processArguments, processEnvironment } from '@tributary/common/config/config'

const ROOT = join(import.meta.dirname, '..', '..', '..')

type Variables = Readonly<Record<string, string>>

interface LongForm {
  readonly name: string
  readonly variables: () => Variables
  readonly command: readonly string[]
}

const NO_VARIABLES = (): Variables => ({})

/** Node kills a test after 10 minutes in `npm test`; here nothing but the form itself ends it. */
const TEST = ['node', '--test', '--test-timeout=86400000'] as const

/** Of each file; its tests share them. */
const FUZZ_SECONDS = 900

const FUZZ_FORMS: readonly LongForm[] = globSync('services/*/test/**/*.fuzz.test.ts', { cwd: ROOT })
  .sort()
  .map((path) => ({
    name: `fuzz-${basename(path, '.fuzz.test.ts')}`,
    variables: () => ({ FUZZ_SECONDS: String(Math.ceil(FUZZ_SECONDS / testsOf(path))) }),
    command: [...TEST, path],
  }))

const FORMS: readonly LongForm[] = [
  ...FUZZ_FORMS,
  {
    name: 'round-trip',
    variables: () => ({ ROUND_TRIP_REQUESTS: '10000' }),
    command: [...TEST, 'services/e2e/test/round-trip.test.ts'],
  },
  {
    name: 'crash',
    variables: NO_VARIABLES,
    command: ['npm', 'run', '--silent', 'crash', '--', '--cycles', '300'],
  },
  {
    name: 'wal-exhaustive',
    variables: () => ({ WAL_EXHAUSTIVE: '1' }),
    command: [...TEST, 'services/ingester/test/wal/damage.test.ts'],
  },
  {
    name: 'idle-connections',
    variables: () => ({ IDLE_CONNECTIONS: '10000' }),
    command: [...TEST, 'services/router/test/receive/attacks.test.ts'],
  },
  {
    name: 'wiped-index',
    variables: NO_VARIABLES,
    command: ['npm', 'run', '--silent', 'wiped-index'],
  },
  { name: 'spark', variables: NO_VARIABLES, command: ['npm', 'run', '--silent', 'test:spark'] },
]

const wanted = processArguments()
const chosen = FORMS.filter(
  ({ name }) => wanted.length === 0 || wanted.some((start) => name.startsWith(start)),
)
if (chosen.length === 0) {
  process.stderr.write(`no such form; there are: ${FORMS.map(({ name }) => name).join(', ')}\n`)
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'tributary-long-'))
process.stdout.write(`what they say goes to ${folder}\n`)
process.stdout.write(
  '| form | command | outcome | minutes | date | commit |\n|---|---|---|---|---|---|\n',
)
for (const form of chosen) {
  const startMs = performance.now()
  const variables = form.variables()
  const status = await run(form, variables)
  const minutes = ((performance.now() - startMs) / 60_000).toFixed(1)
  const outcome = status === 0 ? 'passed' : `**failed** (${String(status)})`
  const cells = [
    form.name,
    `\`${commandText(form, variables)}\``,
    outcome,
    minutes,
    today(),
    commit(),
  ]
  process.stdout.write(`| ${cells.join(' | ')} |\n`)
  if (status !== 0) process.exitCode = 1
}

async function run({ name, command: [program = '', ...args] }: LongForm, variables: Variables) {
  const log = createWriteStream(join(folder, `${name}.log`))
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...processEnvironment(), ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.pipe(log, { end: false })
  child.stderr.pipe(log, { end: false })
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  log.end()
  return code ?? signal
}

function commandText({ command }: LongForm, variables: Variables): string {
  const shown = command.filter((word) => word !== TEST[2] && word !== '--silent')
  return [...Object.entries(variables).map((pair) => pair.join('=')), ...shown].join(' ')
}

/** By a run that is over at once. */
function testsOf(path: string): number {
  const [program, ...args] = [...TEST, '--test-reporter=tap', path]
  const { stdout } = spawnSync(program, args, {
    cwd: ROOT,
    env: { ...processEnvironment(), FUZZ_SECONDS: '0.01' },
    encoding: 'utf8',
  })
  return Number(/^# tests (\d+)$/m.exec(stdout)?.[1] ?? 1)
}

function today(): string {
  return new Date().toISOString().slice(0, 10)
}

function commit(): string {
  return spawnSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: ROOT,
    encoding: 'utf8',
  }).stdout.trim()
}
