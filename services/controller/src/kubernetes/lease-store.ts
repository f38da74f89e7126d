/** The port to the one Lease object (coordination.k8s.io/v1) that controllers share. */

export interface LeaseRecord {
  /** '' where it was given back. */
  readonly holder: string
  readonly durationSeconds: number
  /** How often the holder changed. */
  readonly transitions: number
  /** For people: never compared with a clock. */
  readonly acquiredUnixMs: number
  readonly renewedUnixMs: number
}

export interface StoredLease extends LeaseRecord {
  readonly resourceVersion: string
}

/** All methods throw AppError kubernetes_unavailable: the outcome is unknown. */
export interface LeaseStore {
  /** Undefined where there is no such object. */
  read(): Promise<StoredLease | undefined>
  /**
   * Writes over the version that was read; creates the object where that is undefined.
   * @returns the version written; undefined where another one was faster
   */
  write(record: LeaseRecord, over: string | undefined): Promise<string | undefined>
}
