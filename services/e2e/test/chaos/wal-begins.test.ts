import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'

import {
  COMMIT_FORMAT_VERSION,
  serializeCommitRecord,
} from '@tributary/common/commit/commit-record'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore } from '@tributary/common/object-store/object-store'
import { commitKey, logTag } from '@tributary/common/paths'
import { segmentFileName } from '@tributary/ingester/wal/segment-header'

import { walBegins, walsBehindChains } from '../../src/chaos/wal-begins.ts'

const ID = { logId: 'log', topic: 'topic', partition: 3 }
const PLACE = `${logTag(ID)}/3`

/** A disk whose log has a file for each base offset. */
async function diskWith(t: TestContext, baseOffsets: readonly bigint[]): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tributary-wal-'))
  t.after(() => rm(path, { recursive: true }))
  await mkdir(join(path, 'wal', PLACE), { recursive: true })
  for (const [index, baseOffset] of baseOffsets.entries()) {
    const name = segmentFileName({ sequence: BigInt(index), baseOffset, uuid: new Uint8Array(16) })
    await writeFile(join(path, 'wal', PLACE, name), '')
  }
  return path
}

test('the log of a partition begins with the lowest of its files', async (t) => {
  const path = await diskWith(t, [40n, 12n, 90n])
  assert.deepEqual([...walBegins(path)], [[PLACE, 12n]])
  assert.deepEqual([...walBegins(join(path, 'none'))], [])
})

test('a log that was cut behind the end of its chain is told, one that was not is none', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-store-'))
  t.after(() => rm(folder, { recursive: true }))
  const logger = createLogger({ name: 'test', level: 'silent' })
  const store = await openObjectStore(pathToFileURL(folder).href, { logger })
  t.after(() => store.close())
  const holes = [{ start: '0', end: '12', reason: 'a test' }]
  const record = {
    ...ID,
    ...{ formatVersion: COMMIT_FORMAT_VERSION, start: '0', end: '12', epoch: 1, writer: 'w' },
    ...{ schemaVersions: {}, files: [], hashes: null, holes },
    counts: { rowsIn: 0, rowsStored: 0, rowsSuppressed: 0, rowsQuarantined: 0 },
    committedAt: '2026-11-21T03:04:05.678Z',
  }
  await store.put(commitKey(ID, 0n), serializeCommitRecord(record))
  const whole = { name: 'whole', path: await diskWith(t, [12n, 20n]) }
  const cut = { name: 'cut', path: await diskWith(t, [13n, 20n]) }
  const problems = await walsBehindChains([whole, cut], store)
  assert.equal(problems.length, 1)
  assert.match(problems[0]!, /^O3 cut: .* begins at 13, its chain ends at 12$/)
})
