/**
 * The gRPC service of an ingester (proto/tributary/internal/v1/ingester.proto) as grpc-js knows it, and
 * its messages as they come out of its loader: 64-bit numbers as decimal text.
 */
import { fileURLToPath } from 'node:url'

import { loadPackageDefinition } from '@grpc/grpc-js'
import type { ServiceClientConstructor, ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

export interface PartitionInfo {
  readonly partition: number
  readonly epoch: string
  readonly state: string
  readonly haltReason: string
  readonly start: string
  readonly next: string
  readonly lagOffsets: string
  readonly lagSeconds: number
  readonly oldestUnflushedSeconds: number
  readonly unflushedRows: string
  readonly unflushedBytes: string
  readonly validThroughUnixMs: string
  readonly holds: readonly string[]
  readonly backlogOffsets: string
  readonly backlogSeconds: number
}

export interface PartitionList {
  readonly member: string
  readonly logId: string
  readonly topic: string
  readonly isDraining: boolean
  readonly partitions: readonly PartitionInfo[]
  readonly memoryBytes: string
  readonly memoryBytesMax: string
  readonly loopBusySeconds: number
  readonly flushBusySeconds: number
  /** Of the topic; 0 where an older version does not say. */
  readonly partitionCount: number
}

export interface DrainRequest {
  readonly holdSeconds: number
}

export interface ResumeRequest {
  readonly onlyHeld: boolean
}

export interface ReadUnflushedRequest {
  readonly partition: number
  /** Empty: of all. */
  readonly tenant: string
  readonly signal: string
  /** 0: the log is not asked. */
  readonly waitMs: number
}

export interface UnflushedRange {
  readonly logId: string
  readonly topic: string
  readonly partition: number
  readonly start: string
  readonly end: string
  /** Not there: nobody asked the log, or it did not say. */
  readonly logEnd?: string
}

export interface UnflushedFile {
  readonly tenant: string
  readonly signal: string
  readonly hour: string
  readonly rows: string
  readonly bytes: string
}

/** One of its members is there. */
export interface ReadUnflushedResponse {
  readonly range?: UnflushedRange | null
  readonly file?: UnflushedFile | null
  readonly data?: Uint8Array | null
}

export const PROTO_FOLDER = fileURLToPath(new URL('../../../proto', import.meta.url))
export const INGESTER_PROTO = 'tributary/internal/v1/ingester.proto'

const definition = loadSync(INGESTER_PROTO, {
  includeDirs: [PROTO_FOLDER],
  longs: String,
  defaults: true,
  oneofs: true,
})

/** What a client is made of. */
export const IngesterServiceClient = (
  loadPackageDefinition(definition) as unknown as {
    tributary: { internal: { v1: { IngesterService: ServiceClientConstructor } } }
  }
).tributary.internal.v1.IngesterService

export const ingesterServiceDefinition: ServiceDefinition = IngesterServiceClient.service
