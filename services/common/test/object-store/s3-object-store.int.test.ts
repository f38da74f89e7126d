import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { randomUUID } from 'node:crypto'

import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'

import { CommitChain } from '../../src/commit/commit-chain.ts'
import { setFailpoints } from '../../src/failpoint.ts'
import { createLogger } from '../../src/logger.ts'
import type { ObjectStore } from '../../src/object-store/object-store.ts'
import { openObjectStore } from '../../src/object-store/object-store.ts'
import { loadSchema, resolveOrExtend } from '../../src/schema/schema-chain.ts'
import { startS3Server } from '../../src/testing/s3-server.ts'
import type { S3Server } from '../../src/testing/s3-server.ts'
import { PARTITION, commitRecord } from '../commit/sample-commit.ts'
import { storeContract } from './store-contract.ts'

const logger = createLogger({ name: 'test', level: 'silent' })
const sha256 = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')
const MIB = 1024 * 1024

let server: S3Server
let spoolFolder: string
before(async () => {
  server = await startS3Server()
  spoolFolder = await mkdtemp(join(tmpdir(), 'tributary-s3-spool-'))
})
after(async () => {
  setFailpoints(undefined)
  await server.stop()
  await rm(spoolFolder, { recursive: true })
})

function open(prefix: string = randomUUID(), endpoint = server.endpoint): Promise<ObjectStore> {
  const { region, credentials } = server
  const url = `s3://${server.bucket}/${prefix}`
  return openObjectStore(url, { endpoint, region, credentials, logger })
}

async function spooled(bytes: number): Promise<{ path: string; body: Buffer; hash: string }> {
  const body = Buffer.alloc(bytes, randomUUID())
  const path = join(spoolFolder, randomUUID())
  await writeFile(path, body)
  return { path, body, hash: sha256(body) }
}

storeContract('S3ObjectStore', async () => ({ store: await open(), spoolFolder }))

describe('S3ObjectStore', () => {
  it('keeps every object below its prefix', async () => {
    const outer = await open('outer')
    const inner = await open('outer/inner')
    await inner.put('a', Buffer.from('x'))
    assert.deepEqual(await outer.get('inner/a'), Buffer.from('x'))
    for (const key of ['../a', '/a', 'a//b', '']) {
      await assert.rejects(inner.put(key, Buffer.from('x')), { code: 'invalid_key' }, key)
      await assert.rejects(inner.get(key), { code: 'invalid_key' }, key)
    }
  })

  it('lists more than a page, from anywhere', async () => {
    const store = await open()
    const keys = Array.from({ length: 1203 }, (_, n) => `many/${String(n).padStart(5, '0')}.json`)
    for (let at = 0; at < keys.length; at += 40) {
      await Promise.all(keys.slice(at, at + 40).map((key) => store.put(key, Buffer.from(key))))
    }
    const listed: string[] = []
    for await (const { key } of store.list('many/', keys[9])) listed.push(key)
    assert.deepEqual(listed, keys.slice(10))
  })

  it('publishes a file in parts, and leaves no parts behind when that fails', async () => {
    const store = await open()
    const { path, body, hash } = await spooled(70 * MIB + 12_345)
    setFailpoints('store:part=throw@3')
    await assert.rejects(store.putFile('data/large', path, body.length, hash))
    setFailpoints(undefined)
    assert.equal(await store.head('data/large'), undefined)
    await assert.rejects(store.putFile('data/large', path, body.length, sha256(Buffer.from(''))), {
      code: 'object_mismatch',
    })
    const client = new S3Client({ ...server, forcePathStyle: true })
    const uploads = await client.send(new ListMultipartUploadsCommand({ Bucket: server.bucket }))
    assert.deepEqual(uploads.Uploads ?? [], [])
    await store.putFile('data/large', path, body.length, hash)
    const copy = join(spoolFolder, 'large-copy')
    await store.getToFile('data/large', copy)
    assert.equal(sha256(await readFile(copy)), hash)
    client.destroy()
    await store.close()
  })

  it('has the server refuse a file that is not the one that was hashed', async () => {
    const store = await open()
    const { path, body } = await spooled(MIB)
    await assert.rejects(
      store.putFile('data/flipped', path, body.length, sha256(Buffer.from('other'))),
      { code: 'object_mismatch' },
    )
    assert.equal(await store.head('data/flipped'), undefined)
    await assert.rejects(store.putFile('data/flipped', path, body.length + 1, sha256(body)), {
      code: 'object_mismatch',
    })
    await store.close()
  })

  it('says what is wrong with credentials, bucket and address', async () => {
    const { endpoint, region, bucket, credentials } = server
    const wrongSecret = { ...credentials, secretAccessKey: 'wrong' }
    const refused = await openObjectStore(`s3://${bucket}/x`, {
      ...{ endpoint, region, logger },
      credentials: wrongSecret,
    })
    await assert.rejects(refused.probe(), {
      code: 'store_unavailable',
      message: 'object store refuses the credentials',
    })
    const missing = await openObjectStore('s3://no-such-bucket/x', {
      ...{ endpoint, region, credentials, logger },
    })
    await assert.rejects(missing.probe(), {
      code: 'store_unavailable',
      message: 'bucket is missing',
    })
    const away = await open('x', 'http://127.0.0.1:9')
    await assert.rejects(away.probe(), { code: 'store_unavailable' })
    for (const url of ['s3://', 's3:///x', 's3://user:secret@b/x', 'http://b']) {
      await assert.rejects(
        async () => openObjectStore(url, { logger }),
        (error: { code?: string }) =>
          error.code === 'invalid_config' || error.code === 'invalid_key',
        url,
      )
    }
  })

  it('lets one of two commit chains win, and makes schemas agree', async () => {
    const store = await open()
    const chains = await Promise.all(
      Array.from({ length: 6 }, () => CommitChain.open(store, PARTITION)),
    )
    const outcomes = await Promise.all(
      chains.map((chain, n) => chain.append(commitRecord(0n, 5n, { writer: `writer-${n}` }))),
    )
    assert.equal(outcomes.filter((outcome) => outcome === 'committed').length, 1)
    assert.ok(chains.every((chain) => chain.end === 5n))
    assert.equal((await CommitChain.open(store, PARTITION)).end, 5n)
    const states = await Promise.all(
      (['int', 'string', 'bool', 'any'] as const).map((type) =>
        resolveOrExtend(store, 'acme', 'logs', [{ namespace: 'attributes', key: 'k', type }]),
      ),
    )
    const final = await loadSchema(store, 'acme', 'logs')
    assert.equal(final.version, 4)
    for (const state of states) {
      for (const { type } of state.snapshot().additions) {
        const column = state.resolve('attributes', 'k', type)
        assert.equal(column, final.resolve('attributes', 'k', type))
      }
    }
    await store.close()
  })

  it('commits once through a server that dies and comes back', async () => {
    const store = await open()
    const chain = await CommitChain.open(store, PARTITION)
    await chain.append(commitRecord(0n, 1n))
    await server.kill()
    const append = chain.append(commitRecord(1n, 2n))
    await server.restart()
    assert.equal(await append, 'committed')
    assert.equal((await CommitChain.open(store, PARTITION)).end, 2n)
    await store.close()
  })
})
