import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { systemClock } from '../../src/clock.ts'
import { AppError } from '../../src/errors.ts'
import { nodeFileSystem } from '../../src/file-system.ts'
import {
  MemoryBucket,
  MemoryObjectStore,
  TROUBLED_STORE,
} from '../../src/testing/memory-object-store.ts'
import { ProcessClock } from '../../src/testing/process-clock.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { storeContract } from '../object-store/store-contract.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-memory-store-'))
})
after(() => rm(folder, { recursive: true }))

storeContract('MemoryObjectStore', () => {
  const bucket = new MemoryBucket(systemClock, new SeededRandom(1), { delayMs: [0, 0] })
  const store = new MemoryObjectStore(bucket, systemClock, nodeFileSystem)
  return Promise.resolve({ store, spoolFolder: folder })
})

describe('MemoryObjectStore', () => {
  it('lets one of several create-only puts win, whatever else it does wrong', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const clock = new VirtualClock()
      const bucket = new MemoryBucket(clock, new SeededRandom(seed), TROUBLED_STORE)
      const racers = Array.from({ length: 5 }, async (_, racer) => {
        const store = new MemoryObjectStore(bucket, clock)
        const body = Uint8Array.of(racer)
        for (;;) {
          try {
            await store.put('key', body, { onlyIfAbsent: true })
            return true
          } catch (error) {
            assert.ok(error instanceof AppError)
            if (error.code === 'object_exists') return false
          }
        }
      })
      const won = await clock.run(Promise.all(racers))
      // a lost answer hides a victory, never makes a second one
      assert.ok(won.filter(Boolean).length <= 1, `seed ${seed}`)
      await clock.advance(60_000)
      const [winner] = bucket.objects.get('key')!.bytes
      if (won.includes(true)) assert.equal(won.indexOf(true), winner)
    }
  })

  it('answers nothing to a process that is gone, and late to one that stands still', async () => {
    const clock = new VirtualClock()
    const bucket = new MemoryBucket(clock, new SeededRandom(1))
    const answered: string[] = []
    const process = (name: string): ProcessClock => {
      const own = new ProcessClock(clock)
      const put = new MemoryObjectStore(bucket, own).put(name, Uint8Array.of(1))
      void put.then(() => answered.push(name))
      return own
    }
    process('gone').crash()
    const stopped = process('stopped')
    stopped.freeze()
    await clock.advance(100_000)
    assert.deepEqual(answered, [])
    stopped.thaw()
    await clock.advance(10)
    assert.deepEqual(answered, ['stopped'])
    assert.deepEqual([...bucket.objects.keys()], ['stopped'])
  })
})
