import { open } from 'node:fs/promises'
import { basename } from 'node:path'

import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import { AppError } from '@tributary/common/errors'
import { nodeFileSystem } from '@tributary/common/file-system'
import { signalName } from '@tributary/common/signal'
import { ChunkSource } from '@tributary/ingester/wal/chunk-source'
import { FrameType } from '@tributary/ingester/wal/frame'
import {
  decodeSegmentHeader,
  SEGMENT_HEADER_BYTES_MAX,
  segmentSalt,
} from '@tributary/ingester/wal/segment-header'
import type { SegmentHeader } from '@tributary/ingester/wal/segment-header'
import { SegmentReader } from '@tributary/ingester/wal/segment-reader'
import type { ReadFrame } from '@tributary/ingester/wal/segment-reader'

import { factsText, nanosText, sectionText, sizeText } from './report-text.ts'

const FRAME_TYPE_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(FrameType).map(([name, number]) => [number, name]),
)

/** Frames of one table: a segment of 64 MiB holds some hundreds. */
const FRAMES_PER_TABLE = 500

/** Header, every frame with what its envelope says, and every damaged range. */
export async function* segmentReport(path: string): AsyncGenerator<string> {
  const { header, headerBytes } = await readHeader(path)
  yield headerText(path, header)
  const handle = await nodeFileSystem.open(path, 'read')
  const { size } = await statOf(path)
  const unreadable: number[] = []
  const source = new ChunkSource(handle, size, (position) => unreadable.push(position))
  const salt = segmentSalt(header.uuid, header.identity)
  const reader = new SegmentReader(source, salt, headerBytes, header.baseOffset)
  const columns = [
    'offset',
    'count',
    'type',
    'bytes',
    'tenant',
    'signal',
    'rows',
    'arrival',
    'what',
  ]
  try {
    let rows: string[][] = []
    for (let frames = await reader.read(); frames !== undefined; frames = await reader.read()) {
      rows.push(...frames.map(frameRow))
      if (rows.length < FRAMES_PER_TABLE) continue
      yield `\n${sectionText('Frames', columns, rows)}`
      rows = []
    }
    yield `\n${sectionText('Frames', columns, rows)}`
  } finally {
    await reader.close()
  }
  yield `\n${factsText('End', { 'next offset': reader.nextOffset, 'acknowledged before': reader.acknowledgedEnd })}`
  yield `\n${damageText(reader, unreadable)}`
}

async function readHeader(path: string): Promise<{ header: SegmentHeader; headerBytes: number }> {
  const handle = await open(path)
  try {
    const head = Buffer.alloc(SEGMENT_HEADER_BYTES_MAX)
    const { bytesRead } = await handle.read(head, 0, head.length, 0)
    const outcome = decodeSegmentHeader(head.subarray(0, bytesRead))
    if (outcome.kind === 'valid') return outcome
    if (outcome.kind === 'newer_version') {
      throw new AppError('wal_damaged', 'segment was written by a newer version', {
        details: { path, version: outcome.version },
      })
    }
    throw new AppError('wal_damaged', 'segment header is damaged', { details: { path } })
  } finally {
    await handle.close()
  }
}

async function statOf(path: string): Promise<{ size: number }> {
  const handle = await open(path)
  try {
    return await handle.stat()
  } finally {
    await handle.close()
  }
}

function headerText(path: string, header: SegmentHeader): string {
  const { identity, predecessor } = header
  return factsText(`WAL segment ${basename(path)}`, {
    sequence: header.sequence,
    'base offset': header.baseOffset,
    uuid: Buffer.from(header.uuid).toString('hex'),
    created: new Date(Number(header.createdUnixMs)).toISOString(),
    log: `${identity.logId}/${identity.topic}/${identity.partition}`,
    predecessor:
      predecessor === undefined
        ? 'none'
        : `${Buffer.from(predecessor.uuid).toString('hex')}, next offset ${predecessor.nextOffset}`,
  })
}

function frameRow({ header, payload }: ReadFrame): string[] {
  const start = [
    String(header.firstOffset),
    String(header.count),
    FRAME_TYPE_NAMES[header.type] ?? String(header.type),
    sizeText(header.payloadBytes),
  ]
  if (header.type === FrameType.hole) {
    return [...start, '', '', '', '', Buffer.from(payload).toString('utf8')]
  }
  if (header.type === FrameType.end) return [...start, '', '', '', '', '']
  try {
    const envelope = decodeEnvelope(payload).header
    return [
      ...start,
      envelope.tenant,
      signalName(envelope.signal) ?? String(envelope.signal),
      String(envelope.rowCount),
      nanosText(envelope.arrivalUnixNano),
      `${envelope.chunks.count} chunks of ${sizeText(envelope.otlpBytes)} OTLP`,
    ]
  } catch (error) {
    return [...start, '', '', '', '', error instanceof Error ? error.message : String(error)]
  }
}

function damageText(reader: SegmentReader, unreadable: readonly number[]): string {
  return sectionText(
    'Damage',
    ['from byte', 'to byte', 'from offset', 'to offset', 'what'],
    [
      ...reader.damages.map((range) => [
        String(range.startPosition),
        String(range.endPosition),
        String(range.startOffset),
        range.endOffset === undefined ? 'end' : String(range.endOffset),
        'no valid frame',
      ]),
      ...unreadable.map((position) => [String(position), '', '', '', 'read failed']),
    ],
  )
}
