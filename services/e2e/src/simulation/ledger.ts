/**
 * What clients sent and what they were told: the side of the books that the files are compared with.
 * A row is known by the hash of its chunk and its place in it; a chunk belongs to one request.
 */
import { rowName } from '@tributary/ingester/testing/test-batches'
import type { TestChunk } from '@tributary/ingester/testing/test-batches'

/**
 * ok: the client heard OK, each row is stored once. open: sent and not (yet) answered with OK, stored
 * once or not at all.
 */
export type RowState = 'ok' | 'open'

interface SentRow {
  readonly partition: number
  state: RowState
  /** Was in a batch that can never be encoded, which goes to quarantine. */
  isPoisoned: boolean
}

export class Ledger {
  readonly rows = new Map<string, SentRow>()
  requests = 0
  acknowledged = 0

  sent(partition: number, chunk: TestChunk): void {
    for (const name of rowNames(chunk)) {
      if (!this.rows.has(name)) this.rows.set(name, { partition, state: 'open', isPoisoned: false })
    }
  }

  acknowledge(chunks: readonly TestChunk[]): void {
    this.acknowledged++
    for (const chunk of chunks) {
      for (const name of rowNames(chunk)) this.rows.get(name)!.state = 'ok'
    }
  }

  poisoned(chunks: readonly TestChunk[]): void {
    for (const chunk of chunks) {
      for (const name of rowNames(chunk)) this.rows.get(name)!.isPoisoned = true
    }
  }
}

function rowNames({ hash, rowCount }: TestChunk): string[] {
  return Array.from({ length: rowCount }, (_, row) => rowName(hash, row))
}
