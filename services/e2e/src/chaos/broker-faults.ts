/** Faults of Kafka: brokers killed, frozen, restarted one after another, leaders moved, all away. */
import type { KafkaServer } from '@tributary/common/testing/kafka-server'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { Fault, Scene } from './fault.ts'
import { TOPIC } from '../cluster/cluster-parts.ts'
import { hold } from './fault.ts'

const LEADER_MOVES = 3

export function brokerFaults(): Fault[] {
  return [
    onBrokers('Q1', 'one killed, and started again', async (kafka, scene, random) => {
      const id = random.pick(kafka.nodeIds)
      await kafka.kill(id)
      const held = await hold(scene, random, () => kafka.restart(id))
      return `broker ${String(id)} ${held}`
    }),
    onBrokers('Q1', 'restarted one after another', async (kafka) => {
      for (const id of kafka.nodeIds) {
        await kafka.terminate(id)
        await kafka.restart(id)
        await kafka.untilInSync(TOPIC)
      }
      return 'all'
    }),
    onBrokers('Q2', 'leaders moved', async (kafka, scene, random) => {
      for (let move = 0; move < LEADER_MOVES; move++) {
        const partition = random.below(scene.cluster.parts.partitions)
        await kafka.moveLeader(TOPIC, partition, random.pick(kafka.nodeIds))
      }
      return String(LEADER_MOVES)
    }),
    onBrokers('Q3', 'one frozen', async (kafka, scene, random) => {
      const id = random.pick(kafka.nodeIds)
      await kafka.freeze(id)
      // past the session of a broker: others lead, and it comes back as a stale leader
      const held = await hold({ ...scene, holdMsMax: 8000 }, random, () => kafka.thaw(id))
      return `broker ${String(id)} ${held}`
    }),
    onBrokers('Q5', 'two of three killed', async (kafka, scene, random) => {
      const [first, second] = random.shuffled(kafka.nodeIds)
      await kafka.kill(first!)
      await kafka.kill(second!)
      return hold(scene, random, async () => {
        kafka.startNode(first!)
        await kafka.restart(second!)
      })
    }),
    onBrokers('Q6', 'all killed', async (kafka, scene, random) => {
      for (const id of kafka.nodeIds) await kafka.kill(id)
      return hold(scene, random, async () => {
        for (const id of kafka.nodeIds) kafka.startNode(id)
        await kafka.untilReady()
      })
    }),
  ]
}

function onBrokers(
  id: string,
  what: string,
  run: (kafka: KafkaServer, scene: Scene, random: SeededRandom) => Promise<string>,
): Fault {
  return {
    id,
    name: `brokers: ${what}`,
    group: 'brokers',
    obstacle: ({ cluster }) => (cluster.parts.kafka === undefined ? 'no Kafka here' : undefined),
    run: (scene, random) => run(scene.cluster.parts.kafka!, scene, random),
  }
}
