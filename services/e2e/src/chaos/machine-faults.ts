/** Faults of the machine under a process: its clock, its memory, its disk, its one thread. */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { ClusterProcess, ProcessRole } from '../cluster/cluster-process.ts'
import type { Fault, Scene } from './fault.ts'
import { MemoryGroup } from '../cluster/memory-group.ts'
import { hold } from './fault.ts'

const ROLES: readonly ProcessRole[] = ['router', 'ingester', 'standalone']
/** Below a day: items further ahead of the clock than `--item-ahead-max` would be rejected, and told. */
const CLOCK_STEPS = ['+2h', '-2h', '+20h', '-20h', '+0']
/** The library looks at its file once a second. */
const CLOCK_STEP_MS = 1500
const HEAP_MIB = 24
const GROUP_BYTES = 24 * 1024 * 1024
const OUT_OF_MEMORY_WAIT_MS = 20_000
const STALL_WAIT_MS = 6500
const POLL_MS = 50

export function machineFaults(): Fault[] {
  return ROLES.flatMap((role) => [
    onProcess('CK1', 'clock stepped by hours', role, stepClock, clockObstacle),
    onProcess('M1', 'heap too small', role, shrinkHeap),
    onProcess('M1', 'killed for its memory', role, killForMemory, groupObstacle),
    onProcess('M2', 'event loop stalled', role, stall),
    ...(role === 'router' ? [] : [onProcess('K1', 'disk full', role, fillDisk, diskObstacle)]),
  ])
}

type Run = (victim: ClusterProcess, scene: Scene, random: SeededRandom) => Promise<string>

function onProcess(
  id: string,
  what: string,
  role: ProcessRole,
  run: Run,
  obstacle: (scene: Scene, role: ProcessRole) => string | undefined = () => undefined,
): Fault {
  return {
    id,
    name: `${role}: ${what}`,
    group: `process ${role}`,
    obstacle: (scene) =>
      scene.cluster.ofRole(role).length === 0 ? `no ${role} here` : obstacle(scene, role),
    run: async (scene, random) => {
      const victim = random.pick(scene.cluster.ofRole(role))
      const done = await run(victim, scene, random)
      await victim.untilReady()
      return done === '' ? '' : `${victim.name} ${done}`
    },
  }
}

function findFakeTime(): string | undefined {
  try {
    return readdirSync('/usr/lib', { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join('/usr/lib', name, 'faketime'))
      .flatMap((folder) => (listed(folder).includes(FAKE_TIME) ? [join(folder, FAKE_TIME)] : []))[0]
  } catch {
    return undefined
  }
}

const FAKE_TIME = 'libfaketimeMT.so.1'

function listed(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function clockObstacle(): string | undefined {
  return findFakeTime() === undefined ? 'no libfaketime: apt-get install faketime' : undefined
}

/** A restart puts the process under a clock of its own, which then jumps; another restart ends it. */
const stepClock: Run = async (victim, { cluster }, random) => {
  const file = join(cluster.folder, `${victim.name}.clock`)
  writeFileSync(file, '+0')
  victim.plan({
    environment: {
      LD_PRELOAD: findFakeTime()!,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_CACHE_DURATION: '1',
      NO_FAKE_STAT: '1',
    },
  })
  await victim.kill()
  await victim.untilReady()
  const steps = random.shuffled(CLOCK_STEPS)
  for (const step of steps) {
    writeFileSync(file, step)
    await sleep(CLOCK_STEP_MS)
  }
  await victim.kill()
  return steps.join(' ')
}

/** V8 ends the process at its bound of the heap; the next start has the usual one. */
const shrinkHeap: Run = async (victim) => {
  victim.plan({ nodeOptions: [`--max-old-space-size=${String(HEAP_MIB)}`], isEndExpected: true })
  const startsBefore = victim.starts
  await victim.kill()
  const hasRestarted = (): boolean => victim.starts > startsBefore + 1
  const hasDied = await within(OUT_OF_MEMORY_WAIT_MS, hasRestarted)
  if (!hasDied) await victim.kill()
  return hasDied ? `died with ${String(HEAP_MIB)} MiB` : `lived with ${String(HEAP_MIB)} MiB`
}

function groupObstacle(): string | undefined {
  const group = MemoryGroup.create(`probe-${String(process.pid)}`, GROUP_BYTES)
  group?.remove()
  return group === undefined ? 'no right to make a memory control group' : undefined
}

const killForMemory: Run = async (victim) => {
  const group = MemoryGroup.create(`${victim.name}-${String(process.pid)}`, GROUP_BYTES)
  const { current } = victim
  if (group === undefined || current === undefined) return ''
  victim.expectEnd()
  group.take(current.pid)
  const hasDied = await within(OUT_OF_MEMORY_WAIT_MS, () => !current.isRunning)
  if (!hasDied) await victim.kill()
  group.remove()
  return hasDied ? 'out of memory' : 'lived on'
}

const stall: Run = async (victim) => {
  victim.current?.signal('SIGUSR2')
  await sleep(STALL_WAIT_MS)
  return 'stalled'
}

function diskObstacle({ cluster }: Scene, role: ProcessRole): string | undefined {
  return cluster.ofRole(role).every(({ disk }) => disk?.isMounted === true)
    ? undefined
    : 'no right to mount a small disk'
}

const fillDisk: Run = async (victim, scene, random) => {
  victim.disk?.fill()
  return hold(scene, random, () => victim.disk?.free())
}

async function within(timeoutMs: number, isSo: () => boolean): Promise<boolean> {
  for (const until = performance.now() + timeoutMs; performance.now() < until;) {
    if (isSo()) return true
    await sleep(POLL_MS)
  }
  return isSo()
}
