import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
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

void test('openDataDirectory sees a process whose temporary folder is another', async (t) => {
  const folder = await emptyFolder(t)
  const variable = 'TMPDIR'
  const usual = process.env[variable]
  t.after(() => {
    if (usual === undefined) Reflect.deleteProperty(process.env, variable)
    else process.env[variable] = usual
  })
  const first = await openDataDirectory(folder)
  process.env[variable] = await emptyFolder(t)
  await assert.rejects(openDataDirectory(folder), { code: 'invalid_config' })
  await first.release()
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
