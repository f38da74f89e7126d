/**
 * Has Spark read a file of every column type and compares each value: `npm run test:spark`. Installs
 * pyspark (300 MB) into .venv when it is missing; needs Java 17 or newer. Not part of `npm test`: it takes 20 seconds.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PIN = 'pyspark==4.1.1'
const ROOT = join(import.meta.dirname, '..', '..', '..')
const PYTHON = process.env.TRIBUTARY_PYTHON || join(ROOT, '.venv', 'bin', 'python')
const PARQUET_TESTS = join(ROOT, 'services', 'common', 'test', 'parquet')

run(process.execPath, [join(import.meta.dirname, 'foreign-readers.mjs')])
const isThere = `import importlib.metadata as m, sys; sys.exit(m.version('pyspark') != '${PIN.split('==')[1]}')`
if (spawnSync(PYTHON, ['-c', isThere]).status !== 0) {
  run(PYTHON, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', PIN])
}
const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', 'java') : 'java'
if (spawnSync(java, ['-version']).status !== 0) fail('apt-get install -y openjdk-17-jre-headless')

const folder = mkdtempSync(join(tmpdir(), 'tributary-spark-'))
try {
  run(process.execPath, [join(PARQUET_TESTS, 'spark-fixture.ts'), folder])
  run(PYTHON, [join(PARQUET_TESTS, 'spark-check.py'), folder])
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function run(command, args) {
  const result = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (result.status !== 0) fail(`${command} ${args.join(' ')}`)
}

function fail(line) {
  process.stderr.write(
    `Spark can not check our files; this line failed, run it by hand:\n  ${line}\n`,
  )
  process.exit(1)
}
