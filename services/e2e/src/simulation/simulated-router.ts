/** A router of a simulated cluster from closed batches on: from there to the log it is the real sink. */
import { MemoryPartitionLog } from '@tributary/common/testing/memory-partition-log'
import type { TestChunk } from '@tributary/ingester/testing/test-batches'
import { LogSink } from '@tributary/router/produce/log-sink'
import { BatchGatherer } from './batch-gatherer.ts'
import type { ClusterWorld } from './cluster-world.ts'
import { ProcessLog } from './process-ports.ts'
import { envelopePool, produceMetrics } from './silent-parts.ts'
import { SimulatedProcess } from './simulated-process.ts'

export class SimulatedRouter {
  readonly process: SimulatedProcess
  readonly #gatherer: BatchGatherer

  constructor(world: ClusterWorld, name: string) {
    const { broker, random } = world
    const process = new SimulatedProcess(name, world.clock)
    this.process = process
    const memory = new MemoryPartitionLog(broker)
    process.onEnd(() => {
      memory.crash()
    })
    const own = new ProcessLog(memory, process)
    const log = world.ports.routerLog?.(own, { process, random }) ?? own
    const sinks = Array.from(
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
    this.#gatherer = new BatchGatherer(world, process, async (partition, bytes, header) => {
      const sink = sinks[partition]!
      const space = sink.reserve(bytes.length)
      space.bytes.set(bytes)
      await sink.append(space, header)
    })
  }

  send(chunks: ReadonlyMap<number, readonly TestChunk[]>, isPoison: boolean): Promise<void> {
    return this.#gatherer.send(chunks, isPoison)
  }
}
