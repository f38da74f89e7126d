/** What an ingester counts: rows and bytes in, files and commits out, what flushes cost. */
import type { CommitRecord } from '@tributary/common/commit/commit-record'
import {
  Counter,
  DURATION_BUCKETS_SECONDS,
  Gauge,
  Histogram,
  type Registry,
} from '@tributary/common/metrics'
import type { FlushStage } from './flush/flush-stage.ts'

/** What is read when metrics are asked for. */
export interface IngesterState {
  readonly unflushedRows: () => number
  readonly unflushedBytes: () => number
  /** All segments on disk. */
  readonly logBytes: () => number
  /** Since the start. */
  readonly forgottenHashes: () => number
}

export class IngesterMetrics {
  readonly #rows: Counter
  readonly #bytes: Counter
  readonly #suppressed: Counter
  readonly #stored: Counter
  readonly #files: Counter
  readonly #fileBytes: Counter
  readonly #commits: Counter
  readonly #holes: Counter
  readonly #quarantined: Counter
  readonly #flushSeconds: Histogram
  readonly #stageSeconds: Histogram
  readonly #recoveryBytesLeft: Gauge
  files = 0

  constructor(registry: Registry, state: IngesterState) {
    const registers = [registry]
    const counter = (name: string, help: string): Counter =>
      new Counter({ name: `tributary_ingester_${name}`, help, registers })
    this.#rows = counter('rows_total', 'Rows acknowledged, repeats included')
    this.#bytes = counter('batch_bytes_total', 'Bytes of batches written to the log')
    this.#suppressed = counter('suppressed_rows_total', 'Rows of chunks that were stored before')
    this.#stored = counter('stored_rows_total', 'Rows in committed files')
    this.#files = counter('files_total', 'Committed files')
    this.#fileBytes = counter('file_bytes_total', 'Bytes of committed files')
    this.#commits = counter('commits_total', 'Commits')
    this.#holes = counter(
      'holes_total',
      'Ranges of the log that were lost or quarantined: must stay 0',
    )
    this.#quarantined = counter(
      'quarantined_rows_total',
      'Rows that could not be encoded: must stay 0',
    )
    this.#flushSeconds = new Histogram({
      name: 'tributary_ingester_flush_seconds',
      help: 'From the freeze of a memtable to its commit',
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    })
    this.#stageSeconds = new Histogram({
      name: 'tributary_ingester_stage_seconds',
      help: 'Waiting for a flush worker, encoding a table, uploading a file, creating the commit',
      labelNames: ['stage'],
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    })
    this.#recoveryBytesLeft = new Gauge({
      name: 'tributary_ingester_recovery_bytes_left',
      help: 'Bytes of the log still to be read before the process is ready',
      registers,
    })
    new Counter({
      name: 'tributary_ingester_forgotten_chunks_total',
      help: 'Chunks pushed out of the window of repeats before their time: their retries are stored twice',
      registers,
      collect() {
        this.reset()
        this.inc(state.forgottenHashes())
      },
    })
    new Gauge({
      name: 'tributary_ingester_log_bytes',
      help: 'Bytes of the write-ahead log on disk: at its bound requests are told to retry',
      registers,
      collect() {
        this.set(state.logBytes())
      },
    })
    const unflushed = { rows: state.unflushedRows, bytes: state.unflushedBytes }
    for (const [name, read] of Object.entries(unflushed)) {
      new Gauge({
        name: `tributary_ingester_unflushed_${name}`,
        help: `Acknowledged ${name} that are not committed yet`,
        registers,
        collect() {
          this.set(read())
        },
      })
    }
  }

  stage(stage: FlushStage, seconds: number): void {
    this.#stageSeconds.observe({ stage }, seconds)
  }

  recovering(doneBytes: number, totalBytes: number): void {
    this.#recoveryBytesLeft.set(totalBytes - doneBytes)
  }

  appended(rows: number, bytes: number, suppressedRows: number): void {
    this.#rows.inc(rows)
    this.#bytes.inc(bytes)
    if (suppressedRows > 0) this.#suppressed.inc(suppressedRows)
  }

  flushed(record: CommitRecord, seconds: number): void {
    this.files += record.files.length
    this.#commits.inc()
    this.#files.inc(record.files.length)
    this.#fileBytes.inc(record.files.reduce((sum, { bytes }) => sum + bytes, 0))
    this.#stored.inc(record.counts.rowsStored)
    this.#holes.inc(record.holes.length)
    this.#quarantined.inc(record.counts.rowsQuarantined)
    this.#flushSeconds.observe(seconds)
  }
}
