import assert from 'node:assert/strict'
import { rmSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'

import type { VerifyReport } from '@tributary/common/verify/verify-report'

import { runCommandLine } from '../../src/command-line.ts'
import { MemoryTerminal } from '../memory-terminal.ts'
import { StoreFixture } from '../store-fixture.ts'

describe('tributary verify', () => {
  let store: StoreFixture

  beforeEach(() => {
    store = new StoreFixture()
  })

  afterEach(() => {
    store.remove()
  })

  async function verify(...flags: readonly string[]) {
    const terminal = new MemoryTerminal()
    const args = ['verify', '--data-dir', store.dataDir, ...flags]
    return { status: await runCommandLine(args, terminal, '0'), terminal }
  }

  it('proves commits without files, with status 0', async () => {
    await store.commit()
    await store.commit()
    const { status, terminal } = await verify()
    assert.equal(status, 0, terminal.outText)
    assert.match(terminal.outText, /store-1 +standalone +0 +2 +20 +0 /)
    assert.match(terminal.outText, /\nproved: 0 files, 0 B, 0 rows in 1 chains\n$/)
  })

  it('names the missing commit and the missing file, with status 1', async () => {
    const [first = ''] = await store.commit()
    const [file = ''] = await store.commit({ sql: 'SELECT 1 AS x', rows: 1 })
    rmSync(join(store.root, first))
    rmSync(join(store.root, file))
    const { status, terminal } = await verify()
    assert.equal(status, 1)
    assert.match(terminal.outText, /\n {2}gap /)
    assert.match(terminal.outText, new RegExp(`\\n {2}file_missing {2}${file}\\n`))
    assert.match(terminal.outText, /\nNOT proved: /)
  })

  it('writes the same report as JSON', async () => {
    const [file = ''] = await store.commit({ sql: 'SELECT 1 AS x', rows: 1 })
    store.write(file, Buffer.from('PAR1'))
    const { status, terminal } = await verify('--json', '--no-contents')
    assert.equal(status, 1)
    const report = JSON.parse(terminal.outText) as VerifyReport
    const sizes = report.problems.filter(({ kind }) => kind === 'file_size')
    assert.deepEqual(
      sizes.map(({ key }) => key),
      [file],
    )
  })

  it('calls an object that no commit names a problem only past the grace', async () => {
    const [file = ''] = await store.commit({ sql: 'SELECT 1 AS x', rows: 1 })
    const orphan = file.replace(/[0-9a-f]{16}\.parquet$/, '0000000000000000.parquet')
    utimesSync(store.write(orphan, Buffer.from('x')), 1, Date.now() / 1000 - 7200)
    const reportWith = async (grace: string): Promise<VerifyReport> => {
      const { terminal } = await verify('--json', '--no-contents', '--grace', grace)
      return JSON.parse(terminal.outText) as VerifyReport
    }
    const patient = await reportWith('3h')
    assert.deepEqual(
      patient.pending.map(({ key }) => key),
      [orphan],
    )
    const strict = await reportWith('1h')
    assert.deepEqual(
      strict.problems.filter(({ kind }) => kind === 'orphan').map(({ key }) => key),
      [orphan],
    )
  })
})
