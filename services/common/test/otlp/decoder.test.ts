import { strict as assert } from 'node:assert'
import test from 'node:test'

import { BatchBuilder } from '../../src/columnar/batch-builder.ts'
import type { BatchRow } from '../../src/columnar/batch-rows.ts'
import { AppError } from '../../src/errors.ts'
import { LIMITS } from '../../src/limits.ts'
import {
  LargeRequestDecoder,
  SlowRequest,
  decodeInto,
  type DecodeOutcome,
} from '../../src/otlp/decoder.ts'
import { Signal } from '../../src/signal.ts'
import {
  ARRIVAL,
  OPTIONS,
  attribute,
  decode,
  fixed64,
  logs,
  sub,
  text,
  varint,
} from './request-bytes.ts'

const HOUR_NANO = 3_600_000_000_000n

/** The only row of a log record made of `parts`, without its constant columns. */
function decodeLog(...parts: readonly Uint8Array[]): BatchRow & { outcome: DecodeOutcome } {
  const { rows, outcome } = decode(logs(Buffer.concat(parts)))
  assert.equal(rows.length, 1)
  const { resource: _resource, scope: _scope, time_unix_nano: _time, ...rest } = rows[0]!
  return { ...rest, outcome } as unknown as BatchRow & { outcome: DecodeOutcome }
}

function refusal(body: Uint8Array, signal: Signal = Signal.logs): AppError {
  const batch = new BatchBuilder(signal)
  try {
    decodeInto(batch, body, OPTIONS)
  } catch (error) {
    assert.ok(error instanceof AppError)
    assert.equal(batch.rowCount, 0)
    return error
  }
  throw new Error('was decoded')
}

test('an empty request adds nothing and succeeds', () => {
  const { rows, outcome } = decode(Buffer.alloc(0))
  assert.equal(rows.length, 0)
  assert.deepEqual([outcome.rows, outcome.rejectedItems, outcome.message], [0, 0, ''])
})

test('a log record of given bytes has the columns of the format', () => {
  const hex =
    '0a4e' + // resource_logs
    '0a0a0a080a016b12030a0176' + // resource: attribute k = "v"
    '1240' + // scope_logs
    '0a030a0173' + // scope: name "s"
    '1239' + // log_records
    '0915cd5b0700000000' + // time 123456789
    '1009' + // severity 9
    '1a0449464f21' + // severity_text "IFO!"
    '2a040a026869' + // body "hi"
    '32080a016e1203' +
    '18ac02' + // n = 300
    '4a10000102030405060708090a0b0c0d0e0f' + // trace_id
    '520801020304050607ff' // span_id
  const bytes = Buffer.from(hex, 'hex')
  // the three lengths are set from the bytes, so that the vector stays readable
  bytes[1] = bytes.length - 2
  bytes[15] = bytes.length - 16
  bytes[22] = bytes.length - 23
  const { rows } = decode(bytes)
  assert.deepEqual(
    { ...rows[0] },
    {
      resource: new Uint8Array(Buffer.from('0a0a0a080a016b12030a0176', 'hex')),
      scope: new Uint8Array(Buffer.from('0a030a0173', 'hex')),
      time_unix_nano: 123456789n,
      severity_number: 9,
      severity_text: 'IFO!',
      'body@string': 'hi',
      trace_id: Uint8Array.from({ length: 16 }, (_, index) => index),
      span_id: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 255),
      'attributes.n@int': 300n,
    },
  )
})

test('each type of value has its column, a missing value is an AnyValue of no bytes', () => {
  const row = decodeLog(
    attribute('s', text('')),
    attribute('b', [0x10, 1]),
    attribute('i', [0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
    attribute('d', fixed64(4, 0x8000_0000_0000_0000n)),
    attribute('x', sub(7, [0xff])),
    attribute('a', sub(5, sub(1, text('z')))),
    attribute('none'),
    sub(6, sub(1, 'absent')),
    sub(6),
  )
  const { outcome: _outcome, ...cells } = row
  assert.deepEqual(
    { ...cells },
    {
      'attributes.s@string': '',
      'attributes.b@bool': true,
      'attributes.i@int': -1n,
      'attributes.d@double': -0,
      'attributes.x@bytes': Uint8Array.of(0xff),
      'attributes.a@any': Uint8Array.of(0x2a, 5, 0x0a, 3, 0x0a, 1, 0x7a),
      'attributes.none@any': new Uint8Array(0),
      'attributes.absent@any': new Uint8Array(0),
      'attributes.@any': new Uint8Array(0),
    },
  )
})

test('of equal keys the last wins, across types too, and the others are counted', () => {
  const row = decodeLog(
    attribute('k', text('first')),
    attribute('other', text('o')),
    attribute('k', [0x18, 5]),
    attribute('k', [0x10, 0]),
  )
  const { outcome, ...cells } = row
  assert.deepEqual({ ...cells }, { 'attributes.other@string': 'o', 'attributes.k@bool': false })
  assert.equal(outcome.counters.duplicateKeys, 2)
})

test('invalid UTF-8 is replaced and counted wherever it stands', () => {
  const bad = Buffer.from([0x61, 0xc3])
  const row = decodeLog(
    sub(3, bad),
    sub(5, text(bad)),
    attribute(bad, text(bad)),
    attribute('list', sub(5, sub(1, text(bad)))),
  )
  assert.equal(row['severity_text'], 'a\ufffd')
  assert.equal(row['body@string'], 'a\ufffd')
  assert.equal(row['attributes.a\ufffd@string'], 'a\ufffd')
  const list = Buffer.from(row['attributes.list@any'] as Uint8Array)
  assert.ok(list.includes(Buffer.from('a\ufffd')))
  assert.equal(row.outcome.counters.invalidStrings, 5)
})

test('parts of a message merge, the last of a oneof wins', () => {
  const row = decodeLog(
    sub(5, sub(5, sub(1, text('a')))),
    sub(5, sub(5, sub(1, text('b')))),
    sub(6, sub(1, 'k'), sub(2, text('x')), sub(2, [0x18, 7])),
    sub(6, sub(1, 'l'), sub(2, sub(5, sub(1, text('p'))), text('x'), sub(5, sub(1, text('q'))))),
  )
  const body = Buffer.from(row['body@any'] as Uint8Array).toString('latin1')
  assert.equal(body, '*\x0a\x0a\x03\x0a\x01a\x0a\x03\x0a\x01b')
  assert.equal(row['attributes.k@int'], 7n)
  const list = Buffer.from(row['attributes.l@any'] as Uint8Array).toString('latin1')
  assert.equal(list, '*\x05\x0a\x03\x0a\x01q')
})

test('unknown fields, groups and known numbers under another wire type are skipped', () => {
  const group = Buffer.concat([
    varint(900 * 8 + 3),
    Buffer.from([0x0b, 0x08, 1, 0x0c]),
    varint(900 * 8 + 4),
  ])
  const row = decodeLog(
    group,
    sub(1, 'not a time'),
    Buffer.from([0x18, 1]),
    fixed64(5, 1n),
    sub(3, 'text'),
    varint(77 * 8),
    varint(300),
  )
  const { outcome: _outcome, ...cells } = row
  assert.deepEqual({ ...cells }, { severity_text: 'text' })
})

test('tags and lengths in a longer form mean the same', () => {
  const row = decodeLog(Buffer.from([0x9a, 0x00, 0x82, 0x80, 0x00, 0x68, 0x69]))
  assert.equal(row['severity_text'], 'hi')
})

test('bad ids of a log record are absent and counted', () => {
  const row = decodeLog(sub(9, Buffer.alloc(16)), sub(10, 'short'))
  assert.equal(row['trace_id'], undefined)
  assert.equal(row['span_id'], undefined)
  assert.equal(row.outcome.counters.invalidIds, 2)
})

test('spans with bad ids are rejected, their neighbours are kept', () => {
  const trace = sub(1, Buffer.alloc(16, 1))
  const id = sub(2, Buffer.alloc(8, 2))
  const spans = [
    Buffer.concat([trace, id]),
    Buffer.concat([trace, sub(2, Buffer.alloc(8))]),
    Buffer.concat([sub(1, Buffer.alloc(15, 1)), id]),
    Buffer.concat([trace, id, sub(4, Buffer.alloc(7, 1))]),
    Buffer.concat([trace, id, sub(4, Buffer.alloc(8))]),
  ]
  const { rows, outcome } = decode(logs(...spans), Signal.spans)
  assert.equal(rows.length, 2)
  assert.equal(outcome.rejectedItems, 3)
  assert.equal(outcome.message, '3 spans rejected: 3 with an invalid trace, span or parent span id')
})

test('items over a limit are rejected with the reason, their neighbours are kept', () => {
  const tooMany = Array.from({ length: LIMITS.attributesPerItemMax + 1 }, (_, index) =>
    attribute(`k${index}`, [0x10, 1]),
  )
  let deep: Buffer = text('x')
  for (let level = 1; level < LIMITS.anyValueDepthMax; level++) deep = sub(5, sub(1, deep))
  const good = attribute('deep', deep)
  const cases: [Uint8Array, RegExp][] = [
    [Buffer.concat(tooMany), /more than 1024 attributes/],
    [Buffer.concat([...tooMany, sub(5, []), sub(5, [])]), /more than 1024 attributes/],
    [attribute('k'.repeat(LIMITS.attributeKeyBytesMax + 1), text('v')), /key longer than 1024/],
    [attribute('a', sub(6, sub(1, sub(1, 'k'.repeat(1025))))), /key longer than 1024/],
    [attribute('deep', sub(5, sub(1, deep))), /deeper than 32/],
    [sub(5, text('x'.repeat(LIMITS.itemBytesMax))), /larger than the item limit/],
    [fixed64(1, ARRIVAL + 25n * HOUR_NANO), /further in the future/],
    [fixed64(11, ARRIVAL + 25n * HOUR_NANO), /further in the future/],
  ]
  for (const [record, reason] of cases) {
    const { rows, outcome } = decode(logs(good, record, good))
    assert.equal(rows.length, 2)
    assert.deepEqual({ ...rows[0] }, { ...rows[1] })
    assert.deepEqual(Object.keys(rows[0]!).sort(), [
      'attributes.deep@any',
      'resource',
      'scope',
      'time_unix_nano',
    ])
    assert.equal(outcome.rejectedItems, 1)
    assert.match(outcome.message, reason)
  }
})

test('a resource or scope over a limit rejects its items only', () => {
  const key = sub(1, sub(1, 'k'.repeat(2000)))
  const part = (resource: Uint8Array, scope: Uint8Array): Buffer =>
    sub(1, resource, sub(2, scope, sub(2, sub(3, 'a')), sub(2, sub(3, 'b'))))
  const badResource = part(sub(1, key), Buffer.alloc(0))
  const badScope = part(Buffer.alloc(0), sub(1, sub(3, sub(1, 'k'.repeat(2000)))))
  const body = Buffer.concat([badResource, badScope, part(sub(1), Buffer.alloc(0))])
  const { rows, outcome } = decode(body)
  assert.deepEqual(
    rows.map((row) => row['severity_text']),
    ['a', 'b'],
  )
  assert.equal(outcome.rejectedItems, 4)
  assert.match(outcome.message, /2 with a resource over the limits, 2 with a scope over the limits/)
})

test('the window of accepted times is closed on both sides', () => {
  const options = { ...OPTIONS, maxAgeMs: 3_600_000, maxAheadMs: 0 }
  const times = [ARRIVAL + 1n, ARRIVAL, ARRIVAL - HOUR_NANO, ARRIVAL - HOUR_NANO - 1n, 0n]
  const { rows, outcome } = decode(
    logs(...times.map((time) => fixed64(1, time))),
    Signal.logs,
    options,
  )
  assert.deepEqual(
    rows.map((row) => row['time_unix_nano']),
    [ARRIVAL, ARRIVAL - HOUR_NANO, 0n],
  )
  assert.match(outcome.message, /1 older than accepted, 1 further in the future than accepted/)
})

test('the batch knows the range of effective times: time, else observed, else arrival', () => {
  const batch = new BatchBuilder(Signal.logs)
  decodeInto(batch, logs(fixed64(1, 50n), fixed64(11, 40n), Buffer.alloc(0)), OPTIONS)
  assert.equal(batch.minTimeUnixNano, 40n)
  assert.equal(batch.maxTimeUnixNano, ARRIVAL)
})

test('a resource larger than an item may be rejects its items', () => {
  const schemaUrl = sub(3, 'x'.repeat(LIMITS.itemBytesMax))
  const { rows, outcome } = decode(sub(1, schemaUrl, sub(2, sub(2, sub(3, 'a')))))
  assert.equal(rows.length, 0)
  assert.match(outcome.message, /1 with a resource over the limits/)
})

test('undecodable requests name what is wrong and where', () => {
  const cases: [readonly number[], RegExp][] = [
    [[0x0a], /length past the end at byte 1|varint cut off at byte 1/],
    [[0x0a, 5, 0x12], /length past the end at byte 1/],
    [[0x0a, 3, 0x12, 5, 0x12], /length past the end at byte 3/],
    [[0x00], /invalid field tag at byte 0/],
    [[0x0f], /invalid wire type at byte 1/],
    [[0x0c], /end of no group at byte 1/],
    [[0x13, 0x1c], /end of another group/],
    [[0x13], /varint cut off/],
    [[...Array<number>(10).fill(0x80), 1], /varint of more than ten bytes at byte 0/],
    [[0x08, ...Array<number>(10).fill(0xff), 1], /varint of more than ten bytes at byte 1/],
    [[0x0a, 6, 0x12, 4, 0x12, 2, 0x09, 1], /fixed-width value cut off at byte 7/],
    [[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], /length past the end/],
  ]
  for (const [bytes, message] of cases) {
    const error = refusal(Uint8Array.from(bytes))
    assert.equal(error.code, 'malformed_body')
    assert.match(error.message, message)
  }
})

test('an error inside an odd item names a byte of the request', () => {
  // a second body makes the record odd; the attribute's length runs past its end
  const record = Buffer.concat([sub(5, text('a')), sub(5, text('b')), Buffer.from([0x32, 0x7f])])
  assert.match(refusal(logs(record)).message, /length past the end at byte \d+/)
})

test('groups nested without end are refused, not followed', () => {
  const error = refusal(Buffer.alloc(100_000, 0x13))
  assert.match(error.message, /groups nested too deep/)
})

test('more values than the limit of a request are refused', () => {
  const record = attribute('a', sub(5, ...Array.from({ length: 1000 }, () => sub(1))))
  const count = Math.ceil(LIMITS.valuesPerRequestMax / 1000)
  const error = refusal(logs(...Array.from({ length: count }, () => record)))
  assert.equal(error.code, 'request_too_large')
})

test('more items than the limit of a request are refused', () => {
  const error = refusal(
    sub(1, sub(2, Buffer.alloc(2 * (LIMITS.itemsPerRequestMax + 1), '\x12\x00'))),
  )
  assert.equal(error.code, 'request_too_large')
})

test('a metric may hold its data in pieces: the last member of the oneof wins, pieces merge', () => {
  const point = (value: bigint): Buffer => sub(1, fixed64(6, value))
  const metric = Buffer.concat([
    sub(5, point(1n)),
    sub(7, point(2n), [0x10, 1]),
    sub(1, 'name'),
    sub(7, point(3n), [0x18, 1]),
  ])
  const { rows } = decode(sub(1, sub(2, sub(2, metric))), Signal.metrics)
  assert.deepEqual(
    rows.map((row) => [
      row['value_int'],
      row['metric_type'],
      row['temporality'],
      row['metric_name'],
    ]),
    [
      [2n, 7, 1, 'name'],
      [3n, 7, 1, 'name'],
    ],
  )
  assert.ok(rows.every((row) => row['is_monotonic'] === true))
})

test('groups without items leave no resource behind', () => {
  const batch = new BatchBuilder(Signal.logs)
  const empty = sub(1, sub(1, sub(2, [])), sub(2, sub(1, sub(1, 'scope'))))
  decodeInto(batch, Buffer.concat([empty, sub(1, sub(2, sub(2, sub(3, 'a'))))]), OPTIONS)
  assert.equal(batch.resource.entries.size, 1)
  assert.equal(batch.scope.entries.size, 1)
  assert.equal(batch.resource.entries.byteLength, 0)
})

test('a small request of thousands of odd items or resources asks for slices and leaves nothing', () => {
  const odd = Buffer.concat([sub(5, text('a')), sub(5, text('b'))])
  const resource = logs(sub(3, 'text'))
  const bodies = [
    logs(...Array.from({ length: 5000 }, () => odd)),
    Buffer.concat(Array.from({ length: 5000 }, () => resource)),
    logs(...Array.from({ length: 5000 }, (_, index) => attribute(`key ${index}`))),
    Buffer.alloc(100_000, '\x0a\x00'),
  ]
  for (const body of bodies) {
    const batch = new BatchBuilder(Signal.logs)
    assert.throws(() => decodeInto(batch, body, OPTIONS), SlowRequest)
    assert.equal(batch.rowCount, 0)
    const decoder = new LargeRequestDecoder(Signal.logs, body, {
      ...OPTIONS,
      newBatch: () => new BatchBuilder(Signal.logs),
      monotonicMs: () => 0,
    })
    assert.ok(decoder.step(Infinity))
    assert.equal(decoder.outcome.rows, body.length === 100_000 ? 0 : 5000)
  }
})
