/** Chunks of requests that come at about the same time share a batch, as in the router's batcher. */
import { decodeEnvelope, type EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { testBatch, type TestChunk } from '@tributary/ingester/testing/test-batches'
import type { SimulatedProcess } from './simulated-process.ts'
import type { World } from './world.ts'

/** Takes a closed batch; resolves when it is durable. */
export type AppendBatch = (
  partition: number,
  bytes: Uint8Array,
  header: EnvelopeHeader,
) => Promise<void>

interface OpenBatch {
  readonly chunks: TestChunk[]
  isPoison: boolean
  readonly stored: PromiseWithResolvers<void>
}

/** Longest time that chunks gather. */
const GATHER_MS_MAX = 20

export class BatchGatherer {
  readonly #world: World
  readonly #process: SimulatedProcess
  readonly #append: AppendBatch
  readonly #open = new Map<number, OpenBatch>()

  constructor(world: World, process: SimulatedProcess, append: AppendBatch) {
    this.#world = world
    this.#process = process
    this.#append = append
  }

  /**
   * Takes the chunks of a request, by partition; resolves when all are stored.
   * @throws AppError what the client is told to retry for
   */
  async send(chunks: ReadonlyMap<number, readonly TestChunk[]>, isPoison: boolean): Promise<void> {
    await this.#process.running()
    const parts = [...chunks].map(([partition, part]) => this.#add(partition, part, isPoison))
    await this.#process.answerOf(Promise.all(parts))
  }

  #add(partition: number, chunks: readonly TestChunk[], isPoison: boolean): Promise<void> {
    const known = this.#open.get(partition)
    if (known !== undefined) {
      known.chunks.push(...chunks)
      known.isPoison ||= isPoison
      return known.stored.promise
    }
    const batch = { chunks: [...chunks], isPoison, stored: Promise.withResolvers<void>() }
    this.#open.set(partition, batch)
    this.#process.clock.after(this.#world.random.below(GATHER_MS_MAX), () => {
      this.#open.delete(partition)
      this.#close(partition, batch).then(batch.stored.resolve, batch.stored.reject)
    })
    return batch.stored.promise
  }

  async #close(partition: number, { chunks, isPoison }: OpenBatch): Promise<void> {
    const { random, poison, ledger } = this.#world
    const { bytes } = testBatch(random, chunks)
    const { header } = decodeEnvelope(bytes)
    if (isPoison) {
      poison.add(Buffer.from(header.batchId).toString('hex'))
      ledger.poisoned(chunks)
    }
    await this.#append(partition, bytes, header)
  }
}
