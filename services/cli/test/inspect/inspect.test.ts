import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { batchChunks } from '@tributary/common/columnar/chunk-list'
import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { encodeEnvelope } from '@tributary/common/columnar/envelope'
import { writeEnvelopeWithBatch } from '@tributary/common/columnar/envelope-writer'
import { serializeSidecar } from '@tributary/common/commit/chunk-sidecar'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { Signal } from '@tributary/common/signal'
import { exportRequest } from '@tributary/common/testing/otlp-messages'
import { encodeFrames, FrameType } from '@tributary/ingester/wal/frame'
import { encodeSegmentHeader, segmentSalt } from '@tributary/ingester/wal/segment-header'

import { runCommandLine } from '../../src/command-line.ts'
import { kindOfHead } from '../../src/inspect/file-kind.ts'
import { MemoryTerminal } from '../memory-terminal.ts'
import { StoreFixture } from '../store-fixture.ts'

const IDENTITY = { logId: 'store-1', topic: 'standalone', partition: 0 }
const UUID = new Uint8Array(16).fill(7)

function envelope(): Uint8Array {
  return encodeEnvelope(
    {
      signal: Signal.logs,
      tenant: 'acme',
      batchId: new Uint8Array(16).fill(1),
      rowCount: 3,
      otlpBytes: 900,
      arrivalUnixNano: 1_795_230_000_000_000_001n,
      minTimeUnixNano: 1n,
      maxTimeUnixNano: 2n,
      chunks: batchChunks([
        { hash: new Uint8Array(16).fill(9), rowStart: 0, rowCount: 3, removable: true },
      ]),
    },
    new Uint8Array(8),
  )
}

function segment(): Buffer {
  const header = encodeSegmentHeader({
    sequence: 1n,
    baseOffset: 0n,
    uuid: UUID,
    identity: IDENTITY,
    createdUnixMs: 1_795_230_000_000n,
    predecessor: undefined,
  })
  const hole = Buffer.from('wal_damaged')
  const { buffers } = encodeFrames(
    [
      { type: FrameType.data, firstOffset: 0n, count: 1, groupIndex: 0, payload: envelope() },
      { type: FrameType.hole, firstOffset: 1n, count: 2, groupIndex: 0, payload: hole },
      { type: FrameType.data, firstOffset: 3n, count: 1, groupIndex: 0, payload: envelope() },
    ],
    segmentSalt(UUID, IDENTITY),
  )
  return Buffer.concat([header, ...buffers])
}

describe('tributary inspect', () => {
  const store = new StoreFixture()
  let keys: readonly string[] = []

  before(async () => {
    const sql = `SELECT range AS n, 'a' || (range % 10) AS s, [{'x': 1.5}] AS l FROM range(300000)`
    keys = await store.commit({ sql, rows: 300_000 })
  })

  after(() => {
    store.remove()
  })

  async function inspect(...words: string[]) {
    const terminal = new MemoryTerminal()
    const status = await runCommandLine(['inspect', ...words], terminal, '0')
    return { status, out: terminal.outText, err: terminal.errText }
  }

  it('shows footer, schema, row groups and statistics of Parquet', async () => {
    const { status, out } = await inspect(join(store.root, keys[0] ?? ''))
    assert.equal(status, 0)
    assert.match(out, /rows +300000\n/)
    assert.match(out, /\n {2}n +INT64 .*BIGINT\n/)
    assert.match(out, /Row group 2: 54240 rows/)
    assert.match(out, /\n {2}n +PLAIN +ZSTD .* 245760 +299999\n/)
  })

  it('says where a file has no page indexes', async () => {
    const { out } = await inspect(join(store.root, keys[0] ?? ''))
    assert.match(out, /\n {2}n +PLAIN +ZSTD +\S+ KiB +\S+ KiB +\? /)
    const { status, out: withPages } = await inspect('--pages', join(store.root, keys[0] ?? ''))
    assert.equal(status, 0)
    assert.match(withPages, /\nPages of row group 2\n {2}none\n/)
  })

  it('shows an envelope, its columns and its first rows as apache-arrow reads them', async () => {
    const builder = new BatchBuilder(Signal.logs)
    const body = exportRequest('logs').encode({
      resourceLogs: [
        {
          scopeLogs: [
            {
              logRecords: [{ timeUnixNano: '5', body: { stringValue: 'hello' }, traceId: 'AQ==' }],
            },
          ],
        },
      ],
    })
    decodeInto(builder, body, { tenant: 'acme', arrivalUnixNano: 1n })
    const header = {
      signal: Signal.logs,
      tenant: 'acme',
      batchId: new Uint8Array(16),
      rowCount: 1,
      otlpBytes: body.length,
      arrivalUnixNano: 1n,
      minTimeUnixNano: 5n,
      maxTimeUnixNano: 5n,
      chunks: batchChunks([]),
    }
    const path = store.write('batch.envelope', writeEnvelopeWithBatch(header, builder))
    const { status, out } = await inspect(path)
    assert.equal(status, 0)
    assert.match(out, /tenant +acme\n/)
    assert.match(out, /body@string +utf8 /)
    assert.match(out, /\nRow 0\n[^]* {2}time_unix_nano: 5\n[^]* {2}body@string: "hello"\n/)
  })

  it('shows range, counts and files of a commit', async () => {
    const { out } = await inspect(join(store.root, keys[1] ?? ''))
    assert.match(out, /log +store-1\/standalone\/0\n/)
    assert.match(out, /end \(next\) +10\n/)
    assert.match(out, /counts add up +yes\n/)
    assert.match(out, /\n {2}default +logs +2026-11-21T03 +300000 /)
    assert.match(out, /Holes\n {2}none\n/)
  })

  it('shows header and frames of a WAL segment, whatever its name', async () => {
    const { status, out } = await inspect(store.write('renamed.bin', segment()))
    assert.equal(status, 0)
    assert.match(out, /log +store-1\/standalone\/0\n/)
    assert.match(
      out,
      /\n {2} *0 +1 +data .*acme +logs +3 +2026-11-21T03:00:00\.000000001Z +1 chunks of 900 B OTLP\n/,
    )
    assert.match(out, /\n {2} *1 +2 +hole .*wal_damaged\n/)
    assert.match(out, /next offset +4\n/)
    assert.match(out, /Damage\n {2}none\n/)
  })

  it('shows the undamaged frames of a damaged segment, and the damage', async () => {
    const damaged = segment()
    damaged[damaged.length - 1 - envelope().length - 40]! ^= 1
    const { status, out } = await inspect(store.write('damaged.bin', damaged))
    assert.equal(status, 0)
    assert.match(out, /no valid frame\n/)
    assert.match(out, /\n {2} *3 +1 +data /)
  })

  it('shows chunk hashes', async () => {
    const chunks = [{ hashes: new Uint8Array(16).fill(0xab), appendUnixMs: 1_795_230_000_000 }]
    const bytes = serializeSidecar(IDENTITY, { start: 0n, end: 5n }, chunks)
    const { out } = await inspect(store.write('sidecar.bin', bytes))
    assert.match(out, /(ab){16} +2026-11-21T03:00:00\.000Z\n/)
  })

  it('shows other JSON indented', async () => {
    const { out } = await inspect(store.write('store.json', Buffer.from('{"id":"x"}')))
    assert.equal(out, '{\n  "id": "x"\n}\n')
  })

  it('says what is wrong with a file, in one line without a stack', async () => {
    for (const [name, content] of Object.entries({
      'cut.parquet': 'PAR1 and nothing else',
      'cut.wal': 'TRIBWAL\n',
      'cut.env': 'TRB1',
      'cut.json': '{"files": 1, "counts": 2}',
      'wrong.json': '{]',
      empty: '',
      'text.txt': 'hello',
    })) {
      const { status, out, err } = await inspect(store.write(name, Buffer.from(content)))
      assert.equal(status, 1, name)
      assert.equal(out, '', name)
      assert.match(err, /^tributary inspect: [^\n]+\n$/, name)
    }
    assert.match((await inspect(join(store.root, 'none'))).err, /there is no such file/)
  })

  it('tells kinds by content', () => {
    const kinds = ['PAR1', 'TRIBWAL\n', 'TRBHASH1', 'TRB1', ' {', 'x', ''].map((head) =>
      kindOfHead(Buffer.from(head)),
    )
    assert.deepEqual(kinds, [
      'parquet',
      'wal-segment',
      'chunk-sidecar',
      'envelope',
      'json',
      'unknown',
      'unknown',
    ])
  })
})
