/**
 * One seed of a simulated cluster: it starts, clients send, everything goes wrong for a while, all is
 * healed, and then it has to drain by itself. What is in the bucket is judged last.
 */
import { partitionPath } from '@tributary/common/paths'
import { Clients } from './clients.ts'
import { ClusterWorld } from './cluster-world.ts'
import { Nemesis } from './nemesis.ts'
import { judge, type Judgement } from './oracle.ts'
import { BEAT_MS, TIME_TO_LIVE_MS } from './simulated-ingester.ts'
import type { RunOutcome } from './simulate.ts'
import type { WorldOptions } from './world.ts'

/** Pauses grow up to 30 s, one may have begun just before all was healed; the index is checked once a minute. */
const DRAIN_MS_MAX = 120_000
const LOOK_MS = 250
/** Until the first owners have opened their partitions. */
const SETTLE_MS = 2 * BEAT_MS + TIME_TO_LIVE_MS + 3 * BEAT_MS

export async function runCluster(options: WorldOptions): Promise<RunOutcome> {
  const world = new ClusterWorld(options)
  const { clock, violations, ledger, broker } = world
  const nemesis = new Nemesis(world)
  const judgement = await clock.run(act(world, nemesis), 600_000)
  nemesis.end()
  return {
    seed: world.seed,
    violations: violations.found,
    traceHash: world.trace.hash,
    events: world.trace.count,
    lines: world.trace.lines,
    virtualMs: clock.monotonicMs(),
    faults: nemesis.faults,
    requests: ledger.requests,
    acknowledged: ledger.acknowledged,
    refusedCommits: world.bucket.refusedCommits,
    processes: nemesis.processes,
    records: Array.from({ length: broker.partitionCount }, (_, partition) =>
      Number(broker.bounds(partition).end),
    ).reduce((sum, count) => sum + count, 0),
    ...judgement,
  }
}

async function act(world: ClusterWorld, nemesis: Nemesis): Promise<Judgement> {
  const { clock, random, violations, broker } = world
  nemesis.begin()
  // leases are taken only once the store of them is old enough: most of the trouble comes after that
  if (random.chance(0.9)) await clock.sleep(SETTLE_MS)
  const clients = new Clients({
    world,
    partitions: broker.partitionCount,
    endpoints: () => nemesis.routers,
    count: 1 + random.below(3),
    requestsEach: 2 + random.below(4),
    gapMsMax: 800,
  })
  await nemesis.harm()
  nemesis.heal()
  // most of the time: an index that was emptied has to be filled without a commit too
  if (random.chance(0.8)) clients.sendLast()
  const healedMs = clock.monotonicMs()
  let wanting: string | undefined
  for (;;) {
    wanting = clients.isDone ? notDrained(world, nemesis) : 'clients wait for answers'
    if (wanting === undefined) break
    if (clock.monotonicMs() - healedMs > DRAIN_MS_MAX) {
      violations.add('L1', `not drained ${String(DRAIN_MS_MAX / 1000)} s after healing: ${wanting}`)
      break
    }
    await clock.sleep(LOOK_MS)
  }
  world.note('drained')
  return judge({
    bucket: world.bucket,
    ledger: world.ledger,
    violations,
    partitions: Array.from({ length: broker.partitionCount }, (_, partition) => ({
      id: world.idOf(partition),
      logEnd: wanting === undefined ? broker.bounds(partition).end : undefined,
    })),
    index: wanting === undefined ? world.indexState : undefined,
  })
}

/** What is still to happen; undefined where nothing is. */
function notDrained(world: ClusterWorld, nemesis: Nemesis): string | undefined {
  const { broker, bucket, indexState } = world
  for (let partition = 0; partition < broker.partitionCount; partition++) {
    const path = partitionPath(world.idOf(partition))
    const owners = nemesis.ingesters.filter(({ owned }) => owned.includes(partition))
    if (owners.length !== 1)
      return `partition ${String(partition)} has ${String(owners.length)} owners`
    const logEnd = broker.bounds(partition).end
    const chainEnd = bucket.endOf(path)
    if (chainEnd !== logEnd) return `the chain is at ${String(chainEnd)} of ${String(logEnd)}`
    const indexEnd = indexState.current?.chains.get(path)?.end ?? 0n
    if (indexEnd !== chainEnd) return `the index is at ${String(indexEnd)} of ${String(chainEnd)}`
  }
  return undefined
}
