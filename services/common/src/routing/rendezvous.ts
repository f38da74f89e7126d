/**
 * Rendezvous hashing (Thaler and Ravishankar 1998): every partition gets a score from a key, and the
 * key belongs to the best. A partition that comes or goes moves only the keys that it wins or had.
 * Scores are part of docs/format/routing-table.md: routers of any version must agree on them.
 */

/** 64 bits of a cryptographic hash as two signed halves. */
export interface KeyHash {
  readonly high: number
  readonly low: number
}

/** Unsigned 32 bits, uniform over keys and partitions: the finalizer of MurmurHash3, over both halves. */
export function scoreOf({ high, low }: KeyHash, partition: number): number {
  let score = low ^ Math.imul(partition + 1, 0x9e3779b1)
  score = Math.imul(score ^ (score >>> 16), 0x85ebca6b)
  score = Math.imul(score ^ (score >>> 13), 0xc2b2ae35)
  score ^= score >>> 16
  score = Math.imul(score ^ high, 0x85ebca6b)
  score = Math.imul(score ^ (score >>> 13), 0xc2b2ae35)
  return (score ^ (score >>> 16)) >>> 0
}

/** The partition with the greatest score, of two equal scores the lower number; -1 without any. */
export function bestOf(key: KeyHash, partitions: readonly number[]): number {
  let best = -1
  let bestScore = -1
  for (const partition of partitions) {
    const score = scoreOf(key, partition)
    if (score > bestScore || (score === bestScore && partition < best)) {
      best = partition
      bestScore = score
    }
  }
  return best
}

/** The `count` best partitions, best first; all of them where there are not more. */
export function bestFew(key: KeyHash, partitions: readonly number[], count: number): number[] {
  return partitions
    .map((partition) => ({ partition, score: scoreOf(key, partition) }))
    .sort((left, right) => right.score - left.score || left.partition - right.partition)
    .slice(0, count)
    .map(({ partition }) => partition)
}
