import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '../../src/errors.ts'
import {
  transcodeJson,
  transcodeJsonInSlices,
  transcodeLargeJson,
} from '../../src/otlp/json-transcoder.ts'
import type { TranscodeOptions } from '../../src/otlp/json-transcoder.ts'
import { Signal } from '../../src/signal.ts'
import { exportRequest, otlpRoot } from '../../src/testing/otlp-messages.ts'
import type { Model } from '../../src/testing/otlp-model.ts'
import { decodeModel, doubleBits } from '../../src/testing/otlp-model.ts'

function transcode(text: string | Uint8Array, options?: TranscodeOptions): Model {
  const bytes = transcodeJson(Signal.logs, Buffer.from(text), options)
  return decodeModel(exportRequest('logs').type, bytes)
}

/** The log record that a JSON object makes, as a model. */
function record(json: string): Model {
  const text = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[${json}]}]}]}`
  const request = transcode(text) as { resourceLogs: { scopeLogs: { logRecords: Model[] }[] }[] }
  return request.resourceLogs[0]!.scopeLogs[0]!.logRecords[0]!
}

function body(json: string): Model {
  return record(`{"body":${json}}`)['body'] as Model
}

/** The first point of a metric's data. */
function point(data: string): Model {
  const text = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[${data}]}]}]}`
  const bytes = transcodeJson(Signal.metrics, Buffer.from(text))
  const request = decodeModel(exportRequest('metrics').type, bytes) as unknown as {
    resourceMetrics: { scopeMetrics: { metrics: Record<string, { dataPoints: Model[] }>[] }[] }[]
  }
  return Object.values(request.resourceMetrics[0]!.scopeMetrics[0]!.metrics[0]!)[0]!.dataPoints[0]!
}

function fails(text: string | Uint8Array, pattern: RegExp, options?: TranscodeOptions): void {
  assert.throws(
    () => transcodeJson(Signal.logs, Buffer.from(text), options),
    (error) => {
      assert.ok(error instanceof AppError)
      assert.equal(error.code, 'malformed_body')
      assert.match(error.message, pattern)
      return true
    },
    Buffer.from(text).toString().slice(0, 200),
  )
}

const failsRecord = (json: string, pattern: RegExp): void =>
  fails(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[${json}]}]}]}`, pattern)

describe('the JSON transcoder', () => {
  it('writes the bytes that the protobuf encoding prescribes', () => {
    const text =
      '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","severityNumber":9}]}]}]}'
    const bytes = transcodeJson(Signal.logs, Buffer.from(text))
    assert.equal(Buffer.from(bytes).toString('hex'), '0a0f120d120b0901000000000000001009')
  })

  it('makes an empty request of an empty object, and of one with unknown members', () => {
    assert.equal(transcodeJson(Signal.logs, Buffer.from(' {} ')).length, 0)
    assert.equal(transcodeJson(Signal.spans, Buffer.from('{"x":[{"y":"\\u0041"}]}')).length, 0)
    assert.equal(
      transcodeJson(Signal.metrics, Buffer.from('\ufeff{"resourceMetrics":null}')).length,
      0,
    )
  })

  it('keeps all 64 bits of integers in every notation', () => {
    for (const [json, expected] of [
      ['"9223372036854775807"', 2n ** 63n - 1n],
      ['9223372036854775807', 2n ** 63n - 1n],
      ['"-9223372036854775808"', -(2n ** 63n)],
      ['-9223372036854775808', -(2n ** 63n)],
      ['9007199254740993', 9007199254740993n],
      ['-9007199254740993', -9007199254740993n],
      ['4294967296', 2n ** 32n],
      ['-4294967296', -(2n ** 32n)],
      ['-4294967295', -(2n ** 32n) + 1n],
      ['-1', -1n],
      ['-0', 0n],
      ['0', 0n],
      ['1e3', 1000n],
      ['"1E+3"', 1000n],
      ['12.50e1', 125n],
      ['1000e-3', 1n],
      ['5.0', 5n],
      ['0e99', 0n],
      ['0.0', 0n],
      ['922337203685477580.7e1', 2n ** 63n - 1n],
    ] as const) {
      assert.deepEqual(body(`{"intValue":${json}}`), { intValue: expected }, json)
    }
    for (const digits of ['18446744073709551615', '12345678901234567890', '1000000000000000001']) {
      assert.equal(record(`{"timeUnixNano":"${digits}"}`)['timeUnixNano'], BigInt(digits))
    }
    assert.equal(
      record('{"timeUnixNano":1.8446744073709551615E19}')['timeUnixNano'],
      2n ** 64n - 1n,
    )
  })

  it('refuses numbers that do not fit', () => {
    for (const json of [
      '{"timeUnixNano":18446744073709551616}',
      '{"timeUnixNano":"99999999999999999999"}',
      '{"timeUnixNano":"100000000000000000000"}',
      '{"timeUnixNano":1e20}',
      '{"timeUnixNano":1e99999999999}',
      '{"timeUnixNano":-1}',
      '{"flags":4294967296}',
      '{"droppedAttributesCount":-1}',
      '{"severityNumber":2147483648}',
      '{"severityNumber":-2147483649}',
      '{"body":{"intValue":9223372036854775808}}',
      '{"body":{"intValue":"-9223372036854775809"}}',
      '{"body":{"doubleValue":1e309}}',
    ]) {
      failsRecord(json, /out of range/)
    }
    for (const json of [
      '1.5',
      '"1.5"',
      '1e-1',
      '""',
      '" 1"',
      '"1 "',
      '"0x10"',
      '01',
      '"01"',
      '+1',
      '.5',
      '1.',
      '--1',
      '"NaN"',
      '1e',
    ]) {
      failsRecord(`{"timeUnixNano":${json}}`, /expected|number|unexpected/)
    }
  })

  it('reads doubles exactly, and the names of those that JSON lacks', () => {
    const doubles = [
      '0',
      '1',
      '-1.5',
      '0.1',
      '5e-324',
      '1.7976931348623157e308',
      '123456789012345678',
      '1e22',
      '1e23',
      '9007199254740993',
      '0.000001',
      '123.456',
      '4.35',
      '2.2250738585072011e-308',
      '1e-400',
      '100000000000000000000000000000000000000000.1',
    ]
    for (const text of doubles) {
      assert.deepEqual(body(`{"doubleValue":${text}}`), { doubleValue: doubleBits(Number(text)) })
      assert.deepEqual(body(`{"doubleValue":"${text}"}`), { doubleValue: doubleBits(Number(text)) })
    }
    assert.deepEqual(body('{"doubleValue":-0.0}'), { doubleValue: doubleBits(-0) })
    assert.deepEqual(body('{"doubleValue":-0}'), { doubleValue: doubleBits(-0) })
    assert.deepEqual(body('{"doubleValue":"NaN"}'), { doubleValue: 0x7ff8_0000_0000_0000n })
    assert.deepEqual(body('{"doubleValue":"Infinity"}'), { doubleValue: doubleBits(Infinity) })
    assert.deepEqual(body('{"doubleValue":"-Infinity"}'), { doubleValue: doubleBits(-Infinity) })
    for (const json of [
      'NaN',
      '"nan"',
      '"Inf"',
      '"+Infinity"',
      '"1"x',
      '01.5',
      '1.e5',
      '"1.5',
      'true',
      '"NaN ',
    ]) {
      failsRecord(`{"body":{"doubleValue":${json}}}`, /expected|unexpected|ends/)
    }
  })

  it('keeps a oneof member at its default, and leaves other defaults out', () => {
    assert.deepEqual(body('{"intValue":0}'), { intValue: 0n })
    assert.deepEqual(body('{"stringValue":""}'), { stringValue: '' })
    assert.deepEqual(body('{"boolValue":false}'), { boolValue: false })
    assert.deepEqual(body('{"doubleValue":0}'), { doubleValue: 0n })
    assert.deepEqual(body('{}'), {})
    assert.deepEqual(record('{"timeUnixNano":0,"flags":0,"traceId":"","eventName":""}'), {})
    const histogram = point('{"histogram":{"dataPoints":[{"sum":0,"min":0,"count":0}]}}')
    assert.deepEqual(histogram, { sum: 0n, min: 0n })
    const exponential =
      '{"exponentialHistogram":{"dataPoints":[{"positive":{},"scale":-3,"zeroThreshold":-0.0}]}}'
    assert.deepEqual(point(exponential), { positive: {}, scale: -3, zeroThreshold: doubleBits(-0) })
  })

  it('takes null for absent, also beside the other member of a oneof', () => {
    assert.deepEqual(record('{"body":null,"attributes":null,"flags":null}'), {})
    assert.deepEqual(body('{"stringValue":null,"intValue":"1"}'), { intValue: 1n })
    failsRecord('{"attributes":[null]}', /expected an object/)
  })

  it('refuses two members of a oneof and a member that stands twice', () => {
    failsRecord('{"body":{"intValue":1,"stringValue":"a"}}', /"intValue" and "stringValue" exclude/)
    failsRecord('{"body":{"intValue":1,"intValue":1}}', /"intValue" stands twice/)
    failsRecord('{"attributes":[],"attributes":[]}', /"attributes" stands twice/)
  })

  it('says where the problem is', () => {
    const text =
      '{"a":[1,2],"resourceLogs":[{},{"scopeLogs":[{"logRecords":[{},{"attributes":[{"key":"x","value":{"boolValue":1}}]}]}]}]}'
    const place = `resourceLogs\\[1\\]\\.scopeLogs\\[0\\]\\.logRecords\\[1\\]\\.attributes\\[0\\]\\.value\\.boolValue \\(byte ${text.indexOf(':1}') + 1}\\)`
    fails(text, new RegExp(place))
  })

  it('reads ids in any case and refuses what is no hexadecimal', () => {
    const id = Uint8Array.from(Buffer.from('0102abcdef', 'hex'))
    assert.deepEqual(
      Buffer.from(record('{"traceId":"0102aBCDef"}')['traceId'] as Uint8Array),
      Buffer.from(id),
    )
    for (const json of ['"012"', '"zz"', '"01 2"', '1', '"01', '"0\\u0031"']) {
      failsRecord(`{"spanId":${json}}`, /hexadecimal|expected a string/)
    }
  })

  it('reads base64 of both alphabets, padded or not', () => {
    for (const length of [0, 1, 2, 3, 4, 5, 30]) {
      const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 37 + 250) & 255))
      const texts = [bytes.toString('base64'), bytes.toString('base64url')]
      texts.push(texts[0]!.replaceAll('=', ''), texts[0]!.replaceAll('/', '\\/'))
      for (const text of texts) {
        const value = body(`{"bytesValue":"${text}"}`)['bytesValue'] as Uint8Array
        assert.deepEqual(Buffer.from(value), bytes, text)
      }
    }
    for (const text of ['A', 'AAAAA', 'AA=', 'AAA==', 'AA=A', 'A===', '!AAA', 'AA\\nAA', '====']) {
      failsRecord(`{"body":{"bytesValue":"${text}"}}`, /base64/)
    }
  })

  it('takes enums as numbers, quoted numbers and names', () => {
    assert.equal(record('{"severityNumber":"SEVERITY_NUMBER_WARN2"}')['severityNumber'], 14)
    assert.equal(record('{"severityNumber":"14"}')['severityNumber'], 14)
    assert.equal(record('{"severityNumber":-1}')['severityNumber'], -1)
    failsRecord('{"severityNumber":"WARN"}', /unknown enum name/)
    const { values } = otlpRoot().lookupEnum('opentelemetry.proto.logs.v1.SeverityNumber')
    for (const [name, number] of Object.entries(values)) {
      assert.equal(record(`{"severityNumber":"${name}"}`)['severityNumber'] ?? 0, number)
    }
  })

  it('unescapes strings, and replaces a surrogate that stands alone', () => {
    const text = JSON.stringify('q"\\/\b\f\n\r\té汉😀\u0000\u001f')
    assert.deepEqual(body(`{"stringValue":${text}}`), {
      stringValue: 'q"\\/\b\f\n\r\té汉😀\u0000\u001f',
    })
    for (const [escaped, expected] of [
      ['\\ud83d\\ude00', '😀'],
      ['\\uD83D\\uDE00\\/', '😀/'],
      ['\\ud83d', '\ufffd'],
      ['\\ud83dx', '\ufffdx'],
      ['\\ude00\\ud83d', '\ufffd\ufffd'],
      ['\\ud83d\\u0041', '\ufffdA'],
      ['\\ud83d\\ud83d\\ude00', '\ufffd😀'],
      ['\\u00e9\\u20ac\\u007f\\u0080', 'é€\u007f\u0080'],
    ]) {
      assert.deepEqual(body(`{"stringValue":"${escaped}"}`), { stringValue: expected }, escaped)
    }
    for (const json of ['"\\x"', '"\\u12g4"', '"\\u12', '"a\nb"', '"a\u0000"', '"abc', '"\\']) {
      failsRecord(`{"body":{"stringValue":${json}}}`, /escape|hexadecimal|control|ends/)
    }
  })

  it('passes bytes that are not UTF-8 on to the decoder', () => {
    const [before, after] = ['{"resourceLogs":[{"schemaUrl":"', '"}]}'].map((part) =>
      Buffer.from(part),
    )
    const bytes = transcodeJson(
      Signal.logs,
      Buffer.concat([before!, Buffer.of(0x61, 0xff, 0xc3), after!]),
    )
    assert.deepEqual(Buffer.from(bytes), Buffer.of(0x0a, 5, 0x1a, 3, 0x61, 0xff, 0xc3))
  })

  it('knows lowerCamelCase names only, escaped or not', () => {
    assert.deepEqual(
      record('{"time_unix_nano":1,"TimeUnixNano":2,"timeUnixNan":3,"timeUnixNanos":4}'),
      {},
    )
    assert.deepEqual(record('{"\\u0074imeUnix\\u004eano":"7"}'), { timeUnixNano: 7n })
    assert.deepEqual(body('{"stringValueStrindex":3}'), {})
  })

  it('takes members in any order', () => {
    const text =
      '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"b"},"timeUnixNano":"5"}],"scope":{"version":"1","name":"n"}}],"resource":{"attributes":[{"value":{"intValue":"1"},"key":"k"}]}}]}'
    assert.deepEqual(transcode(text), {
      resourceLogs: [
        {
          scopeLogs: [
            {
              logRecords: [{ body: { stringValue: 'b' }, timeUnixNano: 5n }],
              scope: { version: '1', name: 'n' },
            },
          ],
          resource: { attributes: [{ value: { intValue: 1n }, key: 'k' }] },
        },
      ],
    })
  })

  it('writes lengths of one to four bytes', () => {
    for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 3_000_000]) {
      const text = 'x'.repeat(length)
      assert.deepEqual(body(`{"stringValue":"${text}"}`), { stringValue: text })
    }
    assert.deepEqual(body('{"stringValue":"short again"}'), { stringValue: 'short again' })
  })

  it('refuses what is no JSON', () => {
    for (const text of [
      '',
      ' ',
      '[]',
      'null',
      '"x"',
      '{',
      '{}x',
      '{}{}',
      '{"a"}',
      '{"a":}',
      '{"a":1,}',
      '{a:1}',
      "{'a':1}",
      '{"a":1 "b":2}',
      '{"a":[1,]}',
      '{"a":[1 2]}',
      '{"a":tru}',
      '{"a":nul}',
      '{"a":01}',
      '{"a":1.}',
      '{"a":"\\q"}',
      '{"resourceLogs":{}}',
      '{"resourceLogs":[1]}',
      '{"resourceLogs":[{]}',
      '{"resourceLogs":[}',
      '\u00a0{}',
      '{"a":-}',
      '{"a":/**/1}',
    ]) {
      fails(text, /^malformed JSON: /)
    }
  })

  it('fails at every truncation of a request', () => {
    const text =
      '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"5","body":{"arrayValue":{"values":[{"doubleValue":1.5},{"bytesValue":"AA=="}]}},"traceId":"0a","x":[{"y":"\\u0041"}]}]}]}]}'
    for (let length = 0; length < text.length; length++) fails(text.slice(0, length), /malformed/)
  })

  it('bounds the nesting, of unknown members too', () => {
    const nested = (depth: number): string => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`
    transcode(nested(99), { depthMax: 100 })
    fails(nested(100), /nested deeper than 100/, { depthMax: 100 })
    fails(nested(5_000_000), /nested deeper/)
    const deep = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":${'{"arrayValue":{"values":['.repeat(1000)}`
    fails(deep, /nested deeper/)
    // what the decoder's limit allows passes
    const value = (depth: number): string =>
      depth === 0
        ? '{"intValue":"1"}'
        : `{"kvlistValue":{"values":[{"key":"k","value":${value(depth - 1)}}]}}`
    assert.ok(body(value(32)))
  })

  it('bounds the numbers in arrays', () => {
    const text = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":[1,2],"explicitBounds":[3]}]}}]}]}]}`
    transcodeJson(Signal.metrics, Buffer.from(text), { numbersMax: 3 })
    assert.throws(() => transcodeJson(Signal.metrics, Buffer.from(text), { numbersMax: 2 }), {
      code: 'request_too_large',
    })
  })

  it('reads arrays of numbers like the ones before and unlike them', () => {
    const usual = Array.from({ length: 30 }, (_, index) => index / 4)
    const odd = [
      [...usual.slice(0, -1), 7.5],
      [0.5, ...usual.slice(1)],
      usual.slice(0, -1),
      [...usual, 9],
      [1],
      Array.from({ length: 90 }, (_, index) => index),
    ]
    const bounds = odd.flatMap((each) => [...Array.from({ length: 20 }, () => usual), each, each])
    const dataPoints = bounds.map((explicitBounds) => ({ explicitBounds }))
    const request = {
      resourceMetrics: [{ scopeMetrics: [{ metrics: [{ histogram: { dataPoints } }] }] }],
    }
    const { type } = exportRequest('metrics')
    const text = JSON.stringify(request)
    const expected = type.encode(type.fromObject(request)).finish()
    const numbers = bounds.reduce((sum, { length }) => sum + length, 0)
    for (let round = 0; round < 2; round++) {
      const bytes = transcodeJson(Signal.metrics, Buffer.from(text), { numbersMax: numbers })
      assert.ok(Buffer.from(expected).equals(bytes))
      assert.throws(
        () => transcodeJson(Signal.metrics, Buffer.from(text), { numbersMax: numbers - 1 }),
        { code: 'request_too_large' },
      )
    }
  })

  it('reads integers of few and of many digits, quoted and not', () => {
    for (const digits of [
      '0',
      '7',
      '999999999',
      '1000000000',
      '4294967296',
      '18446744073709551615',
    ]) {
      for (const json of [digits, `"${digits}"`]) {
        const data = `{"histogram":{"dataPoints":[{"bucketCounts":[${json},${json}]}]}}`
        assert.deepEqual(point(data)['bucketCounts'], [BigInt(digits), BigInt(digits)])
      }
    }
    for (const json of ['01', '"01"', '"1', '1"', '1 2', '']) {
      failsRecord(`{"timeUnixNano":${json}}`, /malformed JSON/)
    }
  })

  it('gives the same bytes in slices', async () => {
    const attributes = Array.from({ length: 5 }, (_, index) => ({
      key: `k${index}`,
      value: { intValue: `${index}` },
    }))
    const logRecords = Array.from({ length: 200 }, () => ({ timeUnixNano: '1', attributes }))
    const scopeLogs = [{ logRecords }, {}, { logRecords: [] }]
    const request = { resourceLogs: [{ resource: { attributes }, scopeLogs }, {}, { scopeLogs }] }
    const text = Buffer.from(JSON.stringify(request))
    const expected = transcodeJson(Signal.logs, text)
    let pauses = 0
    const options = { sliceBytes: 1000 }
    const bytes = await transcodeLargeJson(Signal.logs, text, async () => pauses++, options)
    assert.deepEqual(Buffer.from(bytes), Buffer.from(expected))
    assert.ok(pauses > text.length / 2000, `${pauses} pauses`)
    const broken = transcodeJsonInSlices(Signal.logs, text.subarray(0, 30_000), options)
    assert.throws(() => Array.from(broken), { code: 'malformed_body' })
  })
})
