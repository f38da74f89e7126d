/** What every ClusterMetadata must do: run against memory and against a real Redis, in virtual time. */
import assert from 'node:assert/strict'
import { it } from 'node:test'

import type { ClusterMetadata, Member } from '@tributary/common/metadata/cluster-metadata'
import type { Clock } from '@tributary/common/clock'

/** A clock that stands until it is moved. */
export class ManualClock implements Pick<Clock, 'nowUnixMs'> {
  unixMs = 1_800_000_000_000

  nowUnixMs(): number {
    return this.unixMs
  }
}

/** An empty store; connections to it; what can be done to it behind the back of everybody. */
export interface ContractStore {
  readonly clock: ManualClock
  connect(): Promise<ClusterMetadata>
  flushAll(): Promise<void>
  /** Keeps the present state; what is given back restores it. */
  backup(): Promise<() => Promise<void>>
}

export const TTL_MS = 5000

export function memberNamed(id: string, more: Partial<Member> = {}): Member {
  return {
    id,
    name: `host-${id}`,
    role: 'ingester',
    address: '127.0.0.1:4000',
    isDraining: false,
    status: '{}',
    ...more,
  }
}

interface Party {
  readonly id: string
  readonly metadata: ClusterMetadata
  beat(): ReturnType<ClusterMetadata['beat']>
  acquire(partition: number, floor?: number, requestId?: string): Promise<number | string>
}

let requests = 0

export async function party(store: ContractStore, id: string): Promise<Party> {
  const metadata = await store.connect()
  return {
    id,
    metadata,
    beat: () => metadata.beat(memberNamed(id), TTL_MS),
    acquire: async (partition, epochFloor = 0, requestId = `request-${++requests}`) => {
      const outcome = await metadata.acquire({ partition, member: id, epochFloor, requestId })
      return outcome.kind === 'acquired' ? outcome.epoch : `held by ${outcome.lease.owner}`
    },
  }
}

/** Lets time pass as a living cluster does: everybody beats each second. */
export async function pass(store: ContractStore, seconds: number, ...living: readonly Party[]) {
  for (let second = 0; second < seconds; second++) {
    store.clock.unixMs += 1000
    for (const one of living) await one.beat()
  }
}

export function describeContract(makeStore: () => Promise<ContractStore>): void {
  describeMembers(makeStore)
  describeLeases(makeStore)
  describeLosses(makeStore)
}

function describeMembers(makeStore: () => Promise<ContractStore>): void {
  it('shows members as they beat, to everybody', async () => {
    const store = await makeStore()
    const [a, b] = [await party(store, 'a'), await party(store, 'b')]
    await a.beat()
    const view = await b.metadata.beat(
      memberNamed('b', { role: 'router', isDraining: true, status: '{"é":"\\n \\""}' }),
      TTL_MS,
    )
    assert.deepEqual(
      view.members.toSorted((x, y) => (x.id < y.id ? -1 : 1)),
      [
        memberNamed('a'),
        memberNamed('b', { role: 'router', isDraining: true, status: '{"é":"\\n \\""}' }),
      ],
    )
    assert.deepEqual((await a.metadata.view()).members.length, 2)
  })

  it('forgets a member that does not beat, and one that leaves', async () => {
    const store = await makeStore()
    const [a, b, c] = [await party(store, 'a'), await party(store, 'b'), await party(store, 'c')]
    for (const one of [a, b, c]) await one.beat()
    await c.metadata.leave('c')
    assert.deepEqual(ids(await a.beat()), ['a', 'b'])
    await pass(store, 4, a)
    assert.deepEqual(ids(await a.metadata.view()), ['a', 'b'])
    await pass(store, 1, a)
    assert.deepEqual(ids(await a.metadata.view()), ['a'])
  })

  it('answers a reader without becoming one of them, also while empty', async () => {
    const store = await makeStore()
    const view = await (await store.connect()).view()
    assert.deepEqual(view, { incarnation: '', incarnationAgeMs: 0, members: [], leases: new Map() })
  })

  it('counts time in which nobody reached it against nobody', async () => {
    const store = await makeStore()
    const [a, b] = [await party(store, 'a'), await party(store, 'b')]
    await a.beat()
    await b.beat()
    assert.equal(await a.acquire(0), 1)
    for (const jumpMs of [3_600_000, -7_200_000]) {
      store.clock.unixMs += jumpMs
      assert.deepEqual(ids(await b.beat()), ['a', 'b'])
      assert.equal(await b.acquire(0), 'held by a')
      await pass(store, 4, b)
      assert.equal(await b.acquire(0), 'held by a')
      await a.beat()
    }
  })

  it('lets the dead die also where calls are always far apart', async () => {
    const store = await makeStore()
    const [a, b] = [await party(store, 'a'), await party(store, 'b')]
    await a.beat()
    for (let call = 0; call < 5; call++) {
      store.clock.unixMs += 4000
      await b.beat()
    }
    assert.deepEqual(ids(await b.beat()), ['b'])
  })
}

function describeLeases(makeStore: () => Promise<ContractStore>): void {
  it('gives a free partition to the first, with an epoch above the floor', async () => {
    const store = await makeStore()
    const [a, b] = [await party(store, 'a'), await party(store, 'b')]
    await a.beat()
    await b.beat()
    assert.equal(await a.acquire(3, 41), 42)
    assert.equal(await b.acquire(3), 'held by a')
    assert.equal(await b.acquire(3, 42), 'held by a')
    const view = await b.metadata.view()
    assert.deepEqual([...view.leases.values()], [{ partition: 3, owner: 'a', epoch: 42 }])
  })

  it('gives nothing to a member that does not live', async () => {
    const store = await makeStore()
    const a = await party(store, 'a')
    assert.equal(await a.acquire(0), 'held by ')
    await a.beat()
    await a.metadata.leave('a')
    assert.equal(await a.acquire(0), 'held by ')
  })

  it('answers the same request id the same way, also when the lease is gone since', async () => {
    const store = await makeStore()
    const [a, b] = [await party(store, 'a'), await party(store, 'b')]
    await a.beat()
    await b.beat()
    assert.equal(await a.acquire(0, 0, 'one'), 1)
    assert.equal(await a.acquire(0, 0, 'one'), 1)
    assert.equal(await a.acquire(0, 0, 'two'), 2)
    await a.metadata.release(0, 'a', 1)
    assert.equal(await b.acquire(0), 'held by a')
    await a.metadata.release(0, 'a', 2)
    assert.equal(await a.acquire(0, 0, 'two'), 'held by ')
    assert.equal(await b.acquire(0), 3)
  })

  it('frees what a dead member and one that left held, and remembers the epoch', async () => {
    const store = await makeStore()
    const [a, b, c] = [await party(store, 'a'), await party(store, 'b'), await party(store, 'c')]
    for (const one of [a, b, c]) await one.beat()
    assert.equal(await a.acquire(0, 6), 7)
    assert.equal(await b.acquire(1), 1)
    await b.metadata.leave('b')
    await pass(store, 5, c)
    const { leases } = await c.metadata.view()
    assert.deepEqual(leases.get(0), { partition: 0, owner: '', epoch: 7 })
    assert.deepEqual(leases.get(1), { partition: 1, owner: '', epoch: 1 })
    assert.equal(await c.acquire(0), 8)
    assert.equal(await c.acquire(1), 2)
  })

  it('takes an owner for history whose epoch is below the floor of another', async () => {
    const store = await makeStore()
    const [a, b] = [await party(store, 'a'), await party(store, 'b')]
    await a.beat()
    await b.beat()
    assert.equal(await a.acquire(0, 4), 5)
    assert.equal(await b.acquire(0, 5), 'held by a')
    assert.equal(await b.acquire(0, 6), 7)
  })

  it('keeps epochs exact up to the greatest that JavaScript has', async () => {
    const store = await makeStore()
    const a = await party(store, 'a')
    await a.beat()
    assert.equal(await a.acquire(0, Number.MAX_SAFE_INTEGER - 2), Number.MAX_SAFE_INTEGER - 1)
    const { leases } = await a.metadata.view()
    assert.equal(leases.get(0)?.epoch, Number.MAX_SAFE_INTEGER - 1)
  })
}

function describeLosses(makeStore: () => Promise<ContractStore>): void {
  it('has a new incarnation of age 0 after it was emptied', async () => {
    const store = await makeStore()
    const [a, b] = [await party(store, 'a'), await party(store, 'b')]
    const before = await a.beat()
    await b.beat()
    assert.equal(await a.acquire(0), 1)
    await pass(store, 20, a, b)
    await store.flushAll()
    const after = await b.beat()
    assert.notEqual(after.incarnation, before.incarnation)
    assert.equal(after.incarnationAgeMs, 0)
    assert.deepEqual(ids(after), ['b'])
    assert.equal((await a.beat()).incarnation, after.incarnation)
    assert.equal(await a.acquire(0, 1), 2)
  })

  it('has one new incarnation after it was set back, and time for all to beat', async () => {
    const store = await makeStore()
    const parties = await Promise.all(['a', 'b', 'c'].map((id) => party(store, id)))
    const [a, b, c] = parties as [Party, Party, Party]
    for (const one of parties) await one.beat()
    assert.equal(await b.acquire(0), 1)
    const restore = await store.backup()
    await b.metadata.release(0, 'b', 1)
    assert.equal(await a.acquire(0), 2)
    await pass(store, 20, ...parties)
    const before = await a.beat()
    await restore()
    const after = await c.beat()
    assert.notEqual(after.incarnation, before.incarnation)
    assert.equal(after.incarnationAgeMs, 0)
    assert.deepEqual(ids(after), ['a', 'b', 'c'])
    assert.deepEqual(after.leases.get(0), { partition: 0, owner: 'b', epoch: 1 })
    for (const one of parties) assert.equal((await one.beat()).incarnation, after.incarnation)
    // the owner of the truth has the greater epoch, and wins over the one of the past
    assert.equal(await a.acquire(0, 2), 3)
  })

  it('notices that one answered write alone is gone', async () => {
    const store = await makeStore()
    const [a, b] = [await party(store, 'a'), await party(store, 'b')]
    const before = await a.beat()
    await b.beat()
    const restore = await store.backup()
    assert.equal(await a.acquire(0), 1)
    await restore()
    await b.beat()
    await b.beat()
    assert.notEqual((await a.beat()).incarnation, before.incarnation)
  })

  it('notices a backup from before it was emptied', async () => {
    const store = await makeStore()
    const a = await party(store, 'a')
    await a.beat()
    const restore = await store.backup()
    await store.flushAll()
    const before = await a.beat()
    await restore()
    const after = await a.beat()
    assert.notEqual(after.incarnation, before.incarnation)
    assert.equal(after.incarnationAgeMs, 0)
    assert.equal((await a.beat()).incarnation, after.incarnation)
  })
}

function ids(view: Awaited<ReturnType<ClusterMetadata['view']>>): string[] {
  return view.members.map(({ id }) => id).sort()
}
