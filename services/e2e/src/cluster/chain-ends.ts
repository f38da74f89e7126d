/** How far the chains of a store have come, and how far the log has: equal when all is committed. */
import { listChains } from '@tributary/common/commit/chain-range'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { KafkaServer } from '@tributary/common/testing/kafka-server'

/** Partitions whose chain is behind the log's end, in words; none: everything is committed. */
export async function uncommittedPartitions(
  store: ObjectStore,
  kafka: KafkaServer,
  topic: string,
): Promise<string[]> {
  const ends = new Map<number, bigint>()
  for await (const id of listChains(store)) {
    const { end } = await CommitChain.open(store, id)
    ends.set(id.partition, end)
  }
  const offsets = await kafka.withAdmin((admin) => admin.fetchTopicOffsets(topic))
  return offsets.flatMap(({ partition, high }) => {
    const end = ends.get(partition) ?? 0n
    return end === BigInt(high)
      ? []
      : [`partition ${String(partition)} is committed to ${String(end)} of ${high}`]
  })
}
