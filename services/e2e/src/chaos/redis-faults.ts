/** Faults of Redis: away, empty, old, slow, full, failed over with writes lost, two masters at once. */
import { setTimeout as sleep } from 'node:timers/promises'

import type { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { RedisPair } from '../cluster/redis-pair.ts'
import type { Fault, Scene } from './fault.ts'
import { hold, holdMs } from './fault.ts'

export function redisFaults(): Fault[] {
  return [
    onRedis('E1', 'killed, and started again', async (redis, scene, random) => {
      await redis.master.kill()
      return hold(scene, random, () => redis.master.restart())
    }),
    onRedis('E1', 'frozen', async (redis, scene, random) => {
      redis.master.pause()
      return hold(scene, random, () => redis.master.resume())
    }),
    onRedis('E2', 'failover that loses writes', async (redis, scene, random) => {
      redis.holdReplication()
      await sleep(holdMs(scene, random))
      await redis.master.kill()
      await redis.promote(() => true)
      await redis.master.restart()
      await redis.settle()
      return 'writes lost'
    }),
    onRedis('E3', 'FLUSHALL', async (redis) => {
      await redis.master.admin.flushall()
      return 'emptied'
    }),
    onRedis('E3', 'restarted empty', async (redis, scene, random) => {
      await redis.master.kill()
      return hold(scene, random, () => redis.master.restartEmpty())
    }),
    onRedis('E3', 'set back to an old state', async (redis, scene, random) => {
      const backup = await redis.master.backup()
      await sleep(holdMs(scene, random))
      await redis.master.restartFrom(backup)
      return 'set back'
    }),
    onRedis('E4', 'two masters, each with half of the processes', async (redis, scene, random) => {
      redis.holdReplication()
      const parity = random.below(2)
      await redis.promote((index) => index % 2 === parity)
      return hold({ ...scene, holdMsMax: 2 * scene.holdMsMax }, random, () => redis.settle())
    }),
    onRedis('E5', 'full', async (redis, scene, random) => {
      const { admin } = redis.master
      await admin.config('SET', 'maxmemory', '1')
      return hold(scene, random, async () => {
        await admin.config('SET', 'maxmemory', '0')
      })
    }),
    onRedis('E5', 'read only', async (redis, scene, random) => {
      const { admin } = redis.master
      await admin.config('SET', 'min-replicas-to-write', '5')
      return hold(scene, random, async () => {
        await admin.config('SET', 'min-replicas-to-write', '0')
      })
    }),
    onRedis('E5', 'forgets its scripts', async (redis, _scene, random) => {
      for (let time = 0; time < 3; time++) {
        await redis.master.admin.script('FLUSH')
        await sleep(random.below(500))
      }
      return 'SCRIPT FLUSH'
    }),
    onRedis('E5', 'busy', async (redis, scene, random) => {
      const seconds = String(holdMs(scene, random) / 1000)
      await redis.master.admin.call('DEBUG', 'SLEEP', seconds)
      return `${seconds} s`
    }),
  ]
}

function onRedis(
  id: string,
  what: string,
  run: (redis: RedisPair, scene: Scene, random: SeededRandom) => Promise<string>,
): Fault {
  return {
    id,
    name: `redis: ${what}`,
    group: 'redis',
    obstacle: ({ cluster }) => (cluster.parts.redis === undefined ? 'no Redis here' : undefined),
    run: (scene, random) => run(scene.cluster.parts.redis!, scene, random),
  }
}
