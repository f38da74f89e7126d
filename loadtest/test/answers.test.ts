import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { grpcVerdict, httpVerdict } from '../src/answers.ts'

const retry = { 'Retry-After': '1' }

describe('httpVerdict', () => {
  const table: readonly [number, unknown, Record<string, string>, readonly number[], string][] = [
    [200, '', {}, [], 'accepted'],
    [200, '\n\u0002', {}, [], 'wrong'],
    [429, '', retry, [], 'retry'],
    [503, '', retry, [], 'retry'],
    [503, '', {}, [], 'wrong'],
    [500, '', retry, [], 'wrong'],
    [400, '', {}, [], 'wrong'],
    [413, '', {}, [], 'wrong'],
    [413, '', {}, [413], 'allowed'],
    [0, null, {}, [], 'unknown'],
  ]
  for (const [status, body, headers, allowed, verdict] of table) {
    it(`calls ${status} ${JSON.stringify(body)} ${JSON.stringify(headers)} ${verdict}`, () => {
      assert.equal(httpVerdict({ status, body, headers }, allowed), verdict)
    })
  }
})

describe('grpcVerdict', () => {
  const table: readonly [number, unknown, string][] = [
    [0, {}, 'accepted'],
    [0, { partialSuccess: null }, 'accepted'],
    [0, { partialSuccess: 'CAE=' }, 'wrong'],
    [14, null, 'retry'],
    [8, null, 'retry'],
    [4, null, 'unknown'],
    [1, null, 'unknown'],
    [2, null, 'wrong'],
    [13, null, 'wrong'],
    [3, null, 'wrong'],
  ]
  for (const [status, message, verdict] of table) {
    it(`calls status ${status} with ${JSON.stringify(message)} ${verdict}`, () => {
      assert.equal(grpcVerdict({ status, message, error: undefined }), verdict)
    })
  }
})
