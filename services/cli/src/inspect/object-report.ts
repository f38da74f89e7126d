import { readFile } from 'node:fs/promises'

import { chunkEntries } from '@tributary/common/columnar/chunk-list'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import { openBatch } from '@tributary/common/columnar/batch-view'
import type { BatchView } from '@tributary/common/columnar/batch-view'
import { parseSidecar } from '@tributary/common/commit/chunk-sidecar'
import { countsProblem, parseCommitRecord } from '@tributary/common/commit/commit-record'
import type { CommitRecord } from '@tributary/common/commit/commit-record'
import { signalName } from '@tributary/common/signal'

import { firstRowsText } from './arrow-rows.ts'
import { factsText, nanosText, sectionText, sizeText } from './report-text.ts'

/** The commit, where the JSON is one; any other JSON indented. */
export async function* jsonReport(path: string): AsyncGenerator<string> {
  const bytes = await readFile(path)
  const plain: unknown = JSON.parse(bytes.toString('utf8'))
  const isCommit =
    typeof plain === 'object' && plain !== null && 'files' in plain && 'counts' in plain
  if (isCommit) yield* commitTexts(path, parseCommitRecord(bytes))
  else yield `${JSON.stringify(plain, null, 2)}\n`
}

function* commitTexts(path: string, commit: CommitRecord): Generator<string> {
  yield factsText(`Commit ${path}`, {
    log: `${commit.logId}/${commit.topic}/${commit.partition}`,
    start: commit.start,
    'end (next)': commit.end,
    'committed at': commit.committedAt,
    epoch: commit.epoch,
    writer: commit.writer,
    'schema versions': commit.schemaVersions,
    hashes: commit.hashes,
    ...commit.counts,
    'counts add up': countsProblem(commit) ?? 'yes',
  })
  yield `\n${sectionText(
    'Files',
    ['tenant', 'signal', 'hour', 'rows', 'bytes', 'from', 'to', 'sha256', 'key'],
    commit.files.map((file) => [
      file.tenant,
      file.signal,
      file.hour,
      String(file.rows),
      sizeText(file.bytes),
      nanosText(BigInt(file.timeMin)),
      nanosText(BigInt(file.timeMax)),
      file.sha256.slice(0, 12),
      file.key.split('/').at(-1) ?? '',
    ]),
  )}`
  yield `\n${sectionText(
    'Holes',
    ['start', 'end', 'reason'],
    commit.holes.map((hole) => [hole.start, hole.end, hole.reason]),
  )}`
}

/** The range of the commit that a sidecar belongs to, and its chunk hashes. */
export async function* sidecarReport(path: string): AsyncGenerator<string> {
  const sidecar = parseSidecar(await readFile(path))
  yield factsText(`Chunk hashes ${path}`, {
    start: sidecar.start,
    'end (next)': sidecar.end,
    chunks: sidecar.chunks.length,
  })
  const rows = sidecar.chunks.map(({ hash, appendUnixMs }) => [
    Buffer.from(hash).toString('hex'),
    new Date(appendUnixMs).toISOString(),
  ])
  yield `\n${sectionText('Chunks', ['hash', 'appended'], rows)}`
}

/** The envelope's header and the columns of the batch inside. */
export async function* envelopeReport(path: string): AsyncGenerator<string> {
  const { header, arrow } = decodeEnvelope(alignedCopy(await readFile(path)))
  yield factsText(`Envelope ${path}`, {
    tenant: header.tenant,
    signal: signalName(header.signal) ?? header.signal,
    'batch id': Buffer.from(header.batchId).toString('hex'),
    rows: header.rowCount,
    'OTLP bytes': sizeText(header.otlpBytes),
    arrival: nanosText(header.arrivalUnixNano),
    'least time': nanosText(header.minTimeUnixNano),
    'greatest time': nanosText(header.maxTimeUnixNano),
  })
  yield `\n${sectionText(
    'Chunks',
    ['hash', 'first row', 'rows', 'may be a repeat'],
    chunkEntries(header.chunks).map((chunk) => [
      Buffer.from(chunk.hash).toString('hex'),
      String(chunk.rowStart),
      String(chunk.rowCount),
      chunk.removable ? 'yes' : 'no',
    ]),
  )}`
  const stream = alignedCopy(arrow)
  yield `\n${columnsText(openBatch(stream))}`
  yield `\n${firstRowsText(stream)}`
}

export async function* arrowReport(path: string): AsyncGenerator<string> {
  const stream = alignedCopy(await readFile(path))
  const batch = openBatch(stream)
  yield factsText(`Arrow stream ${path}`, { rows: batch.rowCount, columns: batch.columns.length })
  yield `\n${columnsText(batch)}`
  yield `\n${firstRowsText(stream)}`
}

function columnsText(batch: BatchView): string {
  return sectionText(
    'Columns',
    ['name', 'type', 'nulls', 'dictionary', 'bytes'],
    batch.columns.map((column) => [
      column.name,
      column.type,
      String(column.nullCount),
      column.indices === undefined ? '' : `${column.length} entries`,
      sizeText(column.values.byteLength + (column.indices?.byteLength ?? 0)),
    ]),
  )
}

/** A batch is read through typed arrays, which want the start at a multiple of 8. */
function alignedCopy(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new ArrayBuffer(bytes.byteLength))
  copy.set(bytes)
  return copy
}
