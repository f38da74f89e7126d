/**
 * A router of a simulated cluster from closed batches on: chunks of requests that come at about the same
 * time share a batch, as in the batcher; from there to the log it is the router's own sink.
 */
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import { MemoryPartitionLog } from '@tributary/common/testing/memory-partition-log'
import { testBatch, type TestChunk } from '@tributary/ingester/testing/test-batches'
import { LogSink } from '@tributary/router/produce/log-sink'
import type { ClusterWorld } from './cluster-world.ts'
import { ProcessLog } from './process-ports.ts'
import { envelopePool, produceMetrics } from './silent-parts.ts'
import { SimulatedProcess } from './simulated-process.ts'

interface OpenBatch {
  readonly chunks: TestChunk[]
  isPoison: boolean
  readonly stored: PromiseWithResolvers<void>
}

/** Longest time that chunks gather. */
const GATHER_MS_MAX = 20

export class SimulatedRouter {
  readonly process: SimulatedProcess
  readonly #world: ClusterWorld
  readonly #sinks: readonly LogSink[]
  readonly #open = new Map<number, OpenBatch>()

  constructor(world: ClusterWorld, name: string) {
    this.#world = world
    const { broker, random } = world
    const process = new SimulatedProcess(name, world.clock)
    this.process = process
    const memory = new MemoryPartitionLog(broker)
    process.onEnd(() => {
      memory.crash()
    })
    const own = new ProcessLog(memory, process)
    const log = world.ports.routerLog?.(own, { process, random }) ?? own
    this.#sinks = Array.from(
      { length: broker.partitionCount },
      (_, partition) =>
        new LogSink({
          partition,
          broker: () => log,
          clock: process.clock,
          pool: envelopePool,
          metrics: produceMetrics,
          recordBytesMax: log.recordBytesMax,
          produceTimeoutMs: 1500,
          bytesMax: 1_000_000,
          random: () => random.fraction(),
        }),
    )
  }

  /**
   * Takes the chunks of a request, by partition; resolves when all are stored.
   * @throws AppError what the client is told to retry for
   */
  async send(chunks: ReadonlyMap<number, readonly TestChunk[]>, isPoison: boolean): Promise<void> {
    await this.process.running()
    const parts = [...chunks].map(([partition, part]) => this.#add(partition, part, isPoison))
    await this.process.answerOf(Promise.all(parts))
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
    this.process.clock.after(this.#world.random.below(GATHER_MS_MAX), () => {
      this.#open.delete(partition)
      this.#append(partition, batch).then(batch.stored.resolve, batch.stored.reject)
    })
    return batch.stored.promise
  }

  async #append(partition: number, { chunks, isPoison }: OpenBatch): Promise<void> {
    const { random, poison, ledger } = this.#world
    const { bytes } = testBatch(random, chunks)
    const { header } = decodeEnvelope(bytes)
    if (isPoison) {
      poison.add(Buffer.from(header.batchId).toString('hex'))
      ledger.poisoned(chunks)
    }
    const sink = this.#sinks[partition]!
    const space = sink.reserve(bytes.length)
    space.bytes.set(bytes)
    await sink.append(space, header)
  }
}
