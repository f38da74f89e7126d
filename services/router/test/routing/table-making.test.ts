import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entryKey, serializeRoutingTable } from '@tributary/common/routing/routing-table'
import { shardSteps } from '@tributary/common/routing/shard'
import { Signal } from '@tributary/common/signal'
import { NO_FAULTS } from '@tributary/common/testing/faulty-calls'
import { RETRY_WINDOW_MS, shardOf, TestCluster, type TestRouter } from './cluster-rig.ts'

async function started(cluster: TestCluster, count: number): Promise<TestRouter[]> {
  const routers = Array.from({ length: count }, (_, index) =>
    cluster.router(`router-${String(index)}`),
  )
  for (const router of routers) await cluster.clock.run(router.start())
  return routers
}

function makers(routers: readonly TestRouter[]): number {
  return routers.filter(({ maker }) => maker.isMaker).length
}

void test('one router makes the table from the rates of all, and all go by it', async () => {
  const cluster = new TestCluster(1)
  const routers = await started(cluster, 3)
  await cluster.load(routers, 200, 1500)
  assert.equal(makers(routers), 1)
  const [first] = routers
  for (const router of routers) {
    assert.equal(router.keeper.table.version, first!.keeper.table.version)
    assert.equal(shardOf(router).length, 4)
  }
  await cluster.load(routers, RETRY_WINDOW_MS / 1000, 1500)
  const { version, entries } = first!.keeper.table
  assert.deepEqual(entries.get(entryKey('acme', Signal.logs))!.earlier, [], 'forgotten in time')
  await cluster.load(routers, 600, 1500)
  assert.equal(first!.keeper.table.version, version, 'steady rates change nothing')
  assert.equal(shardOf(first!).length, 4)
})

void test('another router goes on when the maker dies, or goes', async () => {
  const cluster = new TestCluster(2)
  const routers = await started(cluster, 3)
  await cluster.load(routers, 60, 1500)
  const dead = routers.find(({ maker }) => maker.isMaker)!
  dead.kill()
  const left = routers.filter((router) => router !== dead)
  await cluster.load(left, 30, 2500)
  assert.equal(makers(left), 1)
  const leaving = left.find(({ maker }) => maker.isMaker)!
  await cluster.clock.run(leaving.stop())
  const last = left.filter((router) => router !== leaving)
  await cluster.load(last, 200, 8000)
  assert.equal(makers(last), 1)
  assert.ok(shardOf(last[0]!).length >= 7)
})

void test('routers keep their table while the store is gone, and bring it back when it was emptied', async () => {
  const cluster = new TestCluster(3)
  const routers = await started(cluster, 2)
  await cluster.load(routers, 100, 2000)
  const [router] = routers
  const { version } = router!.keeper.table
  const shard = shardOf(router!)
  assert.ok(shard.length > 1)
  for (const { store } of routers) store.line.isCut = true
  await cluster.load(routers, 100, 2000)
  assert.deepEqual(shardOf(router!), shard)
  assert.ok(router!.keeper.ageMs > 90_000)
  cluster.routing.flushAll()
  for (const { store } of routers) store.line.isCut = false
  await cluster.load(routers, 20, 2000)
  assert.ok(cluster.routing.table.version >= version)
  assert.deepEqual(shardOf(router!), shard)
  assert.equal(makers(routers), 1)
})

void test('a router that comes new to an emptied store takes the table of the others', async () => {
  const cluster = new TestCluster(4)
  const routers = await started(cluster, 2)
  await cluster.load(routers, 100, 2000)
  const shard = shardOf(routers[0]!)
  for (const router of routers) router.store.line.isCut = true
  cluster.routing.flushAll()
  const fresh = cluster.router('router-9')
  await cluster.clock.run(fresh.start())
  await cluster.load([fresh], 20, 10)
  assert.ok(fresh.maker.isMaker)
  assert.deepEqual(shardOf(fresh), [])
  for (const router of routers) router.store.line.isCut = false
  await cluster.load([fresh, ...routers], 30, 2000)
  assert.deepEqual(shardOf(fresh), shard)
})

void test('what can not be read leaves the known table, and a newer format is not overwritten', async () => {
  const cluster = new TestCluster(5)
  const routers = await started(cluster, 1)
  await cluster.load(routers, 30, 10)
  const { table } = routers[0]!.keeper
  const text = serializeRoutingTable(table).replace('"formatVersion":1', '"formatVersion":2')
  cluster.routing.table = { version: table.version + 5, text }
  await cluster.load(routers, 30, 10_000)
  assert.equal(routers[0]!.keeper.table, table)
  assert.equal(cluster.routing.table.text, text)
  cluster.routing.table = { version: table.version + 9, text: serializeRoutingTable(table) }
  await cluster.load(routers, 5, 10)
  assert.ok(routers[0]!.keeper.table.version >= table.version + 9)
})

void test('owners that say so have their partitions left by half of the tenants, or all', async () => {
  const cluster = new TestCluster(6)
  const routers = await started(cluster, 1)
  const ingester = cluster.members.connect()
  const member = {
    id: 'ingester-1-1',
    name: 'ingester-1',
    role: 'ingester',
    address: 'ingester-1:1',
    isDraining: false,
    status: JSON.stringify({ saturated: [0, 1, 2, 3, 4, 5], halted: [6], lag: 7 }),
  } as const
  for (let second = 0; second < 20; second++) {
    await cluster.clock.run(ingester.beat(member, 5000))
    await cluster.load(routers, 1, 10)
  }
  const { table } = routers[0]!.keeper
  assert.deepEqual([...table.saturated], [0, 1, 2, 3, 4, 5])
  assert.deepEqual([...table.halted], [6])
  const places = Array.from({ length: 400 }, (_, index) => {
    const { shard } = shardSteps(table, `tenant-${String(index)}`, Signal.logs).at(-1)!
    return shard.partitions[0]!
  })
  assert.ok(!places.includes(6))
  const saturated = places.filter((partition) => partition < 6).length
  assert.ok(saturated > 70 && saturated < 150, `${String(saturated)} of about 109, before 218`)
})

void test('with a store that loses answers and is late the routers still agree', async () => {
  for (let seed = 10; seed < 20; seed++) {
    const cluster = new TestCluster(seed)
    const routers = await started(cluster, 3)
    const { calls } = cluster.members
    calls.faults = { unreachable: 0.1, answerLost: 0.1, late: 0.1, lateMsMax: 4000 }
    await cluster.load(routers, 120, 1500)
    calls.faults = NO_FAULTS
    await cluster.load(routers, 30, 1500)
    const versions = new Set(routers.map(({ keeper }) => keeper.table.version))
    assert.equal(versions.size, 1, `seed ${String(seed)}`)
    assert.ok(shardOf(routers[0]!).length >= 4)
    assert.equal(makers(routers), 1)
  }
})
