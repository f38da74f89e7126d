/** What an ingester of a cluster shows beside its rows and files: leases, lag, and what stops fetching. */
import type { ErrorCode } from '@tributary/common/errors'
import type { PartitionStatus } from '@tributary/common/metadata/ingester-status'
import {
  Counter,
  DURATION_BUCKETS_SECONDS,
  Gauge,
  Histogram,
  type Registry,
} from '@tributary/common/metrics'

/** One partition that this process holds the lease of. */
export interface PartitionFigures extends PartitionStatus {
  readonly epoch: number
  readonly haltReason: string | undefined
  /** The first offset that is not committed, and the next one wanted from the log. */
  readonly start: bigint
  readonly next: bigint
  readonly unflushedRows: number
  readonly unflushedBytes: number
  readonly holds: ReadonlySet<string>
  /** Records of the log that are not fetched, and how far behind what arrived that is. */
  readonly backlogOffsets: number
  readonly backlogSeconds: number
}

/** What is read when metrics are asked for. */
export interface ClusterState {
  readonly partitions: () => readonly PartitionFigures[]
  /** Since the last answer of the store of leases. */
  readonly sinceBeatSeconds: () => number
}

export type LeaseEvent = 'acquired' | 'lost' | 'handed_over' | 'reopened'

/** More partitions than this on one process are not labelled one by one. */
const LABELLED_MAX = 256

/** Failures that no outage explains: a broken invariant or a person's mistake. They are shown from 0 on. */
const FAULT_CODES: readonly ErrorCode[] = [
  'chain_broken',
  'commit_damaged',
  'object_mismatch',
  'schema_conflict',
  'encode_failed',
  'quarantine_exhausted',
  'log_unfit',
  'internal',
]

export class ClusterMetrics {
  readonly #leases: Counter<'event'>
  readonly #fenced: Counter
  readonly #beats: Counter<'answered'>
  readonly #fetchTrouble: Counter
  readonly #failures: Counter<'code'>
  readonly #forgotten: Counter
  readonly #pauseSeconds: Histogram

  constructor(registry: Registry, state: ClusterState) {
    const registers = [registry]
    this.#leases = new Counter({
      name: 'tributary_ingester_lease_events_total',
      help: 'Leases acquired, lost to another owner, handed over in order; partitions opened again after a failure',
      labelNames: ['event'],
      registers,
    })
    this.#fenced = new Counter({
      name: 'tributary_ingester_fenced_commits_total',
      help: 'Commits that another writer had made before: two owners, of which one stepped back',
      registers,
    })
    this.#beats = new Counter({
      name: 'tributary_ingester_beats_total',
      help: 'Heartbeats by whether they were answered',
      labelNames: ['answered'],
      registers,
    })
    this.#fetchTrouble = new Counter({
      name: 'tributary_ingester_fetch_trouble_total',
      help: 'Fetches and questions to the log that failed; the reader goes on by itself',
      registers,
    })
    this.#pauseSeconds = new Histogram({
      name: 'tributary_ingester_hand_over_pause_seconds',
      help: 'How long a partition was not fetched while it was handed over',
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    })
    this.#failures = new Counter({
      name: 'tributary_ingester_partition_failures_total',
      help: 'Times that a partition could not go on, by error code; those shown at 0 must stay 0',
      labelNames: ['code'],
      registers,
    })
    for (const code of FAULT_CODES) this.#failures.inc({ code }, 0)
    this.#forgotten = new Counter({
      name: 'tributary_ingester_leases_forgotten_total',
      help: 'Times that the store of leases had lost its past: emptied, set back or failed over',
      registers,
    })
    registerState(registry, state)
  }

  /** A partition was closed by a failure, to be opened again or not. */
  failed(code: ErrorCode): void {
    this.#failures.inc({ code })
  }

  leasesForgotten(): void {
    this.#forgotten.inc()
  }

  lease(event: LeaseEvent): void {
    this.#leases.inc({ event })
  }

  fenced(): void {
    this.#fenced.inc()
  }

  beat(isAnswered: boolean): void {
    this.#beats.inc({ answered: String(isAnswered) })
  }

  fetchTrouble(): void {
    this.#fetchTrouble.inc()
  }

  handedOver(pauseSeconds: number): void {
    this.lease('handed_over')
    this.#pauseSeconds.observe(pauseSeconds)
  }
}

function registerState(registry: Registry, state: ClusterState): void {
  const registers = [registry]
  const figures: readonly [string, string, (each: PartitionFigures) => number][] = [
    ['lag_offsets', 'Records in the log that are not committed', (each) => each.lagOffsets],
    ['lag_seconds', 'Since when the oldest of them waits', (each) => each.lagSeconds],
    ['backlog_offsets', 'Records in the log that are not fetched', (each) => each.backlogOffsets],
    [
      'backlog_seconds',
      'How far fetching is behind what arrived, while records wait for it',
      (each) => each.backlogSeconds,
    ],
    [
      'valid_through_seconds',
      'Unix time through which all that arrived is visible',
      (each) => each.validThroughUnixMs / 1000,
    ],
  ]
  for (const [name, help, read] of figures) {
    new Gauge({
      name: `tributary_ingester_${name}`,
      help: `${help}, by owned partition`,
      labelNames: ['partition'],
      registers,
      collect() {
        this.reset()
        for (const each of state.partitions().slice(0, LABELLED_MAX)) {
          this.set({ partition: each.partition }, read(each))
        }
      },
    })
  }
  registerCount(
    registry,
    'partitions',
    'state',
    'Partitions that this process holds, by what it does',
    () => state.partitions().map((each) => each.state),
  )
  registerCount(
    registry,
    'held_partitions',
    'reason',
    'Partitions that are not fetched, by reason',
    () => state.partitions().flatMap(({ holds }) => [...holds]),
  )
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
  gauge('oldest_unflushed_seconds', 'Age of the oldest row that is not committed', () =>
    Math.max(0, ...state.partitions().map(({ oldestSeconds }) => oldestSeconds)),
  )
  gauge('since_beat_seconds', 'Since the last answered heartbeat', state.sinceBeatSeconds)
}

/** How many partitions are what, by one label. */
function registerCount(
  registry: Registry,
  name: string,
  label: string,
  help: string,
  read: () => readonly string[],
): void {
  new Gauge({
    name: `tributary_ingester_${name}`,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset()
      for (const value of read()) this.inc({ [label]: value })
    },
  })
}
