/** Who starts, kills and stops a simulated standalone process, and troubles its disk and its store. */
import { hookFailpoints } from '@tributary/common/failpoint'
import { FaultFileSystem, type FaultOperation } from '@tributary/common/testing/fault-file-system'
import { HEALTHY_STORE } from '@tributary/common/testing/memory-object-store'
import { Ambushes } from './ambushes.ts'
import { SimulatedStandalone } from './simulated-standalone.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import { drawStoreTroubles } from './troubles.ts'
import type { World } from './world.ts'

const FAILPOINTS = [
  'ingester:recovered',
  'wal:rotate',
  'wal:mid-write',
  'wal:after-write',
  'wal:recover',
  'wal:truncate',
  'flush:frozen',
  'flush:before-put',
  'flush:after-put',
  'flush:before-commit',
  'flush:after-commit',
  'commit:before-put',
  'commit:after-put',
] as const

const DISK_CALLS: readonly FaultOperation[] = [
  'write',
  'datasync',
  'datasync',
  'sync',
  'open',
  'truncate',
  'unlink',
  'syncDirectory',
  'rename',
]

export class StandaloneNemesis {
  readonly #world: World
  readonly #ambushes: Ambushes
  #standalone: SimulatedStandalone | undefined
  #disk: FaultFileSystem
  #isHealed = false
  faults = 0
  /** Starts. */
  processes = 0

  constructor(world: World) {
    this.#world = world
    this.#disk = new FaultFileSystem(world.random.uint32())
    this.#ambushes = new Ambushes(world, FAILPOINTS, {
      kill: () => {
        this.#kill()
      },
      freeze: (process) => {
        this.#freeze(process)
      },
    })
  }

  get standalone(): SimulatedStandalone | undefined {
    return this.#standalone
  }

  begin(): void {
    this.#ambushes.begin()
    this.#start()
  }

  end(): void {
    hookFailpoints([], undefined)
    this.#standalone?.process.end()
  }

  async harm(): Promise<void> {
    const { clock, random } = this.#world
    drawStoreTroubles(this.#world)
    this.#disk.shortWriteChance = random.chance(0.2) ? 0.3 : 0
    for (let count = 3 + random.below(6); count > 0; count--) {
      await clock.sleep(random.below(700))
      this.#harmOnce()
      this.faults++
    }
  }

  heal(): void {
    const { bucket } = this.#world
    this.#world.note('* all is healed')
    this.#isHealed = true
    this.#ambushes.clear()
    Object.assign(bucket.faults, { ...HEALTHY_STORE, delayMs: bucket.faults.delayMs })
    bucket.repeatChance = 0
    bucket.isStopped = false
    this.#world.encodeFailureChance = 0
    this.#healDisk()
    this.#standalone?.process.thaw()
  }

  #healDisk(): void {
    this.#disk.clearFaults()
    this.#disk.capacityBytes = Infinity
    this.#disk.shortWriteChance = 0
  }

  #start(): void {
    if (this.#isHealed) this.#healDisk()
    this.#world.note('* start')
    this.processes++
    this.#standalone = new SimulatedStandalone(this.#world, this.#disk, () => {
      this.#world.note('* it ends by itself')
      this.#kill()
    })
  }

  #harmOnce(): void {
    const { random, clock, bucket } = this.#world
    const process = this.#standalone?.process
    const harms: readonly (readonly [name: string, act: () => void])[] = [
      ['kill', () => this.#kill()],
      ['ambush', () => this.#ambushes.lay(false)],
      ['ambush', () => this.#ambushes.lay(false)],
      ['ambush to freeze', () => this.#ambushes.lay(true)],
      ['freeze', () => process && this.#freeze(process)],
      ['stop', () => void this.#stop()],
      ['disk', () => this.#harmDisk()],
      ['disk', () => this.#harmDisk()],
      ['disk full', () => void (this.#disk.capacityBytes = 2000 + random.below(4000))],
      ['disk has room', () => void (this.#disk.capacityBytes = Infinity)],
      ['store stops', () => void (bucket.isStopped = true)],
      ['store goes on', () => void (bucket.isStopped = false)],
      ['step clock', () => clock.stepWallClock(random.below(7_200_000) - 3_600_000)],
    ]
    const [name, act] = random.pick(harms)
    this.#world.note(`* ${name}`)
    act()
  }

  /** It ends, or the machine does, and comes back on the disk that is left. */
  #kill(): void {
    const victim = this.#standalone
    if (victim === undefined) return
    const { random } = this.#world
    this.#standalone = undefined
    victim.process.end()
    const isPowerLost = random.chance(0.5)
    this.#world.note(isPowerLost ? '* the power is lost' : '* it is killed')
    const { capacityBytes, shortWriteChance } = victim.disk
    this.#disk = isPowerLost
      ? victim.disk.killProcess().losePower(random.pick([0, 0.5, 0.9]))
      : victim.disk.killProcess()
    Object.assign(this.#disk, { capacityBytes, shortWriteChance })
    this.#world.clock.after(50 + random.below(1000), () => {
      this.#start()
    })
  }

  async #stop(): Promise<void> {
    const victim = this.#standalone
    if (victim === undefined) return
    await victim.stop()
    if (victim === this.#standalone) this.#kill()
  }

  #freeze(process: SimulatedProcess): void {
    process.freeze()
    this.#world.clock.after(this.#world.random.below(2000), () => {
      process.thaw()
    })
  }

  #harmDisk(): void {
    const { random } = this.#world
    this.#disk.inject({
      operation: random.pick(DISK_CALLS),
      path: /wal/,
      code: random.pick(['ENOSPC', 'EIO', 'EIO']),
      nth: 1 + random.below(3),
      times: random.chance(0.7) ? 1 : 3,
      partialBytes: random.below(100),
    })
  }
}
