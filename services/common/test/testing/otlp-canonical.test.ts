import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { canonicalizeModels, compareCanonical } from '../../src/testing/otlp-canonical.ts'
import type { Model } from '../../src/testing/otlp-model.ts'
import { doubleBits } from '../../src/testing/otlp-model.ts'

function logsOf(record: Model, resource?: Model): Model {
  const group: Model = { scopeLogs: [{ logRecords: [record] }] }
  return { resourceLogs: [resource === undefined ? group : { ...group, resource }] }
}

function isEqual(left: Model, right: Model): boolean {
  const forms = [left, right].map((model) => canonicalizeModels('logs', [model]).items)
  return compareCanonical(forms[0]!, forms[1]!).length === 0
}

describe('the canonical form', () => {
  it('ignores the order of attributes and keeps the last of duplicate keys', () => {
    const one = { key: 'a', value: { intValue: 1n } }
    const two = { key: 'a', value: { stringValue: 'x' } }
    const other = { key: 'b', value: {} }
    assert.ok(
      isEqual(logsOf({ attributes: [one, two, other] }), logsOf({ attributes: [other, two] })),
    )
    assert.ok(!isEqual(logsOf({ attributes: [two, one] }), logsOf({ attributes: [one, two] })))
  })

  it('tells an attribute with an empty value from an absent one', () => {
    assert.ok(!isEqual(logsOf({ attributes: [{ key: 'a', value: {} }] }), logsOf({})))
    assert.ok(
      isEqual(
        logsOf({ attributes: [{ key: 'a' }] }),
        logsOf({ attributes: [{ key: 'a', value: {} }] }),
      ),
    )
  })

  it('takes an absent resource for an empty one', () => {
    assert.ok(isEqual(logsOf({}, {}), logsOf({})))
    assert.ok(!isEqual(logsOf({}, { droppedAttributesCount: 1 }), logsOf({})))
  })

  it('tells bodies apart: absent, without a value, empty and of another type', () => {
    const bodies: (Model | undefined)[] = [
      undefined,
      {},
      { stringValue: '' },
      { intValue: 0n },
      { doubleValue: 0n },
      { doubleValue: doubleBits(-0) },
      { bytesValue: new Uint8Array(0) },
      { arrayValue: {} },
      { kvlistValue: {} },
      { boolValue: false },
      { doubleValue: 0x7ff8_0000_0000_0000n },
      { doubleValue: 0x7ff8_0000_0000_0001n },
    ]
    const forms = bodies.map(
      (body) => canonicalizeModels('logs', [logsOf(body ? { body } : {})]).items[0],
    )
    assert.equal(new Set(forms).size, bodies.length)
  })

  it('rejects spans with bad ids and takes bad ids of logs for absent', () => {
    const spansOf = (span: Model): Model => ({
      resourceSpans: [{ scopeSpans: [{ spans: [span] }] }],
    })
    const good = { traceId: new Uint8Array(16).fill(1), spanId: new Uint8Array(8).fill(1) }
    assert.equal(canonicalizeModels('spans', [spansOf(good)]).rejectedItems, 0)
    const bad = { ...good, spanId: new Uint8Array(8) }
    assert.equal(canonicalizeModels('spans', [spansOf(bad)]).rejectedItems, 1)
    const rootless = { ...good, parentSpanId: new Uint8Array(8) }
    assert.deepEqual(
      canonicalizeModels('spans', [spansOf(rootless)]),
      canonicalizeModels('spans', [spansOf(good)]),
    )
    assert.ok(isEqual(logsOf({ traceId: new Uint8Array(15).fill(1) }), logsOf({})))
  })

  it('counts equal items', () => {
    const once = canonicalizeModels('logs', [logsOf({})]).items
    const twice = canonicalizeModels('logs', [logsOf({}), logsOf({})]).items
    assert.equal(compareCanonical(once, twice).length, 1)
  })
})
