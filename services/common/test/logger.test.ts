import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '../src/errors.ts'
import { createLogger } from '../src/logger.ts'

describe('createLogger', () => {
  it('writes one JSON line with time, level word, name and described error', () => {
    const lines: string[] = []
    const destination = { write: (line: string) => void lines.push(line) }
    const logger = createLogger({ name: 'router', level: 'info', destination })
    const error = new AppError('wal_damaged', 'frame damaged', {
      cause: new Error('short read'),
      details: { offset: 2n ** 63n },
    })
    logger.debug('not written')
    logger.error({ err: error }, 'recovery found damage')
    assert.equal(lines.length, 1)
    const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>
    assert.match(String(line['time']), /^\d{4}-\d\d-\d\dT.*Z$/)
    assert.equal(line['level'], 'error')
    assert.equal(line['name'], 'router')
    const described = line['err'] as Record<string, Record<string, unknown>>
    assert.equal(described['code'], 'wal_damaged')
    assert.equal(described['details']?.['offset'], '9223372036854775808')
    assert.equal(described['cause']?.['message'], 'short read')
  })

  it('survives an error that is its own cause', () => {
    const lines: string[] = []
    const destination = { write: (line: string) => void lines.push(line) }
    const looped = new Error('looped')
    looped.cause = looped
    createLogger({ name: 'x', level: 'info', destination }).error({ err: looped }, 'odd')
    assert.equal(lines.length, 1)
  })
})
