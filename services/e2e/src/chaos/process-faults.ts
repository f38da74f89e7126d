/** Faults of the processes themselves: killed at random and at every crash point, frozen, restarted. */
import { setTimeout as sleep } from 'node:timers/promises'

import type { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { ClusterProcess, ProcessRole, StartPlan } from '../cluster/cluster-process.ts'
import type { CrashPoint } from '../crash/crash-points.ts'
import type { Fault, Scene } from './fault.ts'
import { CRASH_POINTS } from '../crash/crash-points.ts'
import { hold } from './fault.ts'

const ROLES: readonly ProcessRole[] = ['router', 'ingester', 'standalone']
/** Longer than a member may be silent, and then some: another has taken over. */
const TAKEOVER_MS = 8000
/** A crash point that is not passed so long after the start is given up. */
const POINT_WAIT_MS = 30_000
const POLL_MS = 20
const KILLS_WHILE_STARTING = 4
/** A stop that takes too long, with the store away at the same time, ends by itself. */
const FORCED_STATUS = 143

type Disk = 'same disk' | 'empty disk' | 'another owner'

export function processFaults(): Fault[] {
  return ROLES.flatMap((role) => [
    killAtRandom(role, 'same disk'),
    ...(role === 'ingester'
      ? [killAtRandom(role, 'empty disk'), killAtRandom(role, 'another owner')]
      : []),
    ...CRASH_POINTS.flatMap((point) => crashFaults(role, point)),
    killWhileStarting(role),
    freeze(role, 'P1', 8000),
    freeze(role, 'M2', 2000),
    restartCleanly(role),
    changeBuild(role),
  ])
}

function noneOf(role: ProcessRole) {
  return ({ cluster }: Scene): string | undefined =>
    cluster.ofRole(role).length === 0 ? `no ${role} here` : undefined
}

function pick(scene: Scene, role: ProcessRole, random: SeededRandom): ClusterProcess {
  return random.pick(scene.cluster.ofRole(role))
}

function planFor(disk: Disk): StartPlan {
  switch (disk) {
    case 'same disk':
      return {}
    case 'empty disk':
      return { isDiskEmpty: true }
    case 'another owner':
      return { pauseMs: TAKEOVER_MS }
  }
}

function killAtRandom(role: ProcessRole, disk: Disk): Fault {
  return {
    id: 'kill',
    name: `kill -9 ${role}, ${disk}`,
    group: `process ${role}`,
    obstacle: noneOf(role),
    run: async (scene, random) => {
      const victim = pick(scene, role, random)
      await sleep(random.below(1000))
      victim.plan(planFor(disk))
      await victim.kill()
      await victim.untilReady()
      return victim.name
    },
  }
}

function crashFaults(role: ProcessRole, point: CrashPoint): Fault[] {
  if (point.store === 'file') return []
  if (role === 'standalone')
    return point.isOfCluster === true ? [] : [crash(role, point, 'same disk')]
  if (point.half !== role || point.isOfStandalone === true) return []
  if (role === 'router') return [crash(role, point, 'same disk')]
  return (['same disk', 'empty disk', 'another owner'] as const).map((disk) =>
    crash(role, point, disk),
  )
}

/** Starts the victim with the point armed, and waits until it has died there. */
function crash(role: ProcessRole, point: CrashPoint, disk: Disk): Fault {
  return {
    id: point.id,
    name: `crash ${role} at ${point.name}, ${disk}`,
    group: `process ${role}`,
    obstacle: noneOf(role),
    run: async (scene, random) => {
      const victim = pick(scene, role, random)
      const nth = point.isAtStart === true ? 1 : 1 + random.below(3)
      const failpoints = `${point.name}=exit@${String(nth)}`
      const endsBefore = victim.ends.length
      victim.plan({ failpoints })
      await victim.kill()
      const isDead = (): boolean =>
        victim.ends.slice(endsBefore).some((end) => end.failpoints === failpoints)
      // what the start after the crash is like is told while the armed one runs
      const endsAt = (): number => performance.now() + POINT_WAIT_MS
      for (let until = endsAt(); performance.now() < until && !isDead();) {
        if (!victim.isReady && victim.ends.length === endsBefore + 1) until = endsAt()
        if (victim.isReady) victim.plan(planFor(disk))
        if (victim.isReady && point.isAtStop === true) await victim.terminate()
        await sleep(POLL_MS)
      }
      if (isDead()) victim.plan(planFor(disk))
      const wasReached = isDead()
      if (!wasReached) await victim.kill()
      await victim.untilReady()
      return wasReached ? `${victim.name} hit ${String(nth)}` : ''
    },
  }
}

function killWhileStarting(role: ProcessRole): Fault {
  return {
    id: 'I17',
    name: `kill -9 ${role} again and again while it starts`,
    group: `process ${role}`,
    obstacle: noneOf(role),
    run: async (scene, random) => {
      const victim = pick(scene, role, random)
      for (let kill = 0; kill < KILLS_WHILE_STARTING; kill++) {
        await victim.kill()
        await sleep(200 + random.below(1000))
      }
      await victim.untilReady()
      return victim.name
    },
  }
}

function freeze(role: ProcessRole, id: string, holdMsMax: number): Fault {
  return {
    id,
    name: `freeze ${role} for up to ${String(holdMsMax / 1000)} s`,
    group: `process ${role}`,
    obstacle: noneOf(role),
    run: async (scene, random) => {
      const victim = pick(scene, role, random)
      victim.current?.freeze()
      const held = await hold({ ...scene, holdMsMax }, random, () => victim.current?.thaw())
      return `${victim.name} ${held}`
    },
  }
}

function restartCleanly(role: ProcessRole): Fault {
  return {
    id: 'R6',
    name: `SIGTERM ${role}`,
    group: `process ${role}`,
    obstacle: noneOf(role),
    run: async (scene, random) => {
      const victim = pick(scene, role, random)
      const status = await victim.terminate()
      await victim.untilReady()
      if (status !== undefined && status !== 0 && status !== FORCED_STATUS) {
        throw new Error(`${victim.name} ended with ${String(status)} on SIGTERM`)
      }
      return victim.name
    },
  }
}

/** One after the other, as an upgrade does it and a rollback takes it back. */
function changeBuild(role: ProcessRole): Fault {
  return {
    id: 'P4',
    name: `build: ${role} goes on as the other one`,
    group: `process ${role}`,
    obstacle: ({ cluster }) => {
      const isMixed = cluster.ofRole(role).some(({ hasOlderBuild }) => hasOlderBuild)
      return isMixed ? undefined : 'no older build here'
    },
    run: async (scene, random) => {
      const victim = pick(scene, role, random)
      victim.isOlderBuild = !victim.isOlderBuild
      if (random.chance(0.5)) await victim.terminate()
      else await victim.kill()
      await victim.untilReady()
      return `${victim.name} ${victim.isOlderBuild ? 'older' : 'newer'}`
    },
  }
}
