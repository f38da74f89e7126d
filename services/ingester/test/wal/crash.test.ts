import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'

import { setFailpoints } from '@tributary/common/failpoint'
import { nodeFileSystem } from '@tributary/common/file-system'
import type { FileSystem } from '@tributary/common/file-system'
import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'

import { payloadOf, replay, walOptions } from './log-fixture.ts'

const CHILD = new URL('crash-child.ts', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'tributary-wal-'))
after(() => {
  rmSync(folder, { recursive: true })
})

const CRASHES = [
  'wal:before-write=exit@7',
  'wal:mid-write=exit@1',
  'wal:mid-write=exit@12',
  'wal:after-write=exit@9',
  'wal:after-sync=exit@20',
  'wal:rotate=exit@1',
  'wal:rotate=exit@3',
  'wal:truncate=exit@1',
  'wal:truncate=exit@3',
  'wal:recover=exit@1',
  'wal:recover=exit@2',
] as const

test('a process killed at any failpoint leaves every acknowledged row to the next one', async () => {
  const directory = join(folder, 'crash')
  const acknowledged = new Map<bigint, number>()
  let number = 0
  let chainEnd = 0n
  for (const failpoint of CRASHES) {
    const child = spawnSync(process.execPath, [CHILD, directory, `${number}`, `${chainEnd}`], {
      env: { ...process.env, TRIBUTARY_FAILPOINTS: failpoint },
      encoding: 'utf8',
    })
    assert.equal(child.signal, 'SIGKILL', `${failpoint}: ${child.stderr}`)
    for (const line of child.stdout.split('\n')) {
      const [key, value] = line.split(' ')
      if (key === 'chain') chainEnd = BigInt(value!)
      else if (value !== undefined) acknowledged.set(BigInt(key!), Number(value))
    }
    number += 1000
    const { frames, holes, wal } = await replay(walOptions(nodeFileSystem, { directory }), chainEnd)
    for (const [offset, own] of acknowledged) {
      if (offset < chainEnd) continue
      assert.deepEqual(frames.get(offset), payloadOf(own, 100 + (own % 5) * 400), failpoint)
    }
    assert.deepEqual(holes, [])
    await wal.close()
  }
  assert.ok(acknowledged.size > 200)
})

test('a recovery killed 100 times ends where an undisturbed one does', async () => {
  let fs = new FaultFileSystem()
  const { wal } = await replay(walOptions(fs, { segmentBytesMax: 6000 }))
  for (let number = 0; number < 100; number++) await wal.append(payloadOf(number))
  const [, damaged] = fs.paths()
  fs.contentOf(damaged!)[1500]! ^= 4
  const whole = await replay(walOptions(fs.killProcess()))
  assert.equal(whole.holes.length, 1)
  fs = fs.killProcess()
  for (let kill = 1; kill <= 100; kill++) {
    setFailpoints(`wal:recover=throw@${1 + (kill % 8)}`)
    await assert.rejects(replay(walOptions(fs)))
    setFailpoints(undefined)
    fs = fs.killProcess()
  }
  const again = await replay(walOptions(fs))
  assert.deepEqual(again.frames, whole.frames)
  assert.deepEqual(again.holes, whole.holes)
  assert.equal(again.wal.nextOffset, whole.wal.nextOffset)
})

/** A real file system of 16 MiB where this process may mount one, else the model of it. */
function limitedDisk(): { fs: FileSystem; directory: string; release: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-disk-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', directory])
  const isMounted = mounted.status === 0
  const fault = new FaultFileSystem()
  fault.capacityBytes = 16 * 1024 * 1024
  return {
    fs: isMounted ? nodeFileSystem : fault,
    directory: join(directory, 'wal'),
    release: () => {
      if (isMounted) spawnSync('umount', [directory])
      rmSync(directory, { recursive: true })
    },
  }
}

test('a disk that fills up, is freed and fills up again loses nothing and never stops the log for good', async () => {
  const { fs, directory, release } = limitedDisk()
  try {
    const options = walOptions(fs, { directory, segmentBytesMax: 2 * 1024 * 1024 })
    const { wal } = await replay(options)
    const sizes = new Map<bigint, number>()
    let number = 0
    let truncated = 0n
    for (let round = 0; round < 3; round++) {
      for (;;) {
        const own = number++
        const offset = await wal
          .append(payloadOf(own, 100_000))
          .catch((error: { code: string }) => {
            assert.equal(error.code, 'log_full')
            return undefined
          })
        if (offset === undefined) break
        sizes.set(offset, own)
      }
      assert.equal(wal.state, 'full')
      assert.ok(wal.bytesOnDisk > 13 * 1024 * 1024)
      truncated = wal.nextOffset - 30n
      await wal.truncate(truncated)
      assert.equal(wal.state, 'open')
    }
    await wal.close()
    const { frames, holes } = await replay(options, truncated)
    assert.equal(frames.size, 30)
    for (const [offset, payload] of frames) {
      assert.ok(payload.equals(payloadOf(sizes.get(offset)!, 100_000)))
    }
    assert.deepEqual(holes, [])
  } finally {
    release()
  }
})
