/**
 * How a request's chunks find their partitions while it is decoded: the resource of a part names the
 * stream, and of a stream that spreads each chunk goes by its first item. Which partition that is,
 * is the router's business; the decoder only asks. One object per request while that is decoded.
 */
export interface ChunkRoute {
  /**
   * The partition of the stream whose normalized resource stands in [0, length) of `view`, with its
   * `hashBytes`; -1 where `add` has to tell it first. Makes the stream the one at hand. `partBytes`:
   * the length of the Resource* message.
   */
  find(view: DataView, length: number, hash: number, partBytes: number): number
  /** The same for a stream that `find` does not know; copies what it keeps of `bytes`. */
  add(bytes: Uint8Array, view: DataView, length: number, hash: number, partBytes: number): number
  /** Whether each chunk of the stream at hand has a partition of its own; then that of the stream is none. */
  readonly isSpread: boolean
  /** Whether `chunk` asks for the time of the item: else it is not looked for. */
  readonly isTimed: boolean
  /**
   * The partition of the chunk of the stream at hand that begins with the item in [from, end), its tag
   * included, of that time (lead-time.ts).
   */
  chunk(body: Uint8Array, from: number, end: number, ordinal: number, timeUnixNano: bigint): number
}
