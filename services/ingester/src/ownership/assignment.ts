/**
 * Who should own which partition: a function of the names alone, so that all processes that see the
 * same members agree without talking. Rendezvous hashing with a bound: partitions in order, each to
 * the member that it scores best among those with room. Every member gets as many as every other, give
 * or take one; a member that comes or goes moves little more than its own share.
 */
import { hash } from 'node:crypto'
import type { Member } from '@tributary/common/metadata/cluster-metadata'
import { scoreOf, type KeyHash } from '@tributary/common/routing/rendezvous'

/** Names of ingesters that can own partitions, each once: alive and not giving theirs away. */
export function eligibleNames(members: readonly Member[]): readonly string[] {
  const names = new Set<string>()
  for (const { role, isDraining, name } of members) {
    if (role === 'ingester' && !isDraining) names.add(name)
  }
  return [...names].sort()
}

/**
 * The desired owner of each partition, by number.
 * @param names distinct; in any order
 */
export function assignPartitions(
  partitionCount: number,
  names: readonly string[],
): readonly string[] {
  if (names.length === 0) return []
  const members = names.toSorted().map((name) => ({ name, key: keyOf(name), count: 0 }))
  const share = Math.floor(partitionCount / names.length)
  // so many may have one more
  let extra = partitionCount % names.length
  return Array.from({ length: partitionCount }, (_, partition) => {
    let best: (typeof members)[number] | undefined
    let bestScore = -1
    for (const member of members) {
      const hasRoom = member.count < share || (member.count === share && extra > 0)
      const score = hasRoom ? scoreOf(member.key, partition) : -1
      // of two equal scores the first name
      if (score <= bestScore) continue
      best = member
      bestScore = score
    }
    if (best!.count === share) extra--
    best!.count++
    return best!.name
  })
}

function keyOf(name: string): KeyHash {
  const digest = hash('sha256', name, 'buffer')
  return { high: digest.readInt32BE(0), low: digest.readInt32BE(4) }
}
