/** One seed of a simulated standalone process on a store and a disk that fail. */
import { Clients } from './clients.ts'
import { judge, type Judgement } from './oracle.ts'
import type { RunOutcome } from './simulate.ts'
import { STANDALONE_ID } from './simulated-standalone.ts'
import { StandaloneNemesis } from './standalone-nemesis.ts'
import { World, type WorldOptions } from './world.ts'

const DRAIN_MS_MAX = 120_000
const LOOK_MS = 250

export async function runStandalone(options: WorldOptions): Promise<RunOutcome> {
  const world = new World(options)
  const { clock, violations, ledger, trace } = world
  const nemesis = new StandaloneNemesis(world)
  const judgement = await clock.run(act(world, nemesis), 600_000)
  nemesis.end()
  return {
    seed: world.seed,
    violations: violations.found,
    traceHash: trace.hash,
    events: trace.count,
    lines: trace.lines,
    virtualMs: clock.monotonicMs(),
    faults: nemesis.faults,
    requests: ledger.requests,
    acknowledged: ledger.acknowledged,
    refusedCommits: world.bucket.refusedCommits,
    processes: nemesis.processes,
    records: 0,
    ...judgement,
  }
}

async function act(world: World, nemesis: StandaloneNemesis): Promise<Judgement> {
  const { clock, random, violations, bucket, ledger } = world
  nemesis.begin()
  const clients = new Clients({
    world,
    partitions: 1,
    endpoints: () => (nemesis.standalone?.isServing === true ? [nemesis.standalone] : []),
    count: 1 + random.below(3),
    requestsEach: 2 + random.below(5),
    gapMsMax: 900,
  })
  await nemesis.harm()
  nemesis.heal()
  clients.sendLast()
  const healedMs = clock.monotonicMs()
  for (;;) {
    const isFlushed =
      nemesis.standalone?.isServing === true && nemesis.standalone.unflushedRows === 0
    if (clients.isDone && isFlushed) break
    if (clock.monotonicMs() - healedMs > DRAIN_MS_MAX) {
      const waits = clients.isDone ? 'rows wait for their commit' : 'clients wait for answers'
      violations.add('L1', `not drained ${String(DRAIN_MS_MAX / 1000)} s after healing: ${waits}`)
      break
    }
    await clock.sleep(LOOK_MS)
  }
  world.note('drained')
  return judge({
    bucket,
    ledger,
    violations,
    partitions: [{ id: STANDALONE_ID, logEnd: undefined }],
    index: undefined,
  })
}
