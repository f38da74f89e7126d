import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { RequestSampler } from '../src/request-sampler.ts'
import { formatTraceparent, parseTraceparent } from '../src/trace-context.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const SAMPLED = `00-${TRACE}-${SPAN}-01`
const SILENT = `00-${TRACE}-${SPAN}-00`

describe('parseTraceparent', () => {
  it('reads what it writes, and what the specification shows', () => {
    const context = { traceId: TRACE, spanId: SPAN, isSampled: true }
    assert.deepEqual(parseTraceparent(SAMPLED), context)
    assert.deepEqual(parseTraceparent(SILENT), { ...context, isSampled: false })
    assert.equal(formatTraceparent(context), SAMPLED)
    assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-03`)?.isSampled, true)
    // a later version may say more behind it
    assert.deepEqual(parseTraceparent(`cc-${TRACE}-${SPAN}-01-more`), context)
  })

  it('takes nothing from what is malformed', () => {
    const malformed = [
      '',
      'abc',
      SAMPLED.slice(1),
      SAMPLED.slice(0, -1),
      `${SAMPLED}-more`,
      `${SAMPLED}x`,
      `ff-${TRACE}-${SPAN}-01`,
      `00-${'0'.repeat(32)}-${SPAN}-01`,
      `00-${TRACE}-${'0'.repeat(16)}-01`,
      SAMPLED.toUpperCase(),
      ` ${SAMPLED}`,
      `${SAMPLED}, ${SAMPLED}`,
    ]
    for (const text of malformed) assert.equal(parseTraceparent(text), undefined, text)
  })
})

describe('RequestSampler', () => {
  it('takes its share of requests whose client does not say', () => {
    let drawn = 0
    const sampler = new RequestSampler(0.25, () => (drawn++ % 100) / 100)
    let taken = 0
    for (let index = 0; index < 1000; index++) {
      if (sampler.takes(undefined, index * 1000)) taken++
    }
    assert.equal(taken, 250)
  })

  it('does what the client says, whatever its share', () => {
    const none = new RequestSampler(0, () => 0.5)
    assert.equal(none.takes(SAMPLED, 0), true)
    const all = new RequestSampler(1, () => 0.5)
    assert.equal(all.takes(SILENT, 0), false)
    assert.equal(all.takes('malformed', 0), true)
    assert.equal(none.takes('malformed', 0), false)
  })

  it('takes no more than a bound a second, however many clients ask for it', () => {
    const sampler = new RequestSampler(1, () => 0)
    const takenIn = (fromMs: number): number => {
      let taken = 0
      for (let index = 0; index < 10_000; index++) {
        if (sampler.takes(SAMPLED, fromMs + index / 20)) taken++
      }
      return taken
    }
    assert.equal(takenIn(0), 40)
    assert.equal(takenIn(500), 0)
    assert.equal(takenIn(1001), 40)
  })
})
