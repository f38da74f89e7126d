/**
 * The port to where the routing table of a cluster lies: one text with a version, beside the lease of
 * the router that makes it. Redis stands behind it. All of it can be lost at any moment: routers keep
 * the table that they know and write it back where the store has an older one, so versions only
 * ever ascend. Nothing here is needed for safety: two routers with different tables cost balance and
 * the removal of some retries, never data.
 */

export interface StoredRoutingTable {
  /** From 1 on. */
  readonly version: number
  /** JSON as docs/format/routing-table.md has it; whoever reads it checks it. */
  readonly text: string
}

/** What a store takes at most: 1,000 tenants of 3 signals at some 100 bytes each, three times. */
export const ROUTING_TABLE_BYTES_MAX = 1024 * 1024

/** All methods throw AppError metadata_unavailable: the outcome is unknown, read it back. */
export interface RoutingStore {
  /**
   * The stored table where its version is not `knownVersion`, else undefined; version 0 and an empty
   * text where there is none. One round trip, and no table moves while nothing changed.
   */
  readTable(knownVersion: number): Promise<StoredRoutingTable | undefined>
  /** Stores a table whose version is above the stored one; false, and nothing stored, where it is not. */
  writeTable(table: StoredRoutingTable): Promise<boolean>
  /**
   * Takes or renews the lease of the maker for `timeToLiveMs`, by the store's clock; true while
   * `member` holds it.
   */
  takeMaking(member: string, timeToLiveMs: number): Promise<boolean>
  /** Ends the lease where `member` holds it. */
  leaveMaking(member: string): Promise<void>
}
