import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import {
  boolean,
  bytes,
  choice,
  duration,
  integer,
  port,
  text,
  url,
} from '../../src/config/setting.ts'
import { settingsHelp } from '../../src/config/setting-report.ts'
import { parseSettings, settingProblems } from '../../src/config/setting-table.ts'
import type { ParseOptions } from '../../src/config/setting-table.ts'

const table = {
  adminPort: port({ default: 9464, sentence: 'Port.' }),
  flushIntervalMs: duration({ default: 60_000, min: 100, max: 86_400_000, sentence: 'Age.' }),
  flushBytes: bytes({ default: 64 * 2 ** 20, min: 1024, max: 2 ** 32, sentence: 'Size.' }),
  flushWorkers: integer({ default: 1, min: 1, max: 8, sentence: 'Threads.' }),
  walSync: choice(['always', 'group', 'none'], { default: 'group', sentence: 'Sync.' }),
  retryRemoval: boolean({ default: true, sentence: 'Once.' }),
  dataDir: text({ default: './data', sentence: 'Folder.' }),
  objectStore: url({ default: undefined, schemes: ['file', 's3'], sentence: 'Store.' }),
}

function parse(options: ParseOptions<typeof table>) {
  return parseSettings(table, options).config
}

function problemsOf(options: ParseOptions<typeof table>): readonly string[] {
  try {
    parse(options)
  } catch (error) {
    return settingProblems(error)
  }
  return []
}

describe('parseSettings', () => {
  it('takes defaults when nothing is given', () => {
    assert.deepEqual(parse({}), {
      adminPort: 9464,
      flushIntervalMs: 60_000,
      flushBytes: 64 * 2 ** 20,
      flushWorkers: 1,
      walSync: 'group',
      retryRemoval: true,
      dataDir: './data',
      objectStore: undefined,
    })
  })

  it('lets a flag beat a variable', () => {
    const environment = { TRIBUTARY_FLUSH_INTERVAL: '5s', TRIBUTARY_ADMIN_PORT: '1' }
    const config = parse({ environment, args: ['--flush-interval', '1500ms'] })
    assert.equal(config.flushIntervalMs, 1500)
    assert.equal(config.adminPort, 1)
  })

  it('reads every unit of sizes and durations', () => {
    for (const [written, value] of Object.entries({
      '2048': 2048,
      '2KiB': 2048,
      '2kB': 2000,
      '1.5MiB': 1.5 * 2 ** 20,
      '1GB': 1e9,
      '1GiB': 2 ** 30,
    })) {
      assert.equal(parse({ args: [`--flush-bytes=${written}`] }).flushBytes, value)
    }
    for (const [written, value] of Object.entries({
      '100ms': 100,
      '2s': 2000,
      '0.5m': 30_000,
      '1h': 3_600_000,
      '1d': 86_400_000,
    })) {
      assert.equal(parse({ args: [`--flush-interval=${written}`] }).flushIntervalMs, value)
    }
  })

  it('takes booleans with and without value, and negated', () => {
    assert.equal(parse({ args: ['--retry-removal'] }).retryRemoval, true)
    assert.equal(parse({ args: ['--no-retry-removal'] }).retryRemoval, false)
    assert.equal(parse({ args: ['--retry-removal=false'] }).retryRemoval, false)
  })

  it('reports all problems at once', () => {
    const problems = problemsOf({
      environment: { TRIBUTARY_WAL_SYNC: 'sometimes' },
      args: [
        '--admin-port=70000',
        '--flush-interval',
        '60',
        '--flush-bytes=1XB',
        '--flush-worker=2',
        '--object-store=/tmp/x',
        '-x',
        'stray',
        '--data-dir',
      ],
    })
    assert.deepEqual(problems, [
      'TRIBUTARY_WAL_SYNC must be one of always, group, none, not "sometimes"',
      '--admin-port must be 0 to 65535, not "70000"',
      '--flush-interval must be a duration such as 500ms, 60s, 10m, 1h or 7d, not "60"',
      '--flush-bytes must be a size such as 1048576, 64MiB or 1GB, not "1XB"',
      'unknown flag --flush-worker, did you mean --flush-workers?',
      '--object-store must be a URL that starts with file:// or s3://, not "/tmp/x"',
      'unknown flag -x',
      '--data-dir needs a value',
      'unexpected "stray"',
    ])
  })

  it('refuses values past the bounds, twice-given flags and fractions of a byte', () => {
    assert.equal(problemsOf({ args: ['--flush-workers=9'] }).length, 1)
    assert.equal(problemsOf({ args: ['--flush-workers=-1'] }).length, 1)
    assert.equal(problemsOf({ args: ['--flush-workers=1', '--flush-workers=2'] }).length, 1)
    assert.equal(problemsOf({ args: ['--flush-bytes=1024.5'] }).length, 1)
    assert.equal(problemsOf({ args: ['--data-dir='] }).length, 1)
  })

  it('ignores variables that Kubernetes sets for a service of that name', () => {
    assert.deepEqual(problemsOf({ environment: { TRIBUTARY_PORT: 'tcp://10.0.0.1:4317' } }), [])
  })

  it('checks relations once the single values are good', () => {
    const relations = [(config: { flushWorkers: number }) => `workers ${config.flushWorkers}`]
    assert.deepEqual(problemsOf({ relations, args: ['--flush-workers=2'] }), ['workers 2'])
  })

  it('tells positionals from flags, also after --', () => {
    const parsed = parseSettings(table, {
      args: ['--flush-workers', '2', 'select 1', '--', '--x'],
      positionals: ['SQL', 'OTHER?'],
    })
    assert.deepEqual(parsed.positionals, ['select 1', '--x'])
    assert.deepEqual(problemsOf({ positionals: ['SQL'] }), ['missing SQL'])
  })

  it('finds help anywhere but after --', () => {
    assert.equal(parseSettings(table, { args: ['--nonsense', '--help'] }).isHelpWanted, true)
    assert.equal(
      parseSettings(table, { args: ['--', '-h'], positionals: ['X'] }).isHelpWanted,
      false,
    )
  })
})

describe('settingsHelp', () => {
  it('shows flag, sentence, choices and default', () => {
    const help = settingsHelp([{ title: 'All', table }])
    assert.match(help, /--flush-interval <duration> {2,}Age\. \[1m\]/)
    assert.match(help, /--wal-sync <choice> {2,}Sync\. \(always, group, none\) \[group\]/)
    assert.match(help, /--retry-removal {2,}Once\. \[true\]/)
  })
})
