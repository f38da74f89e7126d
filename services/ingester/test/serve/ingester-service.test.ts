/** The gRPC service of a whole ingester on memory parts, asked by the client that tools use. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'

import { createAdminGrpcServer, type AdminGrpcServer } from '@tributary/common/admin-grpc-server'
import { IngesterClient } from '@tributary/common/ingester-client'
import { PROTO_FOLDER } from '@tributary/common/ingester-service'
import { createLogger } from '@tributary/common/logger'

import { ingesterService } from '../../src/serve/ingester-service.ts'
import { rowsOfFile } from '../../src/testing/memory-encoder.ts'
import { MemoryIngester, memoryLeases } from '../../src/testing/memory-ingester.ts'
import { MemoryWorld } from '../../src/testing/memory-world.ts'
import { storedPartition } from '../../src/testing/stored-rows.ts'
import { testBatch, testChunk } from '../../src/testing/test-batches.ts'

const logger = createLogger({ name: 'test', level: 'silent' })

describe('IngesterService', () => {
  let world: MemoryWorld
  let one: MemoryIngester
  let server: AdminGrpcServer
  let client: IngesterClient
  let rows: string[]

  before(async () => {
    const service = ingesterService({ ingester: () => one?.ingester, logger: () => logger })
    const options = { host: '127.0.0.1', port: 0, isReady: () => true, protoFolder: PROTO_FOLDER }
    server = createAdminGrpcServer({ ...options, services: [service] })
    await server.start()
    client = new IngesterClient({ address: `127.0.0.1:${server.port}` })
  })
  after(async () => {
    client.close()
    await server.close()
  })
  beforeEach(async () => {
    world = new MemoryWorld({ seed: 1, partitions: 2, settings: { flushIntervalMs: 3_600_000 } })
    rows = []
    one = await MemoryIngester.start(world, memoryLeases(world), 'one')
    await world.clock.advance(10_000)
  })

  function fill(count: number, tenant = 'default'): void {
    for (let index = 0; index < count; index++) {
      const batch = testBatch(world.random, [testChunk(world.random)], { tenant })
      world.broker.append(0, [batch.bytes])
      rows.push(...batch.rows)
    }
  }

  /** Lets virtual time pass while a call is on its way over a real socket. */
  async function meanwhile<T>(call: Promise<T>): Promise<T> {
    let isSettled = false
    const settle = (): void => {
      isSettled = true
    }
    call.then(settle, settle)
    while (!isSettled) {
      await world.clock.advance(5)
      await nextTurn()
    }
    return call
  }

  interface Unflushed {
    readonly start: bigint
    readonly end: bigint
    readonly logEnd: bigint | undefined
    readonly rows: readonly string[]
  }

  async function readUnflushed(tenant = '', waitMs = 0): Promise<Unflushed> {
    let ranges = { start: -1n, end: -1n, logEnd: undefined as bigint | undefined }
    const files: Buffer[][] = []
    for await (const { range, file, data } of client.readUnflushed(
      { partition: 0, tenant, signal: '', waitMs },
      10_000,
    )) {
      if (range) {
        const { start, end, logEnd } = range
        ranges = {
          start: BigInt(start),
          end: BigInt(end),
          logEnd: logEnd === undefined ? undefined : BigInt(logEnd),
        }
      }
      if (file) files.push([])
      if (data) files.at(-1)!.push(Buffer.from(data))
    }
    return { ...ranges, rows: files.flatMap((parts) => rowsOfFile(Buffer.concat(parts))) }
  }

  it('lists the partitions with how far they are', async () => {
    fill(5)
    await world.clock.advance(2000)
    const list = await meanwhile(client.listPartitions(10_000))
    assert.equal(list.logId, world.broker.logId)
    assert.equal(list.isDraining, false)
    assert.equal(list.partitionCount, 2)
    assert.deepEqual(
      list.partitions.map(({ partition, state, start, next, unflushedRows, lagOffsets }) => {
        return [partition, state, start, next, Number(unflushedRows) > 0, lagOffsets]
      }),
      [
        [0, 'owned', '0', '5', true, '5'],
        [1, 'owned', '0', '0', false, '0'],
      ],
    )
    assert.ok(list.member.startsWith('one-'))
  })

  it('gives the rows that are not committed, and the chain up to their start the others', async () => {
    fill(20)
    await world.clock.advance(500)
    await meanwhile(client.flush(10_000))
    fill(20)
    await world.clock.advance(500)
    // the reader and a flush at the same time
    const [unflushed] = await meanwhile(Promise.all([readUnflushed(), client.flush(10_000)]))
    fill(20)
    const stored = await storedPartition(world.bucket, world.idOf(0))
    const cut = stored.records.filter(({ end }) => BigInt(end) <= unflushed.start)
    const before = cut.reduce((sum, { counts }) => sum + counts.rowsStored, 0)
    assert.ok(unflushed.rows.length > 0 && before > 0)
    assert.deepEqual(
      unflushed.rows.toSorted(),
      rows.slice(before, before + unflushed.rows.length).sort(),
    )
    assert.deepEqual(
      one.disk.paths().filter((path) => path.includes('spool')),
      [],
    )
  })

  it('gives the rows of one tenant where asked', async () => {
    fill(5)
    const theirs = rows.length
    fill(5, 'other')
    await world.clock.advance(500)
    const unflushed = await meanwhile(readUnflushed('other'))
    assert.deepEqual(unflushed.rows.toSorted(), rows.slice(theirs).sort())
  })

  it('says that a partition is owned elsewhere', async () => {
    for (const waitMs of [0, 1000]) {
      const request = { partition: 7, tenant: '', signal: '', waitMs }
      const read = client.readUnflushed(request, 10_000)
      await assert.rejects(meanwhile(read.next()), { code: 'object_missing' })
    }
  })

  it('waits for what the log has and the process has not fetched, where it is asked to', async () => {
    const { owner } = one.ingester!.slots[0]!
    owner!.hold('wal')
    fill(20)
    const acknowledged = [...rows]
    let isAnswered = false
    const read = readUnflushed('', 600_000)
    void read.then(() => (isAnswered = true))
    await meanwhile(client.listPartitions(10_000))
    await world.clock.advance(10_000)
    assert.equal(isAnswered, false)
    owner!.letGo('wal')
    const unflushed = await meanwhile(read)
    assert.deepEqual(unflushed.rows.toSorted(), acknowledged.sort())
    assert.deepEqual([unflushed.start, unflushed.end, unflushed.logEnd], [0n, 20n, 20n])
  })

  it('answers with what it has when the wait is over, and says how far the log goes', async () => {
    fill(5)
    await world.clock.advance(500)
    const fetched = [...rows]
    one.ingester!.slots[0]!.owner!.hold('wal')
    fill(7)
    const startMs = world.clock.monotonicMs()
    const behind = await meanwhile(readUnflushed('', 3000))
    assert.deepEqual([behind.end, behind.logEnd], [5n, 12n])
    assert.deepEqual(behind.rows.toSorted(), fetched.sort())
    assert.ok(world.clock.monotonicMs() - startMs >= 3000)
    const atOnce = await meanwhile(readUnflushed())
    assert.deepEqual([atOnce.end, atOnce.logEnd], [5n, undefined])
  })

  it('says that it does not know how far the log goes, where the log does not answer', async () => {
    fill(5)
    await world.clock.advance(500)
    world.broker.faults.boundsFailedChance = 1
    const unflushed = await meanwhile(readUnflushed('', 1000))
    assert.deepEqual([unflushed.end, unflushed.logEnd], [5n, undefined])
    assert.equal(unflushed.rows.length, rows.length)
  })

  it('gives everything away when it is drained, with all of it committed', async () => {
    fill(10)
    await world.clock.advance(500)
    await meanwhile(client.drain(10_000))
    const list = await meanwhile(client.listPartitions(10_000))
    assert.deepEqual([list.isDraining, list.partitions.length], [true, 0])
    const stored = await storedPartition(world.bucket, world.idOf(0))
    assert.equal(stored.rows.size, rows.length)
    assert.equal(one.ingester?.notReadyReason, 'draining')
  })

  it('takes its partitions again when it is asked to resume', async () => {
    await meanwhile(client.drain(10_000))
    await world.clock.advance(5000)
    assert.deepEqual(one.owned, [])
    await meanwhile(client.resume(10_000))
    await world.clock.advance(5000)
    assert.deepEqual(one.owned, [0, 1])
  })

  it('comes back by itself when the hold of a drain is not renewed, and later where it is', async () => {
    await meanwhile(client.drain(10_000, 20))
    await world.clock.advance(10_000)
    await meanwhile(client.drain(10_000, 20))
    await world.clock.advance(15_000)
    assert.deepEqual(one.owned, [], '25 s after the first hold, 15 s after the second')
    await world.clock.advance(10_000)
    assert.deepEqual(one.owned, [0, 1])
    const list = await meanwhile(client.listPartitions(10_000))
    assert.equal(list.isDraining, false)
  })

  it('goes on with the drain of a person where one that was held beside it ends', async () => {
    await meanwhile(client.drain(10_000))
    await meanwhile(client.drain(10_000, 20))
    await meanwhile(client.resume(10_000, true))
    await world.clock.advance(60_000)
    assert.deepEqual([one.owned, one.ingester?.isDraining], [[], true])
    await meanwhile(client.resume(10_000))
    await world.clock.advance(5000)
    assert.deepEqual(one.owned, [0, 1])
    await meanwhile(client.drain(10_000, 20))
    await meanwhile(client.resume(10_000, true))
    assert.equal(one.ingester?.isDraining, false)
  })

  it('tells the one who drains that somebody ended it', async () => {
    fill(10)
    await world.clock.advance(500)
    world.bucket.faults.refusedChance = 1
    const drain = client.drain(30_000)
    drain.catch(() => undefined)
    await meanwhile(client.listPartitions(10_000))
    await meanwhile(client.resume(10_000))
    await assert.rejects(meanwhile(drain), { code: 'cancelled' })
  })

  it('tells what is not fetched apart from what is not committed', async () => {
    fill(5)
    await world.clock.advance(2000)
    const list = await meanwhile(client.listPartitions(10_000))
    const { lagOffsets, backlogOffsets } = list.partitions[0]!
    assert.deepEqual([lagOffsets, backlogOffsets], ['5', '0'])
    assert.ok(
      Number(list.memoryBytes) > 0 && Number(list.memoryBytes) < Number(list.memoryBytesMax),
    )
  })
})
