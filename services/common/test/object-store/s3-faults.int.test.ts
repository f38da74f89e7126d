/** The S3 store behind a proxy that loses answers, refuses, damages, repeats, and tells old news. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'

import { CommitChain } from '../../src/commit/commit-chain.ts'
import type { AppError } from '../../src/errors.ts'
import { createLogger } from '../../src/logger.ts'
import type { ObjectStore, ObjectStoreOptions } from '../../src/object-store/object-store.ts'
import { openObjectStore } from '../../src/object-store/object-store.ts'
import {
  S3_ACCESS_DENIED,
  S3_CONFLICT,
  S3_INTERNAL_ERROR,
  S3_SLOW_DOWN,
  S3FaultProxy,
} from '../../src/testing/s3-fault-proxy.ts'
import type { S3Fault } from '../../src/testing/s3-fault-proxy.ts'
import { startS3Server } from '../../src/testing/s3-server.ts'
import type { S3Server } from '../../src/testing/s3-server.ts'
import { PARTITION, commitRecord } from '../commit/sample-commit.ts'

const sha256 = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')

const LOSE: S3Fault = { kind: 'lose-answer' }
const FLIP: S3Fault = { kind: 'flip-body' }
/** S3 may answer a completion with 200 and an error in the body. */
const ERROR_AS_200: S3Fault = { kind: 'status', status: 200, code: 'InternalError' }

/** What may happen to a single request, and must not show. */
const PASSING: readonly S3Fault[] = [
  S3_SLOW_DOWN,
  S3_INTERNAL_ERROR,
  LOSE,
  FLIP,
  { kind: 'cut-body' },
  { kind: 'cut-answer' },
  { kind: 'flip-answer' },
  { kind: 'delay', delayMs: 30 },
  { kind: 'slow', bytesPerSecond: 500_000 },
  { kind: 'late', delayMs: 50 },
  { kind: 'late', delayMs: 1500 },
  { kind: 'twice', delayMs: 0, answer: 'first' },
  { kind: 'twice', delayMs: 0, answer: 'second' },
  { kind: 'twice', delayMs: 200, answer: 'first' },
]

describe('S3ObjectStore behind faults', () => {
  const logger = createLogger({ name: 'test', level: 'silent' })
  let server: S3Server
  let proxy: S3FaultProxy
  let folder: string
  const stores: ObjectStore[] = []
  before(async () => {
    server = await startS3Server()
    proxy = await S3FaultProxy.start(server)
    folder = await mkdtemp(join(tmpdir(), 'tributary-s3-faults-'))
  })
  afterEach(async () => {
    proxy.heal()
    await proxy.settled()
  })
  after(async () => {
    for (const store of stores) await store.close()
    await proxy.stop()
    await server.stop()
    await rm(folder, { recursive: true })
  })

  async function open(options: Partial<ObjectStoreOptions> = {}): Promise<ObjectStore> {
    const { region, credentials } = server
    const { endpoint } = proxy
    const store = await openObjectStore(`s3://${server.bucket}/${randomUUID()}`, {
      ...{ endpoint, region, credentials, logger, attemptsMax: 3 },
      ...options,
    })
    stores.push(store)
    return store
  }

  async function spool(bytes: number): Promise<{ path: string; body: Buffer; hash: string }> {
    const body = Buffer.alloc(bytes, randomUUID())
    const path = join(folder, randomUUID())
    await writeFile(path, body)
    return { path, body, hash: sha256(body) }
  }

  it('stores, creates once and reads back right through any single fault', async () => {
    for (const fault of PASSING) {
      const store = await open()
      const what = JSON.stringify(fault)
      const body = Buffer.alloc(50_000, what)
      proxy.inject({ fault, operations: ['put'] })
      await store.put('plain', body)
      proxy.inject({ fault, operations: ['put'] })
      await store.put('created', body, { onlyIfAbsent: true }).catch((error: unknown) => {
        // an answer that was lost: the client repeats and meets its own object
        assert.equal((error as AppError).code, 'object_exists', what)
      })
      const file = await spool(300_000)
      proxy.inject({ fault, operations: ['put'] })
      await store.putFile('file', file.path, file.body.length, file.hash)
      for (const key of ['plain', 'created']) {
        proxy.inject({ fault, operations: ['get'] })
        assert.ok(body.equals(await store.get(key)), `${what} ${key}`)
      }
      proxy.inject({ fault, operations: ['head'] })
      assert.deepEqual(await store.head('file'), { bytes: 300_000 }, what)
      await proxy.settled()
      const copy = join(folder, 'copy')
      await store.getToFile('file', copy)
      assert.equal(sha256(await readFile(copy)), file.hash, what)
      assert.ok(proxy.isSpent, 'every fault was done')
      proxy.heal()
    }
  })

  it('commits once through any single fault of each request', async () => {
    for (const fault of PASSING) {
      const store = await open()
      for (const operation of ['put', 'get', 'list'] as const) {
        // a listing has no checksum: a flipped bit may name another commit, and the chain refuses it
        if (operation === 'list' && fault.kind === 'flip-answer') continue
        const chain = await CommitChain.open(store, PARTITION)
        const start = chain.end
        proxy.inject({ fault, operations: [operation] })
        const outcome = await chain.append(commitRecord(start, start + 5n))
        assert.equal(outcome, 'committed', `${operation} ${JSON.stringify(fault)}`)
        assert.equal((await CommitChain.open(store, PARTITION)).end, start + 5n)
        assert.ok(proxy.isSpent, 'the fault was done')
        proxy.heal()
      }
      await proxy.settled()
      const chain = await CommitChain.open(store, PARTITION)
      assert.equal(chain.count * 5, Number(chain.end), 'a repeated put created nothing')
    }
  })

  it('commits once where every answer to a create is lost, refused or in conflict', async () => {
    for (const faults of [
      [S3_SLOW_DOWN, LOSE],
      [S3_CONFLICT, S3_CONFLICT],
      [LOSE, LOSE, LOSE, LOSE],
    ]) {
      const store = await open()
      const chain = await CommitChain.open(store, PARTITION, { retryPauseMs: 1 })
      for (const fault of faults) proxy.inject({ fault, operations: ['put'] })
      assert.equal(await chain.append(commitRecord(0n, 5n)), 'committed')
      assert.equal((await CommitChain.open(store, PARTITION)).end, 5n)
    }
  })

  it('lets one of two writers commit although every answer is lost', async () => {
    const store = await open()
    proxy.inject({ fault: LOSE, operations: ['put'], times: Infinity, share: 0.5 })
    const chains = await Promise.all(['a', 'b', 'c'].map(() => CommitChain.open(store, PARTITION)))
    for (let start = 0n; start < 25n; start = chains[0]!.end) {
      const outcomes = await Promise.all(
        chains.map((chain, n) =>
          chain.append(commitRecord(start, start + BigInt(n + 1), { writer: `writer-${n}` })),
        ),
      )
      assert.equal(outcomes.filter((outcome) => outcome === 'committed').length, 1)
      const ends = await Promise.all(chains.map((chain) => chain.refresh()))
      assert.equal(new Set(ends).size, 1)
    }
  })

  it('leaves the outcome open where nothing is answered, and settles it later', async () => {
    const store = await open({ attemptsMax: 1 })
    const chain = await CommitChain.open(store, PARTITION, { retryPauseMs: 1 })
    await chain.append(commitRecord(0n, 2n))
    proxy.inject({ fault: LOSE, operations: ['put'] })
    proxy.inject({ fault: S3_SLOW_DOWN, operations: ['put'], times: Infinity })
    await assert.rejects(chain.append(commitRecord(2n, 5n)), { code: 'store_unavailable' })
    proxy.heal()
    assert.equal(await chain.append(commitRecord(2n, 5n)), 'committed')
  })

  it('opens a chain at its end although the listing is old', async () => {
    const store = await open()
    const chain = await CommitChain.open(store, PARTITION)
    await chain.append(commitRecord(0n, 5n))
    proxy.inject({ fault: { kind: 'stale' }, operations: ['list'], times: Infinity })
    for (const start of [5n, 10n, 15n]) await chain.append(commitRecord(start, start + 5n))
    const opened = await CommitChain.open(store, PARTITION)
    assert.equal(opened.end, 20n)
    assert.equal(opened.count, 4)
    assert.equal(await opened.append(commitRecord(20n, 25n)), 'committed')
  })

  it('waits for a commit that is taken and not yet to be read', async () => {
    const store = await open()
    const winner = await CommitChain.open(store, PARTITION)
    const loser = await CommitChain.open(store, PARTITION)
    proxy.inject({ fault: { kind: 'stale' }, operations: ['get'], times: 3 })
    await winner.append(commitRecord(0n, 5n))
    const outcome = await loser.append(commitRecord(0n, 7n, { writer: 'writer-b' }))
    assert.ok(outcome !== 'committed')
    assert.equal(outcome.conflict.end, '5')
  })

  it('is unfit where the second create-only write succeeds, or the first is ignored', async () => {
    const store = await open()
    for (const kind of ['unconditional', 'deaf'] as const) {
      proxy.inject({ fault: { kind }, times: Infinity })
      await assert.rejects(store.probe(), { code: 'store_unfit' }, kind)
      proxy.heal()
    }
    await store.probe()
  })

  it('passes its probe through single faults', async () => {
    const store = await open()
    for (const fault of PASSING) {
      proxy.inject({ fault, operations: ['put'] })
      proxy.inject({ fault, operations: ['get'] })
      await store.probe()
      proxy.heal()
      await proxy.settled()
    }
  })

  it('fails where the file is gone before or while it is sent, and nothing else ends', async () => {
    const store = await open()
    const { path, hash, body } = await spool(3_000_000)
    proxy.inject({ fault: S3_INTERNAL_ERROR, operations: ['put'], times: Infinity })
    const upload = store.putFile('gone', path, body.length, hash)
    await rm(path)
    await assert.rejects(upload)
    await assert.rejects(store.putFile('gone', path, body.length, hash))
  })

  it('never stores a file that was damaged on its way each time', async () => {
    const store = await open()
    const file = await spool(1_000_000)
    proxy.inject({ fault: FLIP, operations: ['put'], times: Infinity })
    await assert.rejects(store.putFile('damaged', file.path, file.body.length, file.hash), {
      code: 'object_mismatch',
    })
    assert.equal(await store.head('damaged'), undefined)
  })

  it('never hands over an object that was damaged on its way each time', async () => {
    const store = await open()
    await store.put('whole', Buffer.alloc(10_000, 'x'))
    for (const kind of ['flip-answer', 'cut-answer'] as const) {
      proxy.inject({ fault: { kind }, operations: ['get'], times: Infinity })
      await assert.rejects(store.get('whole'), { code: 'store_unavailable' }, kind)
      proxy.heal()
    }
  })

  it('uploads a file in parts through refusals, damage, lost answers and errors said with 200', async () => {
    const store = await open()
    const file = await spool(65 * 1024 * 1024)
    proxy.inject({ fault: S3_SLOW_DOWN, operations: ['create-upload'] })
    for (const fault of [S3_SLOW_DOWN, LOSE, FLIP]) proxy.inject({ fault, operations: ['part'] })
    for (const fault of [LOSE, ERROR_AS_200]) {
      proxy.inject({ fault, operations: ['complete-upload'] })
    }
    await store.putFile('parts/a', file.path, file.body.length, file.hash)
    const copy = join(folder, 'parts-copy')
    await store.getToFile('parts/a', copy)
    assert.equal(sha256(await readFile(copy)), file.hash)
  })

  it('gives up requests that hang or crawl, and is well again when the store is', async () => {
    const limits = { idleTimeoutMs: 200, callTimeoutMs: 700, uploadTimeoutMs: 700 }
    const store = await open({ ...limits, attemptsMax: 2 })
    const file = await spool(1_000_000)
    for (const fault of [{ kind: 'hang' }, { kind: 'slow', bytesPerSecond: 1024 }] as const) {
      proxy.inject({ fault, times: Infinity })
      const startMs = performance.now()
      await assert.rejects(store.putFile('slow', file.path, file.body.length, file.hash), {
        code: 'store_unavailable',
      })
      await assert.rejects(store.put('slow', Buffer.alloc(20_000)), { code: 'store_unavailable' })
      assert.ok(performance.now() - startMs < 60_000)
      proxy.heal()
      await store.putFile('slow', file.path, file.body.length, file.hash)
      assert.deepEqual(await store.head('slow'), { bytes: file.body.length })
    }
  })

  it('keeps data that credentials do not cover any more, and says so', async () => {
    const store = await open()
    proxy.inject({ fault: S3_ACCESS_DENIED, times: Infinity })
    const chain = CommitChain.open(store, PARTITION)
    await assert.rejects(chain, {
      code: 'store_unavailable',
      message: 'object store refuses the credentials',
    })
  })

  it('stops uploading to a store that refuses, and commits all the same', async () => {
    const store = await open()
    const file = await spool(10)
    proxy.inject({ fault: S3_SLOW_DOWN, operations: ['put'], times: Infinity })
    const uploads = Array.from({ length: 6 }, (_, n) =>
      store.putFile(`breaker/${n}`, file.path, file.body.length, file.hash),
    )
    for (const upload of await Promise.allSettled(uploads)) {
      assert.equal(upload.status, 'rejected')
      assert.equal((upload.reason as { code?: string }).code, 'store_unavailable')
    }
    proxy.seen.length = 0
    await assert.rejects(store.putFile('breaker/x', file.path, file.body.length, file.hash), {
      code: 'store_unavailable',
      message: 'uploads wait for the object store to recover',
    })
    assert.deepEqual(proxy.seen, [], 'no request was sent')
    proxy.heal()
    const chain = await CommitChain.open(store, PARTITION)
    assert.equal(await chain.append(commitRecord(0n, 5n)), 'committed')
  })
})
