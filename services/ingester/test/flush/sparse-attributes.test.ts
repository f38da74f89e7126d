/**
 * Attributes that stand as pairs in their batches must give the files that columns give: the same
 * rows under the same names, the same series, the same overflow.
 */
import { batchChunks } from '@tributary/common/columnar/chunk-list'
import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { writeEnvelopeWithBatch } from '@tributary/common/columnar/envelope-writer'
import { LIMITS } from '@tributary/common/limits'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore } from '@tributary/common/object-store/object-store'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { ProtobufWriter } from '@tributary/common/otlp/protobuf-writer'
import { Signal, type SignalName } from '@tributary/common/signal'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { parquetReadObjects } from 'hyparquet'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import { zstdDecompressSync } from 'node:zlib'
import { SchemaCache } from '../../src/flush/schema-cache.ts'
import { SpoolFile } from '../../src/flush/spool-file.ts'
import type { FlushEntry } from '../../src/flush/table-context.ts'
import { writeTable } from '../../src/flush/table-writer.ts'

const KEYS = ['a', 'b.c', 'ключ', 'd@int', '', '_e', 'f', 'g']
const START_UNIX_NANO = 1_800_000_000_000_000_000n
const ROWS_PER_BATCH = 60
const BATCHES = 6
const HOUR_NANO = 3_600_000_000_000n
const HOURS = 3

type AddValue = (any: ProtobufWriter, random: SeededRandom) => void

const ODD_DOUBLES = [-0, NaN, Infinity, 5e-324]

/** A value of each type, few or many distinct ones. */
const VALUES: readonly AddValue[] = [
  (any, random) => {
    any.bytesField(1, Buffer.from(`text ${random.below(random.pick([2, 1000]))} ü`))
  },
  (any) => {
    any.bytesField(1, Buffer.alloc(0))
  },
  (any, random) => {
    any.tag(2, 0)
    any.byte(random.below(2))
  },
  (any, random) => {
    any.tag(3, 0)
    any.varint64(random.uint32(), random.pick([0, 1, 0x7fff_ffff, -1, 0x8000_0000]))
  },
  (any, random) => {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(random.chance(0.5) ? random.pick(ODD_DOUBLES) : random.fraction())
    any.tag(4, 1)
    any.raw(bytes)
  },
  (any, random) => {
    any.bytesField(7, random.bytes(random.below(200)))
  },
  (any, random) => {
    const item = new ProtobufWriter()
    item.bytesField(1, Buffer.from(`item ${random.below(3)}`))
    const array = new ProtobufWriter()
    for (let i = random.below(3); i >= 0; i--) array.bytesField(1, item.written)
    any.bytesField(5, array.written)
  },
  () => undefined,
]

function addAttributes(item: ProtobufWriter, field: number, random: SeededRandom): void {
  KEYS.forEach((key, index) => {
    if (random.chance(index < 3 ? 0.3 : 0.8)) return
    const any = new ProtobufWriter()
    // most values of a key have one type
    VALUES[random.chance(0.8) ? index : random.below(VALUES.length)]!(any, random)
    const pair = new ProtobufWriter()
    if (key !== '') pair.bytesField(1, Buffer.from(key))
    pair.bytesField(2, any.written)
    item.bytesField(field, pair.written)
  })
}

function message(fill: (writer: ProtobufWriter) => void): Uint8Array {
  const writer = new ProtobufWriter()
  fill(writer)
  return writer.take()
}

function fixed64(writer: ProtobufWriter, field: number, value: bigint): void {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  writer.tag(field, 1)
  writer.raw(bytes)
}

/** A request with one item. */
function request(signal: SignalName, random: SeededRandom, index: number): Uint8Array {
  // hours come in turn, so that each has rows of all batches
  const hour = START_UNIX_NANO + BigInt(index % HOURS) * HOUR_NANO
  const time = hour + BigInt(random.below(1000)) * 1_000_000n + BigInt(index)
  const record = message((item) => {
    if (signal === 'metrics') fixed64(item, 3, time)
    else fixed64(item, 1, time)
    addAttributes(item, signal === 'metrics' ? 7 : 6, random)
  })
  const item =
    signal === 'logs'
      ? record
      : message((metric) => {
          metric.bytesField(1, Buffer.from(`metric ${random.below(3)}`))
          metric.bytesField(
            5,
            message((gauge) => gauge.bytesField(1, record)),
          )
        })
  return message((body) => {
    body.bytesField(
      1,
      message((part) =>
        part.bytesField(
          2,
          message((scope) => scope.bytesField(2, item)),
        ),
      ),
    )
  })
}

/** Whether each batch has columns or pairs. */
type Form = (batch: number) => 'columns' | 'pairs'

const FORMS: Readonly<Record<string, Form>> = {
  columns: () => 'columns',
  pairs: () => 'pairs',
  'columns first': (batch) => (batch % 2 === 0 ? 'columns' : 'pairs'),
  'pairs first': (batch) => (batch % 2 === 0 ? 'pairs' : 'columns'),
}

function entriesOf(signal: SignalName, requests: readonly Uint8Array[], form: Form): FlushEntry[] {
  return Array.from({ length: BATCHES }, (_, batch) => {
    const builder = new BatchBuilder(Signal[signal])
    if (form(batch) === 'pairs') makeSparse(builder)
    for (const body of requests.slice(batch * ROWS_PER_BATCH, (batch + 1) * ROWS_PER_BATCH)) {
      decodeInto(builder, body, { tenant: 'default', arrivalUnixNano: START_UNIX_NANO })
    }
    const isColumns = form(batch) === 'columns'
    assert.equal(builder.attributes.sparse.count === 0, isColumns)
    assert.equal(builder.attributeColumns.length > 0, isColumns)
    const { signal: code, rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano } = builder
    const bytes = writeEnvelopeWithBatch(
      {
        signal: code,
        tenant: 'default',
        batchId: new Uint8Array(16),
        rowCount,
        otlpBytes,
        arrivalUnixNano: START_UNIX_NANO,
        minTimeUnixNano,
        maxTimeUnixNano,
        chunks: batchChunks([]),
      },
      builder,
    )
    return { bytes, suppressed: new Int32Array(0) }
  })
}

function makeSparse({ attributes }: BatchBuilder): void {
  for (const key of KEYS) {
    const bytes = new TextEncoder().encode(key)
    attributes.key(bytes, new DataView(bytes.buffer), 0, bytes.length).isSparse = true
  }
}

/** The rows of the files that these batches become, in their order: one for each hour. */
async function rowsOf(
  t: TestContext,
  signal: SignalName,
  entries: readonly FlushEntry[],
  columnsMax: number,
): Promise<Record<string, unknown>[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-sparse-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  const store = await openObjectStore(pathToFileURL(join(folder, 'store')).href, {
    logger: createLogger({ name: 'test', level: 'silent' }),
  })
  const schemas = new SchemaCache(store, 10)
  const job = {
    tenant: 'default',
    signal,
    topic: 'test',
    partition: 0,
    start: '0',
    end: String(entries.length),
    entries,
    settings: {
      rowGroupRowsMax: 50,
      rowGroupBytesMax: 1 << 26,
      fileRowsMax: 1 << 20,
      fileBytesMax: 1 << 28,
      hoursMax: LIMITS.hoursPerFlushMax,
      attributeColumnsMax: columnsMax,
      zstdLevel: 1,
    },
  }
  const { files } = await writeTable(job, {
    schemaOf: (wanted) => schemas.resolveOrExtend('default', signal, wanted),
    createFile: () => new SpoolFile(folder),
  })
  assert.equal(files.length, HOURS)
  const rows = files.map(({ path }) => readRows(readFileSync(path)))
  return (await Promise.all(rows)).flat()
}

function readRows({ buffer, byteOffset, length }: Buffer): Promise<Record<string, unknown>[]> {
  return parquetReadObjects({
    file: buffer.slice(byteOffset, byteOffset + length) as ArrayBuffer,
    utf8: false,
    compressors: { ZSTD: (compressed) => zstdDecompressSync(compressed) },
  })
}

for (const signal of ['logs', 'metrics'] as const) {
  for (const columnsMax of [1000, 4]) {
    void test(`${signal} with pairs give the rows that columns give, at most ${String(columnsMax)} columns`, async (t) => {
      const random = new SeededRandom(7)
      const requests = Array.from({ length: BATCHES * ROWS_PER_BATCH }, (_, index) =>
        request(signal, random, index),
      )
      const results: Record<string, Record<string, unknown>[]> = {}
      for (const [name, form] of Object.entries(FORMS)) {
        results[name] = await rowsOf(t, signal, entriesOf(signal, requests, form), columnsMax)
      }
      const expected = results['columns']!
      assert.equal(expected.length, requests.length)
      const names = new Set(expected.flatMap(Object.keys))
      assert.equal(names.has('attributes._overflow'), columnsMax < 10)
      for (const rows of Object.values(results)) assert.deepEqual(rows, expected)
    })
  }
}
