/**
 * The bucket of a simulation, which looks at every commit as it becomes visible: C1 its files are there
 * as it says, F3 it is the first at its place, O1 it begins where the one before ended, F1 epochs never
 * go back, and F2 rise with every change of the writer; and at what is published of it: O2 no further than
 * the chain is. Puts may arrive twice, long after their answer.
 */
import type { Clock } from '@tributary/common/clock'
import { parseCommitRecord, type CommitRecord } from '@tributary/common/commit/commit-record'
import {
  COMMITS_PREFIX,
  DATA_PREFIX,
  LATE_PREFIX,
  parseFreshnessKey,
  partitionPath,
} from '@tributary/common/paths'
import { MemoryBucket } from '@tributary/common/testing/memory-object-store'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'
import type { Violations } from './violations.ts'

interface SeenChain {
  end: bigint
  epoch: number
  writer: string | undefined
}

export class WatchedBucket extends MemoryBucket {
  /** Chance that a put arrives once more, up to `repeatMsMax` later; changes at will. */
  repeatChance = 0
  repeatMsMax = 0
  /** Commits that somebody else had made before (412). */
  refusedCommits = 0
  readonly #violations: Violations
  readonly #note: (what: string) => void
  readonly #chains = new Map<string, SeenChain>()

  constructor(
    clock: Clock,
    random: SeededRandom,
    violations: Violations,
    note: (what: string) => void,
  ) {
    super(clock, random)
    this.#violations = violations
    this.#note = note
  }

  /** By `partitionPath`: where the chain ends that stands in the bucket now. */
  endOf(path: string): bigint {
    return this.#chains.get(path)?.end ?? 0n
  }

  override put(key: string, body: Uint8Array, onlyIfAbsent: boolean): void {
    if (this.repeatChance > 0 && this.random.chance(this.repeatChance)) {
      this.clock.after(this.random.below(this.repeatMsMax + 1), () => {
        this.#putAgain(key, body, onlyIfAbsent)
      })
    }
    this.#put(key, body, onlyIfAbsent)
  }

  #put(key: string, body: Uint8Array, onlyIfAbsent: boolean): void {
    const before = this.objects.get(key)
    const isSame = before !== undefined && Buffer.from(before.bytes).equals(body)
    if (onlyIfAbsent && before !== undefined && !isSame) this.refusedCommits++
    super.put(key, body, onlyIfAbsent)
    this.#note(`stored ${key} ${String(body.length)}`)
    if (isSame) return
    const published = parseFreshnessKey(key)
    if (key.startsWith(COMMITS_PREFIX)) {
      this.#checkCommit(key, parsedCommit(body), before !== undefined)
    } else if (published !== undefined) {
      const { end } = JSON.parse(Buffer.from(body).toString()) as { end: string }
      const chainEnd = this.endOf(partitionPath(published))
      if (BigInt(end) > chainEnd) {
        this.#violations.add('O2', `${key} tells ${end}, the chain ends at ${String(chainEnd)}`)
      }
    } else if (
      before !== undefined &&
      (key.startsWith(DATA_PREFIX) || key.startsWith(LATE_PREFIX))
    ) {
      this.#violations.add('C1', `${key} was overwritten with other bytes`)
    }
  }

  #putAgain(key: string, body: Uint8Array, onlyIfAbsent: boolean): void {
    try {
      this.#put(key, body, onlyIfAbsent)
    } catch {
      // refused: it is there, and nobody waits for the answer
    }
  }

  #checkCommit(key: string, commit: CommitRecord, isOverwritten: boolean): void {
    const violations = this.#violations
    if (isOverwritten) violations.add('F3', `${key} was committed twice`)
    const path = partitionPath(commit)
    const chain = this.#chains.get(path) ?? { end: 0n, epoch: 0, writer: undefined }
    const { epoch, writer } = commit
    if (BigInt(commit.start) !== chain.end && !isOverwritten) {
      violations.add(
        'O1',
        `${key} begins at ${commit.start}, the chain ends at ${String(chain.end)}`,
      )
    }
    if (epoch < chain.epoch) {
      violations.add('F1', `${key} has epoch ${String(epoch)} behind ${String(chain.epoch)}`)
    } else if (writer !== chain.writer && epoch === chain.epoch) {
      violations.add('F2', `${key} of ${writer} has the epoch ${String(epoch)} of another writer`)
    }
    for (const file of commit.files) {
      const stored = this.objects.get(file.key)
      if (stored?.bytes.length !== file.bytes) {
        violations.add('C1', `${key} names ${file.key}, which is not there`)
      }
    }
    this.#chains.set(path, { end: BigInt(commit.end), epoch, writer })
  }
}

const parsed = new WeakMap<Uint8Array, CommitRecord>()

/** What a commit object says; an object's bytes never change, so each is parsed once. */
export function parsedCommit(bytes: Uint8Array): CommitRecord {
  let record = parsed.get(bytes)
  if (record === undefined) {
    record = parseCommitRecord(bytes)
    parsed.set(bytes, record)
  }
  return record
}
