/**
 * Who starts, kills, stops and cuts off the processes of a simulated cluster, and troubles log, store and
 * leases, by chance under the seed of the world. After `heal` nothing goes wrong any more.
 */
import { hookFailpoints } from '@tributary/common/failpoint'
import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import { NO_FAULTS } from '@tributary/common/testing/faulty-calls'
import { HEALTHY_LOG } from '@tributary/common/testing/memory-log-faults'
import { HEALTHY_STORE, MemoryObjectStore } from '@tributary/common/testing/memory-object-store'
import { sweepOrphans } from '@tributary/common/verify/orphan-sweep'
import { Ambushes } from './ambushes.ts'
import type { ClusterWorld } from './cluster-world.ts'
import { drawTroubles } from './troubles.ts'
import { SimulatedIngester, TIME_TO_LIVE_MS } from './simulated-ingester.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import { SimulatedRouter } from './simulated-router.ts'

/** Where an ingester or a router can be caught in the middle of something. */
const FAILPOINTS = [
  'ingester:recovered',
  'fetch:received',
  'wal:rotate',
  'wal:mid-write',
  'wal:after-write',
  'wal:recover',
  'wal:truncate',
  'ingester:before-insert',
  'ingester:before-truncate',
  'flush:frozen',
  'flush:before-put',
  'flush:after-put',
  'flush:before-commit',
  'flush:after-commit',
  'commit:before-put',
  'commit:after-put',
  'handover:paused',
  'produce:before',
  'produce:stored',
] as const

const INGESTERS_MAX = 3
export class Nemesis {
  readonly #world: ClusterWorld
  readonly #ambushes: Ambushes
  #ingesters: SimulatedIngester[] = []
  #routers: SimulatedRouter[] = []
  #names = 0
  #snapshot: ReturnType<ClusterWorld['leases']['state']['snapshot']> | undefined
  faults = 0
  /** Starts of ingesters and routers. */
  processes = 0

  constructor(world: ClusterWorld) {
    this.#world = world
    this.#ambushes = new Ambushes(world, FAILPOINTS, {
      kill: (process) => {
        this.#killProcess(process)
      },
      freeze: (process) => {
        this.#freeze(process)
      },
    })
  }

  get ingesters(): readonly SimulatedIngester[] {
    return this.#ingesters
  }

  get routers(): readonly SimulatedRouter[] {
    return this.#routers
  }

  begin(): void {
    this.#ambushes.begin()
    const { random } = this.#world
    for (let count = random.chance(0.3) ? 3 : 2; count > 0; count--) this.#join()
    for (let count = random.chance(0.5) ? 2 : 1; count > 0; count--) this.#addRouter()
  }

  end(): void {
    hookFailpoints([], undefined)
    for (const { process } of [...this.#ingesters, ...this.#routers]) process.end()
  }

  /** Lets things go wrong for a while. */
  async harm(): Promise<void> {
    const { clock, random } = this.#world
    drawTroubles(this.#world)
    for (let count = 2 + random.below(6); count > 0; count--) {
      await clock.sleep(random.below(600))
      this.#harmOnce()
      this.faults++
    }
    await clock.sleep(random.below(600))
  }

  heal(): void {
    const { bucket, broker, leases } = this.#world
    this.#note('all is healed')
    this.#ambushes.clear()
    Object.assign(bucket.faults, { ...HEALTHY_STORE, delayMs: bucket.faults.delayMs })
    bucket.repeatChance = 0
    bucket.isStopped = false
    Object.assign(broker.faults, { ...HEALTHY_LOG, delayMs: broker.faults.delayMs })
    broker.start()
    leases.calls.faults = NO_FAULTS
    leases.join(false)
    this.#world.encodeFailureChance = 0
    for (const one of this.#ingesters) {
      one.line.isCut = false
      one.line.isOnSecond = false
      one.indexLine.isCut = false
      one.process.thaw()
      one.disk.clearFaults()
      one.disk.shortWriteChance = 0
      one.disk.capacityBytes = Infinity
    }
    for (const { process } of this.#routers) process.thaw()
    this.#ingesters = this.#ingesters.filter(({ isDraining }) => !isDraining)
    while (this.#ingesters.length < 1) this.#join()
    while (this.#routers.length < 1) this.#addRouter()
  }

  #join(name = `host-${String(this.#names++)}`, disk?: FaultFileSystem): void {
    const own = disk ?? new FaultFileSystem(this.#world.random.uint32())
    this.processes++
    this.#ingesters.push(new SimulatedIngester(this.#world, name, own))
  }

  #addRouter(): void {
    this.processes++
    this.#routers.push(new SimulatedRouter(this.#world, `router-${String(this.#names++)}`))
  }

  #harmOnce(): void {
    const { random, clock, leases } = this.#world
    const one = this.#someIngester()
    const router = this.#routers.length === 0 ? undefined : random.pick(this.#routers)
    const harms: readonly (readonly [name: string, act: () => void])[] = [
      ['kill', () => one && this.#kill(one)],
      ['ambush', () => this.#ambushes.lay(false)],
      ['ambush', () => this.#ambushes.lay(false)],
      ['ambush to freeze', () => this.#ambushes.lay(true)],
      ['freeze', () => one && this.#freeze(one.process)],
      ['kill router', () => router && this.#killRouter(router)],
      ['freeze router', () => router && this.#freeze(router.process)],
      ['join', () => this.#ingesters.length < INGESTERS_MAX && this.#join()],
      ['drain', () => one && this.#drain(one)],
      ['cut from leases', () => one && this.#cut(one)],
      ['flush leases', () => leases.state.flushAll()],
      ['free leases', () => this.#freeLeases()],
      ['leases go back', () => this.#rewind()],
      ['split leases', () => this.#split()],
      ['flush index', () => this.#world.indexState.flushAll()],
      ['sweep orphans', () => this.#sweep()],
      ['stop store', () => this.#stopStore()],
      ['stop brokers', () => this.#stopBrokers()],
      ['disk', () => one && this.#harmDisk(one)],
      ['step clock', () => clock.stepWallClock(random.below(7_200_000) - 3_600_000)],
      [
        'step clock of one',
        () => one && void (one.process.clock.wallOffsetMs = random.below(7_200_000) - 3_600_000),
      ],
    ]
    const [name, act] = random.pick(harms)
    this.#note(name)
    act()
  }

  /** More often than not one that owns something. */
  #someIngester(): SimulatedIngester | undefined {
    const { random } = this.#world
    const owners = this.#ingesters.filter(({ owned }) => owned.length > 0)
    const among = owners.length > 0 && random.chance(0.7) ? owners : this.#ingesters
    return among.length === 0 ? undefined : random.pick(among)
  }

  /** Somebody else may take what its owner still works on. */
  #freeLeases(): void {
    const { state } = this.#world.leases
    const snapshot = state.snapshot()
    const leases = snapshot.leases.map(([partition, lease]) => {
      return [partition, { ...lease, owner: '' }] as const
    })
    state.restore({ ...snapshot, leases })
  }

  #killProcess(process: SimulatedProcess): void {
    const victim = this.#ingesters.find((each) => each.process === process)
    const router = this.#routers.find((each) => each.process === process)
    if (victim !== undefined) this.#kill(victim)
    else if (router !== undefined) this.#killRouter(router)
    else process.end()
  }

  #kill(victim: SimulatedIngester): void {
    const { random } = this.#world
    this.#ingesters = this.#ingesters.filter((each) => each !== victim)
    victim.process.end()
    const disk = victim.disk.killProcess()
    const fate = random.below(5)
    this.#note(`${victim.name} is killed, fate ${String(fate)}`)
    const delayMs = random.chance(0.5) ? 0 : random.below(2 * TIME_TO_LIVE_MS)
    this.#later(delayMs, () => {
      if (fate === 0 || fate === 1) this.#join(victim.name, disk)
      if (fate === 2) this.#join(victim.name, disk.losePower())
      if (fate === 3) this.#join(victim.name)
    })
  }

  #killRouter(victim: SimulatedRouter): void {
    const { random } = this.#world
    this.#routers = this.#routers.filter((each) => each !== victim)
    victim.process.end()
    this.#later(random.below(1500), () => {
      this.#addRouter()
    })
  }

  /** Past the lease more often than not. */
  #freeze(process: SimulatedProcess): void {
    process.freeze()
    this.#later(this.#world.random.below(4 * TIME_TO_LIVE_MS), () => {
      process.thaw()
    })
  }

  #drain(victim: SimulatedIngester): void {
    victim.stop()
    this.#later(5000 + this.#world.random.below(5000), () => {
      this.#ingesters = this.#ingesters.filter((each) => each !== victim)
      victim.process.end()
    })
  }

  #cut(one: SimulatedIngester): void {
    this.#during(
      3 * TIME_TO_LIVE_MS,
      () => void (one.line.isCut = true),
      () => void (one.line.isCut = false),
    )
  }

  /** Back to what was some time ago, as after a failover that lost writes. */
  #rewind(): void {
    const { leases } = this.#world
    if (this.#snapshot === undefined) this.#snapshot = leases.state.snapshot()
    else leases.state.restore(this.#snapshot)
  }

  #split(): void {
    const { leases, random } = this.#world
    const isSecondKept = random.chance(0.5)
    this.#during(
      4 * TIME_TO_LIVE_MS,
      () => {
        leases.split()
        for (const { line } of this.#ingesters) line.isOnSecond = random.chance(0.5)
      },
      () => {
        leases.join(isSecondKept)
        for (const { line } of this.#ingesters) line.isOnSecond = false
      },
    )
  }

  #harmDisk({ disk }: SimulatedIngester): void {
    const { random } = this.#world
    const times = 1 + random.below(6)
    const path = /wal/
    const code = random.pick(['ENOSPC', 'EIO'])
    const operation = random.pick([
      'write',
      'write',
      'open',
      'syncDirectory',
      'unlink',
      'read',
    ] as const)
    disk.inject({ operation, path, code, times, partialBytes: random.below(200) })
  }

  #stopStore(): void {
    const { bucket } = this.#world
    const stop = (isStopped: boolean) => (): void => {
      bucket.isStopped = isStopped
    }
    this.#during(3000, stop(true), stop(false))
  }

  #stopBrokers(): void {
    const { broker, random } = this.#world
    const some = random.chance(0.5) ? undefined : 'broker-1'
    this.#during(
      3000,
      () => {
        broker.stop(some)
      },
      () => {
        broker.start()
      },
    )
  }

  /** At any time, by whoever: without a grace, which is a courtesy to readers. */
  #sweep(): void {
    const { bucket, clock, ports } = this.#world
    const store = new MemoryObjectStore(bucket, clock)
    const sweep = ports.sweep ?? ((all) => sweepOrphans(all, { graceMs: -1, clock }))
    // a store that refuses: housekeeping is done another time
    void sweep(store).catch(() => undefined)
  }

  /** Something that ends by itself, or with the healing. */
  #during(msMax: number, begin: () => void, end: () => void): void {
    begin()
    this.#later(this.#world.random.below(msMax), end)
  }

  #later(delayMs: number, act: () => void): void {
    this.#world.clock.after(delayMs, act)
  }

  #note(what: string): void {
    this.#world.note(`* ${what}`)
  }
}
