/** How far the chains of a store have come, and how far the log has: equal when all is committed. */
import { CommitChain } from '@tributary/common/commit/commit-chain'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { COMMITS_PREFIX, parseCommitKey, type PartitionId } from '@tributary/common/paths'
import type { KafkaServer } from '@tributary/common/testing/kafka-server'

/** Every chain that the store holds, once. */
export async function listChains(store: ObjectStore): Promise<PartitionId[]> {
  const ids = new Map<string, PartitionId>()
  for await (const { key } of store.list(COMMITS_PREFIX)) {
    const id = parseCommitKey(key)
    if (id !== undefined) ids.set(`${id.logId}/${id.topic}/${String(id.partition)}`, id)
  }
  return [...ids.values()]
}

/** Partitions whose chain is behind the log's end, in words; none: everything is committed. */
export async function uncommittedPartitions(
  store: ObjectStore,
  kafka: KafkaServer,
  topic: string,
): Promise<string[]> {
  const ends = new Map<number, bigint>()
  for (const id of await listChains(store)) {
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
