import { LIMITS } from '@tributary/common/limits'

/** What a receiver bounds, per connection and per call. Tests and settings override single fields. */
export interface ReceiverLimits {
  /** Wire bytes of a body, and again its decompressed bytes. */
  readonly requestBytesMax: number
  readonly decompressionRatioMax: number
  /** At this many, the connection idle for longest is closed for a new one. */
  readonly connectionsMax: number
  /** A connection without a call for this long is closed. */
  readonly connectionIdleMs: number
  /** A connection whose first bytes, or whose request headers, are not there by then is closed. */
  readonly handshakeMs: number
  /** Mean life of a gRPC connection, so that clients spread over new pods; times 0.9 to 1.1. */
  readonly connectionAgeMs: number
  /** A body that stands still for this long is refused, retryable. */
  readonly bodyIdleMs: number
  /** A body must be complete by then: 64 MiB at 1 MiB/s. */
  readonly bodyTimeoutMs: number
  /** A call not answered by the handler by then is answered retryable. */
  readonly answerTimeoutMs: number
  /** An answer that the client does not take is dropped with its stream. */
  readonly answerUnreadMs: number
  readonly sweepIntervalMs: number
}

export const RECEIVER_LIMITS: ReceiverLimits = {
  requestBytesMax: LIMITS.requestBytesMax,
  decompressionRatioMax: LIMITS.decompressionRatioMax,
  connectionsMax: 4096,
  connectionIdleMs: 5 * 60_000,
  handshakeMs: 10_000,
  connectionAgeMs: 30 * 60_000,
  bodyIdleMs: 10_000,
  bodyTimeoutMs: 60_000,
  answerTimeoutMs: 60_000,
  answerUnreadMs: 10_000,
  sweepIntervalMs: 500,
}

/** HTTP/2 of one connection; what Node and nghttp2 enforce for us, and why these figures. */
export const HTTP2_LIMITS = {
  /** Collectors keep 10 to 64 exports in flight. */
  concurrentStreamsMax: 128,
  headerListBytesMax: 16 * 1024,
  headerListPairsMax: 64,
  /** Megabytes: 128 streams' state and answers are far below 1 MB. */
  sessionMemoryMegabytesMax: 16,
  settingsEntriesMax: 16,
  outstandingPingsMax: 4,
  /** A client that cancels a full set of streams three times in a row is still served. */
  streamResetBurst: 400,
  streamResetsPerSecond: 40,
  invalidFramesMax: 100,
  rejectedStreamsMax: 100,
  /** One 4 MiB batch in flight per round trip: 80 MB/s at 50 ms, where grpc-js's 64 KiB give 1.3. */
  streamWindowBytes: 4 * 1024 * 1024,
  sessionWindowBytes: 16 * 1024 * 1024,
  frameBytesMax: 1024 * 1024 - 1,
  /** PING and SETTINGS frames above what calls explain: a burst, then some per second. */
  controlFramesBurst: 200,
  controlFramesPerSecond: 20,
  /** A Go client measures its bandwidth with a PING per answer. */
  controlFramesPerCall: 4,
  /**
   * Bytes of any frames that calls do not explain: a burst, then some per second. A call explains
   * its headers and a window of body, which may be on its way when the call is refused.
   */
  unexplainedBytesBurst: 1024 * 1024,
  unexplainedBytesPerSecond: 64 * 1024,
  explainedBytesPerCall: 4 * 1024 * 1024 + 16 * 1024,
  /** A byte of body explains the nine bytes of a frame of its own. */
  explainedBytesPerBodyByte: 10,
  explainedBytesMax: 64 * 1024 * 1024,
} as const

export const HTTP1_LIMITS = {
  headerBytesMax: 16 * 1024,
  headersMax: 64,
  requestsPerSocketMax: 0,
  /** A refused body is read and thrown away up to here, so that the client gets to read the answer. */
  discardedBytesMax: 2 * LIMITS.requestBytesMax,
  discardTimeoutMs: 3000,
} as const

/** What a call costs beside its body (stream, headers, promises): bounds many tiny calls too. */
const CALL_OVERHEAD_BYTES = 4096
/** Reserved for a body whose length is not announced: the message of a small exporter. */
export const CALL_ESTIMATE_BYTES = 64 * 1024
/** Compressed telemetry grows 4 to 12 times; the true size is known after decompression. */
const DECOMPRESSION_ESTIMATE = 6

/**
 * What a body of this many wire bytes will need before it is decompressed. Decompressed bytes count
 * twice: once as received and once for the columns made from them.
 */
export function reservationBytes(wireBytes: number, isCompressed: boolean): number {
  if (!isCompressed) return CALL_OVERHEAD_BYTES + wireBytes * 2
  const bodyBytes = Math.max(
    wireBytes,
    Math.min(wireBytes * DECOMPRESSION_ESTIMATE, LIMITS.requestBytesMax),
  )
  return CALL_OVERHEAD_BYTES + wireBytes + bodyBytes * 2
}

/** What a decompressed body needs while the handler works on it. */
export function decompressedReservationBytes(bodyBytes: number): number {
  return CALL_OVERHEAD_BYTES + bodyBytes * 2
}
