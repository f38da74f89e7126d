/**
 * F2, looked at where commits are asked for: a writer that was overtaken asks for nothing more. Whoever asks
 * for a commit knows all commits before it; where one of those has a later epoch than its own, it went on
 * although it could see that another owns the partition. Refused commits count too, which chains do not show.
 */
import { parseCommitRecord, type CommitRecord } from '@tributary/common/commit/commit-record'
import { partitionPath } from '@tributary/common/paths'

interface Attempt {
  readonly path: string
  readonly start: bigint
  readonly epoch: number
  readonly writer: string
}

export class CommitAttempts {
  readonly #attempts = new Map<string, Attempt>()

  get count(): number {
    return this.#attempts.size
  }

  /** The body of a put; a damaged one is none of its writer's doing. */
  note(body: Uint8Array): void {
    let record: CommitRecord
    try {
      record = parseCommitRecord(body)
    } catch {
      return
    }
    const { epoch, writer } = record
    const path = partitionPath(record)
    const attempt = { path, start: BigInt(record.start), epoch, writer }
    this.#attempts.set(`${path} ${record.start} ${String(epoch)} ${writer}`, attempt)
  }

  /** What was asked for behind a commit of a later epoch, in the words of a problem. */
  afterOvertaken(path: string, commits: readonly CommitRecord[]): string[] {
    const ascending = commits.toSorted((left, right) =>
      Number(BigInt(left.start) - BigInt(right.start)),
    )
    const attempts = [...this.#attempts.values()].filter((attempt) => attempt.path === path)
    attempts.sort((left, right) => Number(left.start - right.start))
    const problems: string[] = []
    let [epochBefore, at] = [0, 0]
    for (const { start, epoch, writer } of attempts) {
      for (; at < ascending.length && BigInt(ascending[at]!.start) < start; at++) {
        epochBefore = Math.max(epochBefore, ascending[at]!.epoch)
      }
      if (epoch >= epochBefore) continue
      problems.push(
        `F2 ${path}: ${writer} asked for a commit at ${String(start)} with epoch ${String(epoch)}, ` +
          `behind one of epoch ${String(epochBefore)}`,
      )
    }
    return problems
  }
}
