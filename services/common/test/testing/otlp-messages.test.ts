import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { exportRequest, exportResponse, otlpRoot } from '../../src/testing/otlp-messages.ts'

describe('OTLP definitions', () => {
  it('name the export services with their standard packages', () => {
    for (const [signal, name] of [
      ['logs', 'Logs'],
      ['trace', 'Trace'],
      ['metrics', 'Metrics'],
    ]) {
      const service = otlpRoot().lookupService(
        `opentelemetry.proto.collector.${signal}.v1.${name}Service`,
      )
      assert.equal(
        service.methods['Export']?.resolvedRequestType?.name,
        `Export${name}ServiceRequest`,
      )
    }
  })

  it('keep 64-bit integers, bytes and oneof members', () => {
    const request = {
      resourceLogs: [
        {
          scopeLogs: [
            {
              logRecords: [
                {
                  timeUnixNano: '18446744073709551615',
                  traceId: Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex'),
                  body: { intValue: '-9223372036854775808' },
                },
              ],
            },
          ],
        },
      ],
    }
    const bytes = exportRequest('logs').encode(request)
    const back = exportRequest('logs').decode(bytes)
    assert.deepEqual(exportRequest('logs').encode(back), bytes)
    const text = JSON.stringify(back)
    assert.match(text, /"timeUnixNano":"18446744073709551615"/)
    assert.match(text, /"intValue":"-9223372036854775808"/)
  })

  it('encode a log record to the bytes that the wire format prescribes', () => {
    const bytes = exportRequest('logs').encode({
      resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: 1, severityNumber: 9 }] }] }],
    })
    assert.equal(Buffer.from(bytes).toString('hex'), '0a0f120d120b0901000000000000001009')
  })

  it('know the answers', () => {
    const bytes = exportResponse('spans').encode({ partialSuccess: { rejectedSpans: 3 } })
    assert.equal(Buffer.from(bytes).toString('hex'), '0a020803')
  })
})
