/** How the services of a simulated cluster behave until all is healed: well, or badly in some of many ways. */
import { TROUBLED_LOG } from '@tributary/common/testing/memory-log-faults'
import type { ClusterWorld } from './cluster-world.ts'
import type { World } from './world.ts'

/** Each trouble is there in so many of the seeds: alone, with others, or not at all. */
const TROUBLE_CHANCE = 0.3

export function drawTroubles(world: ClusterWorld): void {
  const { broker, leases, random } = world
  const some = chooser(world)
  drawStoreTroubles(world)
  Object.assign(broker.faults, {
    delayMs: random.pick([
      [0, 3],
      [1, 1],
      [0, 40],
    ] as const),
    refusedChance: some(0.06, 0),
    lostAnswerChance: some(0.06, 0),
    lateStoreChance: some(0.05, 0),
    duplicateChance: some(0.1, 0),
    readFailedChance: some(0.05, 0),
    // a record counts as bad after four fetches: more would make quarantine of sound ones likely
    flippedBitChance: some(0.003, 0),
    boundsFailedChance: some(0.1, 0),
    deliveryRecordsMax: random.pick([1, 3, TROUBLED_LOG.deliveryRecordsMax]),
    appendSkewMs: some(500, 0),
  })
  leases.calls.faults = {
    unreachable: some(0.1, 0),
    answerLost: some(0.1, 0),
    late: some(0.1, 0),
    lateMsMax: 6000,
  }
}

/** The same for a world without log and leases. */
export function drawStoreTroubles(world: World): void {
  const { bucket, random } = world
  const some = chooser(world)
  Object.assign(bucket.faults, {
    delayMs: random.pick([
      [0, 3],
      [1, 1],
      [0, 60],
    ] as const),
    refusedChance: some(0.06, 0),
    lostAnswerChance: some(0.06, 0),
    lateChance: some(0.05, 0),
    lateMsMax: 8000,
    staleListChance: some(0.3, 0),
    staleMs: 3000,
  })
  bucket.repeatChance = some(0.1, 0)
  bucket.repeatMsMax = 8000
  world.encodeFailureChance = some(0.05, 0)
}

function chooser({ random }: World): <Value>(troubled: Value, healthy: Value) => Value {
  return (troubled, healthy) => (random.chance(TROUBLE_CHANCE) ? troubled : healthy)
}
