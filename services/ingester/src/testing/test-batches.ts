/**
 * Small envelopes for tests of everything around the columns: their Arrow part is a stand-in that only
 * the memory encoder reads. A row is known by the hash of its chunk and its place in it.
 */
import { batchChunks } from '@tributary/common/columnar/chunk-list'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { encodeEnvelope } from '@tributary/common/columnar/envelope'
import { Signal } from '@tributary/common/signal'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'

export interface TestChunk {
  readonly hash: Uint8Array
  readonly rowCount: number
}

export interface TestBatch {
  readonly bytes: Uint8Array
  /** `<hash>:<row>` of every row. */
  readonly rows: readonly string[]
}

const ARRIVAL_UNIX_NANO = 1_800_000_000_000_000_000n

export function testChunk(random: SeededRandom): TestChunk {
  return { hash: random.bytes(16), rowCount: 1 + random.below(3) }
}

/** A batch of these chunks; another call makes another batch of equal rows, as a client's retry does. */
export function testBatch(
  random: SeededRandom,
  chunks: readonly TestChunk[],
  more: Partial<Pick<EnvelopeHeader, 'tenant' | 'signal'>> = {},
): TestBatch {
  let rowCount = 0
  const placed = chunks.map((chunk) => {
    const rowStart = rowCount
    rowCount += chunk.rowCount
    return { ...chunk, rowStart, removable: true }
  })
  const header: EnvelopeHeader = {
    signal: Signal.logs,
    tenant: 'default',
    batchId: random.bytes(16),
    rowCount,
    otlpBytes: 100,
    arrivalUnixNano: ARRIVAL_UNIX_NANO,
    minTimeUnixNano: ARRIVAL_UNIX_NANO,
    maxTimeUnixNano: ARRIVAL_UNIX_NANO,
    chunks: batchChunks(placed),
    ...more,
  }
  const rows = chunks.flatMap(({ hash, rowCount: count }) =>
    Array.from({ length: count }, (_, row) => rowName(hash, row)),
  )
  return { bytes: encodeEnvelope(header, random.bytes(8)), rows }
}

export function rowName(hash: Uint8Array, row: number): string {
  return `${Buffer.from(hash).toString('hex')}:${row}`
}
