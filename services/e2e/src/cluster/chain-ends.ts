/** How far the chains of a store have come, and how far the log has: equal when all is committed. */
import { listChains } from '@tributary/common/commit/chain-range'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import type { PartitionId } from '@tributary/common/paths'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { KafkaServer } from '@tributary/common/testing/kafka-server'

export interface ChainEnd {
  readonly id: PartitionId
  readonly end: bigint
  readonly commits: number
}

/** Of all chains of a store. */
export async function chainEnds(store: ObjectStore): Promise<ChainEnd[]> {
  const ends: ChainEnd[] = []
  for await (const id of listChains(store)) {
    const { end, count } = await CommitChain.open(store, id)
    ends.push({ id, end, commits: count })
  }
  return ends
}

/**
 * Partitions whose chain is behind the log's end, in words; none: everything is committed.
 * @param otherLogs ids of logs whose chains lie in the store too
 */
export async function uncommittedPartitions(
  store: ObjectStore,
  kafka: KafkaServer,
  topic: string,
  otherLogs: ReadonlySet<string> = new Set(),
): Promise<string[]> {
  const ends = new Map<number, bigint>()
  for (const { id, end } of await chainEnds(store)) {
    if (!otherLogs.has(id.logId)) ends.set(id.partition, end)
  }
  const offsets = await kafka.withAdmin((admin) => admin.fetchTopicOffsets(topic))
  return offsets.flatMap(({ partition, high }) => {
    const end = ends.get(partition) ?? 0n
    return end === BigInt(high)
      ? []
      : [`partition ${String(partition)} is committed to ${String(end)} of ${high}`]
  })
}
