/** Everything that an open batch holds as plain values, to compare two batches exactly. */
import type { BatchBuilder, ValueColumn } from '../columnar/batch-builder.ts'
import type { ByteDictionary } from '../columnar/byte-dictionary.ts'
import type { RunColumn } from '../columnar/run-column.ts'

/** Equal for two builders exactly when no later request could tell them apart. */
export function batchSnapshot(builder: BatchBuilder): unknown {
  const { rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano, chunks } = builder
  return {
    rowCount,
    otlpBytes,
    times: [minTimeUnixNano, maxTimeUnixNano],
    chunks: {
      hashes: Buffer.from(chunks.hashes.subarray(0, chunks.count * 16)).toString('hex'),
      rowStarts: [...chunks.rowStarts.subarray(0, chunks.count)],
      rowCounts: [...chunks.rowCounts.subarray(0, chunks.count)],
      removable: [...chunks.removable.subarray(0, chunks.count)],
    },
    resource: runs(builder.resource),
    scope: runs(builder.scope),
    columns: [...builder.fixedColumns, ...builder.attributeColumns].map(column),
    sparse: sparse(builder),
    itemBytes: builder.attributes.itemBytes,
  }
}

function sparse({ attributes }: BatchBuilder): unknown {
  const { keys, values, count } = attributes.sparse
  return {
    rows: [...keys.pairs.rows.subarray(0, count)],
    keyIds: [...keys.ids.subarray(0, count)],
    valueIds: [...values.ids.subarray(0, count)],
    keys: entries(keys.entries, false),
    values: entries(values.entries, true),
  }
}

function runs(column: RunColumn): unknown {
  return {
    starts: [...column.runStarts.subarray(0, column.runCount)],
    ids: [...column.runIds.subarray(0, column.runCount)],
    entries: entries(column.entries, true),
  }
}

function column(column: ValueColumn): unknown {
  const { count } = column
  const rows = Array.from({ length: count }, (_, index) => column.rows.rowOf(index))
  return { name: column.name, isDense: column.rows.isDense, rows, values: values(column, count) }
}

function values(column: ValueColumn, count: number): unknown {
  switch (column.kind) {
    case 'bytes': {
      const { isDictionary } = column
      const ids = isDictionary ? [...column.ids.subarray(0, count)] : []
      return { isDictionary, ids, entries: entries(column.entries, isDictionary) }
    }
    case 'list': {
      const end = column.offsets[count]!
      const offsets = [...column.offsets.subarray(0, count + 1)]
      return { offsets, values: [...column.values.subarray(0, end * 2)] }
    }
    case 'fixed_bytes':
      return [...column.values.subarray(0, (count * column.width) / 4)]
    case 'fixed64':
      return [...column.values.subarray(0, count * 2)]
    default:
      return [...column.values.subarray(0, count)]
  }
}

/** Entries with what finds and undoes them: each must be found, and nothing else. */
function entries(dictionary: ByteDictionary, isIndexed: boolean): unknown {
  const { size, bytes, offsets, hashes, firstUses, table } = dictionary
  const texts = Array.from({ length: size }, (_, id) =>
    Buffer.from(bytes.subarray(offsets[id], offsets[id + 1])).toString('latin1'),
  )
  if (!isIndexed) return { texts }
  return {
    texts,
    hashes: [...hashes.subarray(0, size)],
    firstUses: [...firstUses.subarray(0, size)],
    slotted: [...table].filter((slot) => slot !== 0).sort((left, right) => left - right),
  }
}
