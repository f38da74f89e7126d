import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { runCommandLine } from '../src/command-line.ts'
import { MemoryTerminal } from './memory-terminal.ts'

const BIN = fileURLToPath(new URL('../bin/tributary.mjs', import.meta.url))

async function run(...args: readonly string[]) {
  const terminal = new MemoryTerminal()
  return { status: await runCommandLine(args, terminal, '1.2.3'), terminal }
}

describe('tributary', () => {
  it('shows its commands, with status 2 when none was given', async () => {
    const none = await run()
    assert.equal(none.status, 2)
    assert.match(none.terminal.errText, /^ {2}query {2}/m)
    const help = await run('--help')
    assert.equal(help.status, 0)
    assert.equal(help.terminal.outText, none.terminal.errText)
  })

  it('shows the version', async () => {
    assert.equal((await run('--version')).terminal.outText, 'tributary 1.2.3\n')
  })

  it('refuses unknown commands, names of Object among them, with status 2', async () => {
    for (const name of ['qury', 'constructor', '__proto__', '--flag']) {
      const { status, terminal } = await run(name)
      assert.equal(status, 2)
      assert.match(terminal.errText, /unknown command/)
    }
  })

  for (const name of [
    'standalone',
    'query',
    'inspect',
    'verify',
    'replay',
    'flush',
    'conformance',
  ]) {
    it(`shows help for ${name}, and refuses an unknown flag of it with status 2`, async () => {
      const help = await run(name, '--help')
      assert.equal(help.status, 0)
      assert.match(help.terminal.outText, new RegExp(`^Usage: tributary ${name} `))
      assert.equal((await run('help', name)).terminal.outText, help.terminal.outText)
      const wrong = await run(name, '--no-such-flag')
      assert.equal(wrong.status, 2)
      assert.match(wrong.terminal.errText, /unknown flag --no-such-flag/)
    })
  }

  it('runs as a program and ends quietly when its reader goes away', () => {
    const shell = spawnSync(
      'sh',
      ['-c', `"${process.execPath}" "${BIN}" help standalone | head -n 1`],
      { encoding: 'utf8' },
    )
    assert.match(shell.stdout, /^Usage: tributary standalone/)
    assert.equal(shell.stderr, '')
  })
})
