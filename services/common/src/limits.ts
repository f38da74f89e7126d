/**
 * Bounds that several steps of the data path keep to, each with its arithmetic; what bounds one step
 * alone stands in its file. A setting may narrow or widen some of them (config tables say which);
 * nothing in the data path grows without one.
 */
export const LIMITS = {
  /** Wire and decompressed size of one request: the figure that collectors' docs assume. */
  requestBytesMax: 64 * 1024 * 1024,
  /** A body may grow this much in decompression: zstd of repetitive logs reaches 100x, bombs 1,000x. */
  decompressionRatioMax: 200,
  /** One log record, span or data point: below Kafka's default 1 MiB record with room for its resource. */
  itemBytesMax: 768 * 1024,
  /** OTLP bytes per chunk, the unit of routing and of retry removal. */
  chunkBytesMax: 128 * 1024,
  itemsPerRequestMax: 1_000_000,
  valuesPerRequestMax: 2_000_000,
  attributesPerItemMax: 1024,
  attributeKeyBytesMax: 1024,
  stringValueBytesMax: 1024 * 1024,
  anyValueDepthMax: 32,
  /** A request up to this size decodes in one synchronous run: at 350 MB/s that is 0.75 ms. */
  synchronousDecodeBytesMax: 256 * 1024,
  /** One slice of a larger decode: half of the 10 ms that our code may hold the event loop. */
  decodeSliceMs: 5,
  /** An open batch closes at this many estimated bytes: kafkajs is cheapest at 64-256 KiB. */
  batchBytesMax: 256 * 1024,
  /** Rows of a batch fit 16-bit dictionary ids. */
  batchRowsMax: 32_767,
  tenantsMax: 1000,
  tenantNameBytesMax: 63,
  /** Attribute columns per file and namespace; rarer keys go to the overflow column. */
  attributeColumnsMax: 1000,
  /** Hour files per flush, tenant and signal; older hours of the flush go to `late/`. */
  hoursPerFlushMax: 48,
  walSegmentBytesMax: 64 * 1024 * 1024,
} as const
