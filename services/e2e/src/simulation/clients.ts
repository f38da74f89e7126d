/**
 * Clients of a simulated world: each sends requests, hears OK, an error or nothing, and sends the same
 * chunks again until it hears OK, at whatever endpoint there is. Some give up after two tries.
 */
import type { SeededRandom } from '@tributary/common/testing/seeded-random'
import { testChunk, type TestChunk } from '@tributary/ingester/testing/test-batches'
import type { World } from './world.ts'

/** What takes requests. */
export interface Endpoint {
  send(chunks: ReadonlyMap<number, readonly TestChunk[]>, isPoison: boolean): Promise<void>
}

export interface ClientsOptions {
  readonly world: World
  readonly partitions: number
  /** Who takes connections now. */
  readonly endpoints: () => readonly Endpoint[]
  readonly count: number
  readonly requestsEach: number
  /** Least and most time between two requests of a client, milliseconds. */
  readonly gapMsMax: number
}

/** Longer than most answers take, shorter than a router tries: some answers come too late. */
const TIMEOUT_MS = 1200
const POISON_CHANCE = 0.02
const GIVE_UP_CHANCE = 0.15

export class Clients {
  readonly #options: ClientsOptions
  #left: number

  constructor(options: ClientsOptions) {
    this.#options = options
    this.#left = options.count
    for (let client = 0; client < options.count; client++) {
      void this.#run(client).then(() => this.#left--)
    }
  }

  /** Whether every request has been answered or given up. */
  get isDone(): boolean {
    return this.#left === 0
  }

  /** One more request for every partition: whatever happened, it is answered and stored. */
  sendLast(): void {
    const { world, partitions } = this.#options
    const chunks = new Map<number, readonly TestChunk[]>()
    for (let partition = 0; partition < partitions; partition++) {
      chunks.set(partition, [testChunk(world.random)])
    }
    this.#left++
    void this.#deliver('last request', chunks, false, false).then(() => this.#left--)
  }

  async #run(client: number): Promise<void> {
    const { world, requestsEach, gapMsMax } = this.#options
    const { random, clock } = world
    const givesUp = random.chance(GIVE_UP_CHANCE)
    for (let request = 0; request < requestsEach; request++) {
      await clock.sleep(random.below(gapMsMax))
      await this.#send(`client ${String(client)} request ${String(request)}`, givesUp)
    }
  }

  async #send(name: string, givesUp: boolean): Promise<void> {
    const { world, partitions } = this.#options
    const { random } = world
    const chunks = chunksByPartition(random, partitions)
    await this.#deliver(name, chunks, random.chance(POISON_CHANCE), givesUp)
  }

  async #deliver(
    name: string,
    chunks: ReadonlyMap<number, readonly TestChunk[]>,
    isPoison: boolean,
    givesUp: boolean,
  ): Promise<void> {
    const { world, endpoints } = this.#options
    const { random, clock, ledger } = world
    ledger.requests++
    for (const [partition, part] of chunks) for (const chunk of part) ledger.sent(partition, chunk)
    for (let attempt = 1; ; attempt++) {
      const living = endpoints()
      const endpoint = living.length === 0 ? undefined : random.pick(living)
      // a batch of poison is one in its first try only: what is stored then is this client's next try
      const outcome = await this.#try(endpoint, chunks, isPoison && attempt === 1)
      world.note(`${name} try ${String(attempt)} ${outcome}`)
      if (outcome === 'ok') {
        ledger.acknowledge([...chunks.values()].flat())
        return
      }
      if (givesUp && attempt === 2) return
      await clock.sleep(100 + random.below(400))
    }
  }

  async #try(
    endpoint: Endpoint | undefined,
    chunks: ReadonlyMap<number, readonly TestChunk[]>,
    isPoison: boolean,
  ): Promise<'ok' | 'refused' | 'timeout'> {
    if (endpoint === undefined) return 'refused'
    const sent = endpoint.send(chunks, isPoison).then(
      () => 'ok' as const,
      () => 'refused' as const,
    )
    const timeout = this.#options.world.clock.sleep(TIMEOUT_MS).then(() => 'timeout' as const)
    return Promise.race([sent, timeout])
  }
}

function chunksByPartition(
  random: SeededRandom,
  partitionCount: number,
): ReadonlyMap<number, readonly TestChunk[]> {
  const chunks = new Map<number, TestChunk[]>()
  for (let count = 1 + random.below(3); count > 0; count--) {
    const partition = random.below(partitionCount)
    const part = chunks.get(partition) ?? []
    part.push(testChunk(random))
    chunks.set(partition, part)
  }
  return chunks
}
