/** What travels through the log and lies in it: envelopes with their batches, segments of the WAL. */
import { crc32 } from 'node:zlib'

import { tableFromIPC } from 'apache-arrow'

import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { chunkEntries } from '@tributary/common/columnar/chunk-list'
import { decodeEnvelope, ENVELOPE_VERSION } from '@tributary/common/columnar/envelope'
import { writeEnvelopeWithBatch } from '@tributary/common/columnar/envelope-writer'
import { AppError } from '@tributary/common/errors'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { Signal, signalName, type SignalName } from '@tributary/common/signal'
import { exportRequest } from '@tributary/common/testing/otlp-messages'
import { decodeFrameHeader, encodeFrames, FRAME_HEADER_BYTES } from '@tributary/ingester/wal/frame'
import { FrameType, isPayloadIntact, type NewFrame } from '@tributary/ingester/wal/frame'
import { decodeSegmentHeader, encodeSegmentHeader } from '@tributary/ingester/wal/segment-header'
import { segmentSalt, SegmentVersion } from '@tributary/ingester/wal/segment-header'

import { withUint16At, type FormatSample } from './format-sample.ts'
import { SAMPLE_TIME, sampleRequests } from './sample-requests.ts'

/** The envelope of a batch as a router makes it of one request. */
function envelopeOf(signal: SignalName): Uint8Array {
  const builder = new BatchBuilder(Signal[signal])
  const tenant = 'acme'
  const body = exportRequest(signal).encode(sampleRequests(SAMPLE_TIME)[signal])
  decodeInto(builder, body, { tenant, arrivalUnixNano: SAMPLE_TIME + 7_000_000n })
  const { rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano, chunks } = builder
  const header = { signal: builder.signal, rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano }
  return writeEnvelopeWithBatch(
    {
      ...{ ...header, tenant, arrivalUnixNano: SAMPLE_TIME + 7_000_000n },
      batchId: Buffer.from('a0a1a2a3a4a5a6a7a8a9aaabacadaeaf', 'hex'),
      chunks: chunks.copy(),
    },
    builder,
  )
}

/** The header, and the rows as apache-arrow sees them. */
function readEnvelope(bytes: Uint8Array): unknown {
  const { header, arrow } = decodeEnvelope(bytes)
  const table = tableFromIPC(arrow)
  const columns = table.schema.fields.map(({ name, type }, index) => {
    const column = table.getChildAt(index)
    return [
      name,
      String(type),
      Array.from({ length: table.numRows }, (_, row) => cell(column?.get(row))),
    ]
  })
  const chunks = chunkEntries(header.chunks)
  return { ...header, signal: signalName(header.signal), chunks, columns }
}

function cell(value: unknown): unknown {
  if (value === null || value === undefined || value instanceof Uint8Array) return value ?? null
  const isList = typeof value === 'object' && Symbol.iterator in value
  return isList ? [...(value as Iterable<unknown>)] : value
}

const IDENTITY = { logId: 'cluster-topic', topic: 'tributary', partition: 7 }
const UUID = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const PAYLOAD = Buffer.from('an envelope')

function segmentOf(version: SegmentVersion, frames: readonly NewFrame[]): Uint8Array {
  const predecessor = { uuid: Buffer.alloc(16, 0x77), nextOffset: 40n, lastCrc: 0x01020304 }
  const header = encodeSegmentHeader({
    ...{ version, uuid: UUID, sequence: 3n, baseOffset: 40n, identity: IDENTITY },
    ...{ createdUnixMs: 1_795_230_000_000n, predecessor },
  })
  const { buffers } = encodeFrames(frames, segmentSalt(UUID, IDENTITY))
  return Buffer.concat([header, ...buffers])
}

const LOG_FRAMES: readonly NewFrame[] = [
  frame(FrameType.data, 40n, 1, PAYLOAD),
  frame(FrameType.hole, 41n, 2, Buffer.from('quarantined: a reason')),
  frame(FrameType.data, 43n, 1, Buffer.from('another')),
]
const CACHE_FRAMES: readonly NewFrame[] = [
  frame(FrameType.record, 40n, 1, PAYLOAD),
  frame(FrameType.record, 41n, 1, Buffer.from('another')),
]

function frame(type: FrameType, firstOffset: bigint, count: number, payload: Uint8Array): NewFrame {
  return { type, firstOffset, count, groupIndex: 0, appendUnixMs: 1_795_230_000_456, payload }
}

function readSegment(bytes: Uint8Array): unknown {
  const outcome = decodeSegmentHeader(bytes)
  if (outcome.kind === 'newer_version') {
    throw new AppError('wal_damaged', `segment of a newer version, ${String(outcome.version)}`)
  }
  if (outcome.kind === 'damaged') throw new AppError('wal_damaged', 'segment header is damaged')
  const { header, headerBytes } = outcome
  const salt = segmentSalt(header.uuid, header.identity)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const frames: unknown[] = []
  for (let at = headerBytes; at < bytes.length;) {
    const read = decodeFrameHeader(view, at, salt)
    if (read === undefined) throw new AppError('wal_damaged', `no frame at ${String(at)}`)
    const begin = at + FRAME_HEADER_BYTES
    const payload = bytes.subarray(begin, begin + read.payloadBytes)
    if (!isPayloadIntact(read, payload)) throw new AppError('wal_damaged', 'payload is damaged')
    frames.push({ ...read, payload })
    at = begin + padded(read.payloadBytes)
  }
  return { header, frames }
}

/** With the checksum that a newer build would have put there. */
function withSegmentVersion(bytes: Uint8Array, version: number): Uint8Array {
  const changed = Buffer.from(bytes)
  changed.writeUInt16LE(version, 8)
  changed.writeUInt32LE(0, 12)
  changed.writeUInt32LE(crc32(changed.subarray(0, changed.readUInt16LE(10))), 12)
  return changed
}

function padded(bytes: number): number {
  return (bytes + 7) & ~7
}

const ENVELOPE_REFUSAL = {
  code: 'envelope_damaged',
  message: /of version \d+; this build reads/,
} as const
const SEGMENT_REFUSAL = { code: 'wal_damaged', message: /newer version/ } as const

export const LOG_SAMPLES: readonly FormatSample[] = [
  ...(['logs', 'spans', 'metrics'] as const).map((signal): FormatSample => ({
    name: `envelope-${signal}`,
    version: ENVELOPE_VERSION,
    write: () => envelopeOf(signal),
    read: readEnvelope,
    withVersion: withUint16At(4),
    refusal: ENVELOPE_REFUSAL,
  })),
  {
    name: 'segment-log',
    version: SegmentVersion.log,
    write: () => segmentOf(SegmentVersion.log, LOG_FRAMES),
    read: readSegment,
    // the one behind it is that of the other kind
    withVersion: (bytes, version) => withSegmentVersion(bytes, version + 1),
    refusal: SEGMENT_REFUSAL,
  },
  {
    name: 'segment-cache',
    version: SegmentVersion.cache,
    write: () => segmentOf(SegmentVersion.cache, CACHE_FRAMES),
    read: readSegment,
    withVersion: withSegmentVersion,
    refusal: SEGMENT_REFUSAL,
  },
]
