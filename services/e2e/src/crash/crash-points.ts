/** Where processes are killed; the ids are those of the fault list. */
export interface CrashPoint {
  readonly id: string
  /** Of a failpoint. */
  readonly name: string
  /** Which half of the data path passes it; a standalone process passes both. */
  readonly half: 'router' | 'ingester'
  /** Only with this kind of store. */
  readonly store?: 'file' | 's3'
  /** Passed before the process is ready, once. */
  readonly isAtStart?: boolean
  /** Passed when the process gives its partitions away: it has to be told to stop. */
  readonly isAtStop?: boolean
  /** Not passed by a standalone process. */
  readonly isOfCluster?: boolean
  /** Passed by a standalone process only: the WAL of an ingester is a cache, nothing waits for its disk. */
  readonly isOfStandalone?: boolean
}

export const CRASH_POINTS: readonly CrashPoint[] = [
  { id: 'R1', name: 'receive:accepted', half: 'router' },
  { id: 'R2', name: 'ingest:decoded', half: 'router' },
  { id: 'R3', name: 'produce:before', half: 'router', isOfCluster: true },
  { id: 'R4', name: 'produce:stored', half: 'router', isOfCluster: true },
  { id: 'R5', name: 'ingest:durable', half: 'router' },
  { id: 'R5', name: 'receive:before-response', half: 'router' },
  { id: 'I1', name: 'fetch:received', half: 'ingester', isOfCluster: true },
  { id: 'I2', name: 'wal:mid-write', half: 'ingester' },
  { id: 'I2', name: 'wal:before-write', half: 'ingester', isOfStandalone: true },
  { id: 'I3', name: 'wal:after-write', half: 'ingester' },
  { id: 'I4', name: 'wal:after-sync', half: 'ingester', isOfStandalone: true },
  { id: 'I4', name: 'ingester:before-insert', half: 'ingester', isOfCluster: true },
  { id: 'I5', name: 'wal:rotate', half: 'ingester' },
  { id: 'I5', name: 'flush:frozen', half: 'ingester' },
  { id: 'I6', name: 'flush:encode-start', half: 'ingester' },
  { id: 'I6', name: 'flush:encode', half: 'ingester' },
  { id: 'I6', name: 'flush:encode-end', half: 'ingester' },
  { id: 'I7', name: 'flush:before-put', half: 'ingester' },
  { id: 'I7', name: 'store:before-link', half: 'ingester', store: 'file' },
  { id: 'I7', name: 'store:before-put', half: 'ingester', store: 's3' },
  { id: 'I8', name: 'store:after-link', half: 'ingester', store: 'file' },
  { id: 'I8', name: 'store:after-put', half: 'ingester', store: 's3' },
  { id: 'I9', name: 'flush:after-put', half: 'ingester' },
  { id: 'I9', name: 'flush:before-commit', half: 'ingester' },
  { id: 'I9', name: 'commit:before-put', half: 'ingester' },
  { id: 'I10', name: 'commit:after-put', half: 'ingester' },
  { id: 'I11', name: 'flush:after-commit', half: 'ingester' },
  { id: 'I12', name: 'ingester:before-truncate', half: 'ingester', isOfCluster: true },
  { id: 'I13', name: 'wal:truncate', half: 'ingester' },
  { id: 'P3', name: 'handover:paused', half: 'ingester', isAtStop: true, isOfCluster: true },
  { id: 'I16', name: 'schema:before-put', half: 'ingester' },
  { id: 'I16', name: 'schema:after-put', half: 'ingester' },
  { id: 'I17', name: 'wal:recover', half: 'ingester', isAtStart: true },
  { id: 'I17', name: 'ingester:recovered', half: 'ingester', isAtStart: true },
]
