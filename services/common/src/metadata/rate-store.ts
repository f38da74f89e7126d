/**
 * The port to what routers tell the one that makes the routing table: the rates they saw. Apart from
 * their beats, because every member reads those each second, and only the maker reads this. Losing it
 * costs a table that is made a little later.
 */

/** What one member publishes at most: a thousand streams at some 60 bytes. */
export const PUBLISHED_RATES_BYTES_MAX = 64 * 1024
/** Members that publish; past it a new one is refused. All of them are 16 MiB. */
export const RATE_PUBLISHERS_MAX = 256

/** All methods throw AppError metadata_unavailable: the outcome is unknown. */
export interface RateStore {
  /** Replaces what the member published before; it is forgotten after this time of the store's clock. */
  publishRates(member: string, text: string, timeToLiveMs: number): Promise<void>
  /** What members have published and is not forgotten, by member. */
  readRates(): Promise<ReadonlyMap<string, string>>
}
