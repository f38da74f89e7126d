import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { createLogger } from '@tributary/common/logger'
import { MemoryLogBroker } from '@tributary/common/testing/memory-log-broker'
import { MemoryPartitionLog } from '@tributary/common/testing/memory-partition-log'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { checkRecord } from '../../src/fetch/record-check.ts'

const logger = createLogger({ name: 'test', level: 'silent' })

describe('checkRecord', () => {
  it('ends quietly when its partition is closed while the reader opens', async () => {
    const clock = new VirtualClock()
    const broker = new MemoryLogBroker({ clock, seed: 1, partitions: 1 })
    broker.faults.delayMs = [50, 50]
    broker.append(0, [new Uint8Array(8)])
    const ending = new AbortController()
    const rejected: unknown[] = []
    const onRejection = (error: unknown): void => void rejected.push(error)
    process.on('unhandledRejection', onRejection)
    const log = new MemoryPartitionLog(broker)
    const checked = checkRecord({ log, clock, logger, signal: ending.signal }, 0, 0n)
    const outcome = checked.then(
      () => 'read',
      () => 'cancelled',
    )
    await clock.advance(10)
    ending.abort()
    await clock.advance(10)
    assert.deepEqual(rejected, [], 'a rejection that nobody handles ends the process')
    assert.equal(await clock.run(outcome), 'cancelled')
    process.off('unhandledRejection', onRejection)
  })
})
