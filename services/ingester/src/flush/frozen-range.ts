/** Parts of a frozen memtable: what one commit can hold, and what is left behind a commit. */
import { SIDECAR_CHUNKS_MAX } from '@tributary/common/commit/chunk-sidecar'
import type { OffsetRange, PartitionId } from '@tributary/common/paths'
import { signalName, type SignalName } from '@tributary/common/signal'
import assert from 'node:assert/strict'
import type { FrozenMemtable, MemtableEntry } from '../memtable/memtable.ts'
import type { FlushSettings, TableJob } from './table-writer.ts'

/** The batches of one tenant and signal in a flush. */
export interface FlushTable {
  readonly tenant: string
  readonly signal: SignalName
  readonly entries: readonly MemtableEntry[]
  /** Hour files that its share of a commit's files allows, beside the late one. */
  readonly hoursMax: number
}

/** What lies from an offset on. */
export function restOf(frozen: FrozenMemtable, start: bigint): FrozenMemtable {
  const entries = frozen.entries.filter((entry) => entry.offset >= start)
  return partOf(entries, start, frozen.end)
}

/** The first entries, within the bounds of a commit: usually all. */
export function headOf(frozen: FrozenMemtable, tablesMax: number): FrozenMemtable {
  const names = new Set<string>()
  let hashes = 0
  const past = frozen.entries.findIndex((entry) => {
    hashes += entry.repeats.storedHashes.length
    return hashes > SIDECAR_CHUNKS_MAX || names.add(tableName(entry)).size > tablesMax
  })
  if (past < 0) return frozen
  assert(past > 0, 'one batch fits a commit')
  return partOf(frozen.entries.slice(0, past), frozen.start, frozen.entries[past]!.offset)
}

function partOf(entries: readonly MemtableEntry[], start: bigint, end: bigint): FrozenMemtable {
  return {
    entries,
    start,
    end,
    rows: entries.reduce((sum, { rowCount }) => sum + rowCount, 0),
    bytes: entries.reduce((sum, { space }) => sum + space.bytes.length, 0),
  }
}

function tableName({ tenant, signal }: MemtableEntry): string {
  return `${tenant}/${String(signal)}`
}

/** Groups entries by tenant and signal, each in log order; all of them fit one commit's files. */
export function tablesOf(
  entries: readonly MemtableEntry[],
  commitFilesMax: number,
): readonly FlushTable[] {
  const tables = new Map<string, { tenant: string; signal: number; entries: MemtableEntry[] }>()
  for (const entry of entries) {
    const name = tableName(entry)
    const table = tables.get(name)
    if (table !== undefined) table.entries.push(entry)
    else tables.set(name, { tenant: entry.tenant, signal: entry.signal, entries: [entry] })
  }
  const hoursMax = Math.floor(commitFilesMax / tables.size) - 1
  return [...tables]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, table]) => {
      const signal = signalName(table.signal)
      assert(signal !== undefined, 'an envelope names a known signal')
      return { ...table, signal, hoursMax }
    })
}

/** What an encoder is given for the table of a range. */
export function tableJob(
  { topic, partition }: PartitionId,
  range: OffsetRange,
  { tenant, signal, entries, hoursMax }: FlushTable,
  settings: FlushSettings,
): TableJob {
  return {
    tenant,
    signal,
    topic,
    partition,
    start: String(range.start),
    end: String(range.end),
    entries: entries.map(({ space, repeats }) => ({
      bytes: space.bytes,
      suppressed: repeats.suppressed,
    })),
    settings: { ...settings, hoursMax: Math.min(settings.hoursMax, hoursMax) },
  }
}
