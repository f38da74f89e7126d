import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:http2'
import { describe, it } from 'node:test'

import { BodyPool } from '../../src/receive/body-pool.ts'
import { EXPORT_ROUTES } from '../../src/receive/export-route.ts'
import { startReceivers } from '../../src/testing/receiver-harness.ts'

describe('BodyPool', () => {
  it('gives at least what is asked for, and the same buffer again', () => {
    const pool = new BodyPool()
    for (const bytes of [1, 16_384, 16_385, 100_000, 2 ** 23]) {
      const buffer = pool.take(bytes)
      assert.ok(buffer.length >= bytes && buffer.length <= Math.max(16_384, bytes * 2))
      pool.give(buffer)
      assert.equal(pool.take(bytes), buffer)
    }
  })

  it('keeps no more than its bound, and nothing above 8 MiB', () => {
    const pool = new BodyPool()
    pool.give(pool.take(2 ** 23 + 1))
    assert.equal(pool.keptBytes, 0)
    const buffers = Array.from({ length: 10 }, () => pool.take(2 ** 23))
    for (const buffer of buffers) pool.give(buffer)
    assert.equal(pool.keptBytes, 32 * 1024 * 1024)
  })

  it('refuses a buffer that is given back twice', () => {
    const pool = new BodyPool()
    const buffer = pool.take(1)
    pool.give(buffer)
    assert.throws(() => {
      pool.give(buffer)
    })
  })

  it('leaves a body alone until its handler is done, among many calls at once', async () => {
    let checked = 0
    const harness = await startReceivers({
      handler: async ({ body }) => {
        const digest = createHash('sha256').update(body.subarray(32)).digest()
        for (let wait = body[32]! % 8; wait > 0; wait--) await new Promise(setImmediate)
        const again = createHash('sha256').update(body.subarray(32)).digest()
        assert.deepEqual(again, digest)
        assert.ok(digest.equals(body.subarray(0, 32)))
        checked++
        return { rejectedItems: 0, storedItems: 0, message: '' }
      },
    })
    const session = connect(`http://${harness.grpcTarget}`)
    const call = (): Promise<string> =>
      new Promise((resolve) => {
        const content = randomBytes(1 + Math.floor(Math.random() * 200_000))
        const digest = createHash('sha256').update(content).digest()
        const prefix = Buffer.alloc(5)
        prefix.writeUInt32BE(32 + content.length, 1)
        const stream = session.request({
          ':method': 'POST',
          ':path': EXPORT_ROUTES[0].grpcPath,
          'content-type': 'application/grpc',
        })
        stream.on('trailers', (trailers: Readonly<Record<string, unknown>>) => {
          resolve(String(trailers['grpc-status']))
        })
        stream.on('error', () => {
          resolve('error')
        })
        stream.resume()
        stream.end(Buffer.concat([prefix, digest, content]))
      })
    for (let round = 0; round < 5; round++) {
      const statuses = await Promise.all(Array.from({ length: 50 }, call))
      assert.deepEqual(new Set(statuses), new Set(['0']))
    }
    assert.equal(checked, 250)
    session.destroy()
    await harness.close()
  })
})
