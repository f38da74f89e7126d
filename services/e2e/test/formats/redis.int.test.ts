import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'

import { RedisServer } from '@tributary/common/testing/redis-server'

import { readText } from '../../src/formats/format-sample.ts'
import { FORMAT_FOLDER, REDIS_FIXTURE } from '../../src/formats/format-samples.ts'
import {
  readRedisSample,
  restore,
  shapeOf,
  writeRedisSample,
  type RedisContent,
} from '../../src/formats/redis-sample.ts'

function contentOf(fixture: string): RedisContent {
  const text = readFileSync(join(FORMAT_FOLDER, `${fixture}.json`), 'utf8')
  return JSON.parse(text) as RedisContent
}

describe('what a cluster keeps in Redis', () => {
  let redis: RedisServer

  before(async () => {
    redis = await RedisServer.start()
  })

  afterEach(() => redis.admin.flushall())

  after(() => redis.stop())

  it('is written as the newest fixture says', async () => {
    const written = await writeRedisSample(redis)
    assert.equal(shapeOf(written), shapeOf(contentOf(REDIS_FIXTURE)))
  })

  it('is read as it was, whichever build wrote it', async () => {
    const fixtures = readdirSync(FORMAT_FOLDER).filter((file) => /^redis-\d+\.json$/.test(file))
    assert.ok(fixtures.length > 0)
    for (const file of fixtures) {
      const fixture = file.replace(/\.json$/, '')
      await redis.admin.flushall()
      await restore(redis, contentOf(fixture))
      const expected = readFileSync(join(FORMAT_FOLDER, `${fixture}.read.json`), 'utf8')
      assert.equal(readText(await readRedisSample(redis)), expected, fixture)
    }
  })
})
