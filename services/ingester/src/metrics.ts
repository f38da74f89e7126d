/** What an ingester counts: rows and bytes in, files and commits out, what flushes cost. */
import type { CommitRecord } from '@tributary/common/commit/commit-record'
import {
  Counter,
  DURATION_BUCKETS_SECONDS,
  Gauge,
  Histogram,
  TenantCounter,
  type Registry,
} from '@tributary/common/metrics'
import type { FlushStage } from './flush/flush-stage.ts'

/** What is read when metrics are asked for. */
export interface IngesterState {
  readonly unflushedRows: () => number
  readonly unflushedBytes: () => number
  readonly unflushedBytesMax: number
  /** All segments on disk. */
  readonly logBytes: () => number
  readonly logBytesMax: number
}

/** Every counter, `tributary_ingester_<name>_total`; those that must stay 0 are alarms. */
const COUNTERS = {
  rows: 'Rows acknowledged, repeats included',
  batch_bytes: 'Bytes of batches written to the log',
  suppressed_rows: 'Rows of chunks that were stored before',
  stored_rows: 'Rows in committed files',
  files: 'Committed files',
  file_bytes: 'Bytes of committed files',
  commits: 'Commits made: each makes a range of the log visible',
  holes: 'Ranges of the log that were lost or quarantined: must stay 0',
  quarantined_rows: 'Rows that could not be encoded: must stay 0',
  log_gaps: 'Times that the log had deleted records before they were fetched: must stay 0',
  unreadable_records: 'Fetched records that could not be read and were fetched again',
  forgotten_chunks:
    'Chunks pushed out of the window of repeats before their time: their retries are stored twice',
} as const

type CounterName = keyof typeof COUNTERS

export class IngesterMetrics {
  readonly #counters: Readonly<Record<CounterName, Counter>>
  readonly #flushSeconds: Histogram
  readonly #stageSeconds: Histogram<'stage'>
  readonly #recoveryBytesLeft: Gauge
  readonly #tenantRows: TenantCounter
  readonly #tenantFiles: TenantCounter
  readonly #tenantBytes: TenantCounter
  files = 0

  constructor(registry: Registry) {
    const registers = [registry]
    this.#counters = Object.fromEntries(
      Object.entries(COUNTERS).map(([name, help]) => [
        name,
        new Counter({ name: `tributary_ingester_${name}_total`, help, registers }),
      ]),
    ) as Record<CounterName, Counter>
    this.#flushSeconds = new Histogram({
      name: 'tributary_ingester_flush_seconds',
      help: 'From the freeze of a memtable to its commit',
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    })
    this.#stageSeconds = new Histogram({
      name: 'tributary_ingester_stage_seconds',
      help: 'Writing to the WAL, waiting for a flush worker, encoding a table, uploading a file, creating the commit',
      labelNames: ['stage'],
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    })
    this.#recoveryBytesLeft = new Gauge({
      name: 'tributary_ingester_recovery_bytes_left',
      help: 'Bytes of the log still to be read before the process is ready',
      registers,
    })
    const tenants = (name: string, help: string): TenantCounter =>
      new TenantCounter(registry, { name: `tributary_ingester_tenant_${name}_total`, help })
    this.#tenantRows = tenants('stored_rows', 'Rows in committed files, by tenant')
    this.#tenantFiles = tenants('files', 'Committed files by tenant: each is one upload')
    this.#tenantBytes = tenants('stored_bytes', 'Bytes of committed files, by tenant')
  }

  recovering(doneBytes: number, totalBytes: number): void {
    this.#recoveryBytesLeft.set(totalBytes - doneBytes)
  }

  /** @param forgottenChunks of others, to make room in the window of repeats */
  appended(rows: number, bytes: number, suppressedRows: number, forgottenChunks: number): void {
    const counters = this.#counters
    counters.rows.inc(rows)
    counters.batch_bytes.inc(bytes)
    if (suppressedRows > 0) counters.suppressed_rows.inc(suppressedRows)
    if (forgottenChunks > 0) counters.forgotten_chunks.inc(forgottenChunks)
  }

  /** One write to the WAL: of fetched records, or of a batch until it is as durable as asked for. */
  walWritten(seconds: number): void {
    this.#stageSeconds.observe({ stage: 'wal' }, seconds)
  }

  /** The log had deleted records before they were fetched. */
  gap(): void {
    this.#counters.log_gaps.inc()
  }

  /** A fetched record that could not be read: bent on its way, or bad. */
  unreadable(): void {
    this.#counters.unreadable_records.inc()
  }

  stage(stage: FlushStage, seconds: number): void {
    this.#stageSeconds.observe({ stage }, seconds)
  }

  flushed(record: CommitRecord, seconds: number): void {
    const counters = this.#counters
    this.files += record.files.length
    for (const { tenant, rows, bytes } of record.files) {
      this.#tenantRows.add(tenant, rows)
      this.#tenantFiles.add(tenant, 1)
      this.#tenantBytes.add(tenant, bytes)
    }
    counters.commits.inc()
    counters.files.inc(record.files.length)
    counters.file_bytes.inc(record.files.reduce((sum, { bytes }) => sum + bytes, 0))
    counters.stored_rows.inc(record.counts.rowsStored)
    counters.holes.inc(record.holes.length)
    counters.quarantined_rows.inc(record.counts.rowsQuarantined)
    this.#flushSeconds.observe(seconds)
  }
}

/** Shows what is read when metrics are asked for. */
export function exposeIngester(registry: Registry, state: IngesterState): void {
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name: `tributary_ingester_${name}`,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  }
  const bound = 'at its bound requests are told to retry'
  gauge('log_bytes', `Bytes of the write-ahead log on disk: ${bound}`, state.logBytes)
  gauge('log_bytes_max', 'The bound of the write-ahead log', () => state.logBytesMax)
  gauge('unflushed_rows', 'Acknowledged rows that are not committed yet', state.unflushedRows)
  gauge('unflushed_bytes', 'Acknowledged bytes that are not committed yet', state.unflushedBytes)
  gauge('unflushed_bytes_max', 'The bound of unflushed bytes', () => state.unflushedBytesMax)
}
