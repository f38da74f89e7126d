import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { openDataDirectory } from '../src/data-directory.ts'

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-data-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

void test('openDataDirectory lets one process in, and the next with the same id', async (t) => {
  const path = join(await emptyFolder(t), 'made')
  const first = await openDataDirectory(path)
  await assert.rejects(openDataDirectory(path), { code: 'invalid_config' })
  await first.release()
  const second = await openDataDirectory(path)
  assert.equal(second.writerId, first.writerId)
  await second.release()
})

void test('openDataDirectory sees a process in another container by its socket in the directory', async (t) => {
  const folder = await emptyFolder(t)
  const other = createServer((socket) => socket.destroy()).listen(join(folder, 'process.lock'))
  await new Promise((resolve) => other.once('listening', resolve))
  await assert.rejects(openDataDirectory(folder), { code: 'invalid_config' })
  await new Promise((resolve) => other.close(resolve))
  await (await openDataDirectory(folder)).release()
})

void test('openDataDirectory holds a directory whose path is too long for a socket', async (t) => {
  const path = join(await emptyFolder(t), 'long'.repeat(30), 'longer'.repeat(20))
  const first = await openDataDirectory(path)
  await assert.rejects(openDataDirectory(path), { code: 'invalid_config' })
  await first.release()
})

void test('openDataDirectory takes over what a killed process left', async (t) => {
  const folder = await emptyFolder(t)
  await writeFile(join(folder, 'process.lock'), '')
  const taken = await openDataDirectory(folder)
  await taken.release()
})

void test('openDataDirectory lets one of many in that start at once behind a dead process', async (t) => {
  const folder = await emptyFolder(t)
  for (let round = 0; round < 20; round++) {
    await writeFile(join(folder, 'process.lock'), '')
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, () => openDataDirectory(folder)),
    )
    const taken = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    assert.equal(taken.length, 1)
    await taken[0]!.value.release()
  }
})
