import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { writeBatch } from '../../src/columnar/arrow-writer.ts'
import { openBatch } from '../../src/columnar/batch-view.ts'
import { AppError } from '../../src/errors.ts'
import { Signal } from '../../src/signal.ts'
import { runPython } from '../../src/testing/python.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { randomBatch, viewTexts } from './random-batch.ts'

const PYTHON_WRITER = `
import sys
import pyarrow as pa
folder = sys.argv[1]

def write(name, columns, options=None, chunks=1, schema=None):
    batch = pa.RecordBatch.from_pydict(columns, schema=schema)
    with pa.OSFile('%s/%s' % (folder, name), 'wb') as sink:
        with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
            for _ in range(chunks): writer.write_batch(batch)

def item(kind): return pa.list_(pa.field('item', kind, nullable=False))

def encoded(values, kind, index):
    return pa.array(values, kind).dictionary_encode().cast(pa.dictionary(index, kind))

every = {
    'utf8': pa.array(['x', None, '', 'äöü😀']),
    'binary': pa.array([b'x', None, b'', b'\\xff']),
    'uint64': pa.array([0, None, 2**64 - 1, 1], pa.uint64()),
    'int64': pa.array([0, None, -2**63, 1], pa.int64()),
    'int32': pa.array([0, None, -2**31, 1], pa.int32()),
    'uint32': pa.array([0, None, 2**32 - 1, 1], pa.uint32()),
    'float64': pa.array([0.0, None, -0.0, float('inf')], pa.float64()),
    'bool': pa.array([True, None, False, True]),
    'fixed16': pa.array([b'0123456789abcdef', None, b'\\0' * 16, b'x' * 16], pa.binary(16)),
    'fixed8': pa.array([b'01234567', None, b'\\0' * 8, b'x' * 8], pa.binary(8)),
    'list_float64': pa.array([[1.5], None, [], [1.0, 2.0]], item(pa.float64())),
    'list_uint64': pa.array([[1], None, [], [2**63, 2]], item(pa.uint64())),
    'ids8': encoded(['x', None, 'x', 'y'], pa.string(), pa.int8()),
    'ids16': encoded(['x', None, 'x', 'y'], pa.string(), pa.int16()),
    'ids32': encoded([b'x', None, b'x', b''], pa.binary(), pa.int32()),
    'dense': pa.array([1, 2, 3, 4], pa.int64()),
    'nothing': encoded([None] * 4, pa.string(), pa.int8()),
}
write('every', every)
write('sliced', {name: pa.concat_arrays([values.slice(3), values, values.slice(1)]).slice(1, 4)
                 for name, values in every.items()
                 if not isinstance(values, pa.DictionaryArray)})
write('no-rows', {name: values.slice(0, 0) for name, values in every.items()})
write('no-batch', every, chunks=0)
write('one-row', {name: values.slice(3) for name, values in every.items()})
garbage = pa.DictionaryArray.from_arrays(
    pa.Array.from_buffers(pa.int8(), 4, [pa.py_buffer(b'\\x05'), pa.py_buffer(b'\\x01\\x7f\\x00\\x80')]),
    pa.array(['x', 'y']), safe=False)
write('null-ids', {'ids': garbage})

one = pa.array([1, 2], pa.int64())
write('bad-two-batches', {'a': one}, chunks=2)
write('bad-compressed', {'a': pa.array(['x' * 1000])}, pa.ipc.IpcWriteOptions(compression='zstd'))
write('bad-version', {'a': one}, pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V4))
write('bad-legacy', {'a': one}, pa.ipc.IpcWriteOptions(
    metadata_version=pa.ipc.MetadataVersion.V4, use_legacy_format=True))
write('bad-int16', {'a': pa.array([1], pa.int16())})
write('bad-float32', {'a': pa.array([1], pa.float32())})
write('bad-large-utf8', {'a': pa.array(['x'], pa.large_string())})
write('bad-utf8-view', {'a': pa.array(['x'], pa.string_view())})
write('bad-fixed4', {'a': pa.array([b'1234'], pa.binary(4))})
write('bad-struct', {'a': pa.array([{'b': 1}])})
write('bad-null-type', {'a': pa.nulls(3)})
write('bad-list-of-text', {'a': pa.array([['x']])})
write('bad-list-null', {'a': pa.array([[1.5, None]], pa.list_(pa.float64()))})
write('bad-unsigned-ids', {'a': encoded(['x'], pa.string(), pa.uint8())})
write('bad-wide-ids', {'a': encoded(['x'], pa.string(), pa.int64())})
write('bad-int-dictionary', {'a': pa.array([5, 5]).dictionary_encode()})
write('bad-null-entry', {'a': pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(['x', None]))})
two = pa.schema([pa.field('a', pa.int64()), pa.field('a', pa.int64())])
with pa.OSFile(folder + '/bad-names', 'wb') as sink:
    with pa.ipc.new_stream(sink, two) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([one, one], schema=two))
deltas = pa.schema([pa.field('a', pa.dictionary(pa.int8(), pa.string()))])
with pa.OSFile(folder + '/bad-delta', 'wb') as sink:
    with pa.ipc.new_stream(sink, deltas, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as writer:
        for values in (['x'], ['x', 'y']):
            array = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array(values))
            writer.write_batch(pa.RecordBatch.from_arrays([array], schema=deltas))
`

const BAD_STREAMS = {
  'bad-two-batches': /after the record batch/,
  'bad-compressed': /compressed/,
  'bad-version': /unknown Arrow version/,
  'bad-legacy': /no message where one should be/,
  'bad-int16': /unsupported type/,
  'bad-float32': /unsupported type/,
  'bad-large-utf8': /unsupported type/,
  'bad-utf8-view': /unsupported type/,
  'bad-fixed4': /unsupported type/,
  'bad-struct': /unsupported type/,
  'bad-null-type': /unsupported type/,
  'bad-list-of-text': /unsupported type of list items/,
  'bad-list-null': /a null in a list/,
  'bad-unsigned-ids': /unsupported type of dictionary ids/,
  'bad-wide-ids': /unsupported type of dictionary ids/,
  'bad-int-dictionary': /only utf8 and binary/,
  'bad-null-entry': /a null in a dictionary/,
  'bad-names': /two columns have one name/,
  'bad-delta': /after the record batch/,
}

const EVERY_COLUMN = {
  utf8: ['s:x', null, 's:', 's:äöü😀'],
  binary: ['b:78', null, 'b:', 'b:ff'],
  uint64: ['i:0', null, 'i:18446744073709551615', 'i:1'],
  int64: ['i:0', null, 'i:-9223372036854775808', 'i:1'],
  int32: ['i:0', null, 'i:-2147483648', 'i:1'],
  uint32: ['i:0', null, 'i:4294967295', 'i:1'],
  float64: ['d:0000000000000000', null, 'd:8000000000000000', 'd:7ff0000000000000'],
  bool: ['true', null, 'false', 'true'],
  fixed16: [
    'b:30313233343536373839616263646566',
    null,
    `b:${'00'.repeat(16)}`,
    `b:${'78'.repeat(16)}`,
  ],
  fixed8: ['b:3031323334353637', null, 'b:0000000000000000', 'b:7878787878787878'],
  list_float64: ['[d:3ff8000000000000]', null, '[]', '[d:3ff0000000000000,d:4000000000000000]'],
  list_uint64: ['[i:1]', null, '[]', '[i:9223372036854775808,i:2]'],
  ids8: ['s:x', null, 's:x', 's:y'],
  ids16: ['s:x', null, 's:x', 's:y'],
  ids32: ['b:78', null, 'b:78', 'b:'],
  dense: ['i:1', 'i:2', 'i:3', 'i:4'],
  nothing: [null, null, null, null],
}

test('openBatch reads what PyArrow writes and refuses, by name, what is no batch', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-pyarrow-'))
  t.after(() => rmSync(folder, { recursive: true }))
  runPython(PYTHON_WRITER, [folder])
  const read = (name: string) => openBatch(readFileSync(join(folder, name)))

  await t.test('every type with nulls, plain and as dictionaries', () => {
    assert.deepEqual({ ...viewTexts(read('every')) }, EVERY_COLUMN)
    const view = read('every')
    assert.equal(view.column('ids16')!.indices!.BYTES_PER_ELEMENT, 2)
    assert.equal(view.column('dense')!.validity, undefined)
    assert.equal(view.column('absent'), undefined)
  })
  await t.test('arrays that are slices of longer ones', () => {
    const texts = viewTexts(read('sliced'))
    assert.equal(Object.keys(texts).length, 13)
    for (const [name, column] of Object.entries(texts)) {
      assert.deepEqual(column, EVERY_COLUMN[name as keyof typeof EVERY_COLUMN])
    }
  })
  await t.test('no rows, no record batch, one row', () => {
    for (const name of ['no-rows', 'no-batch']) {
      const texts = viewTexts(read(name))
      assert.deepEqual(Object.keys(texts), Object.keys(EVERY_COLUMN))
      assert.ok(Object.values(texts).every((column) => column.length === 0))
    }
    const last = Object.entries(EVERY_COLUMN).map(([name, column]) => [name, [column[3]]])
    assert.deepEqual(Object.entries(viewTexts(read('one-row'))), last)
  })
  await t.test('ids of null rows that are out of range become 0', () => {
    const view = read('null-ids')
    assert.deepEqual([...view.column('ids')!.indices!], [1, 0, 0, 0])
    assert.deepEqual(viewTexts(view)['ids'], ['s:y', null, 's:x', null])
  })
  for (const [name, message] of Object.entries(BAD_STREAMS)) {
    await t.test(`${name} is refused`, () => {
      assert.throws(() => read(name), { code: 'envelope_damaged', message })
    })
  }
})

test('a stream at an odd place in its buffer is read all the same', () => {
  const { builder, expected } = randomBatch(new SeededRandom(1), Signal.metrics, 20)
  const stream = writeBatch(builder)
  for (let shift = 0; shift < 8; shift++) {
    const shifted = new Uint8Array(stream.byteLength + 8).subarray(shift, shift + stream.byteLength)
    shifted.set(stream)
    assert.deepEqual(Object.entries(viewTexts(openBatch(shifted))), Object.entries(expected))
    assert.deepEqual(
      Object.entries(viewTexts(openBatch(Buffer.from(shifted)))),
      Object.entries(expected),
    )
  }
})

test('views share the memory of the stream, also when it is shared between threads', () => {
  const stream = writeBatch(randomBatch(new SeededRandom(2), Signal.logs, 50).builder)
  const shared = new Uint8Array(new SharedArrayBuffer(stream.byteLength + 64), 64)
  shared.set(stream)
  for (const column of openBatch(shared).columns) {
    assert.equal(column.values.buffer, shared.buffer)
    if (column.type !== 'bool') assert.equal(column.values.byteOffset % 8, 0)
  }
})

test('a truncation at any byte is refused', () => {
  const stream = writeBatch(randomBatch(new SeededRandom(3), Signal.metrics, 5).builder)
  for (let length = 0; length < stream.byteLength; length++) {
    assert.throws(() => openBatch(stream.subarray(0, length)), { code: 'envelope_damaged' })
  }
})

test('a flip of any bit gives an error of its kind or a view that can be read', () => {
  const stream = writeBatch(randomBatch(new SeededRandom(4), Signal.logs, 2).builder)
  const damaged = Uint8Array.from(stream)
  let refused = 0
  for (let bit = 0; bit < 8 * stream.byteLength; bit++) {
    damaged[bit >>> 3]! ^= 1 << (bit & 7)
    try {
      viewTexts(openBatch(damaged))
    } catch (error) {
      assert.ok(error instanceof AppError && error.code === 'envelope_damaged', String(error))
      refused += 1
    }
    damaged[bit >>> 3]! ^= 1 << (bit & 7)
  }
  assert.ok(refused > stream.byteLength, `${refused} refused`)
})
