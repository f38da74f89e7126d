/**
 * Writes what `fixtures/formats/` lacks: for each format the bytes that this build writes, and what it reads
 * of them. Files that are there stay as they are, for ever: they are what earlier versions wrote. A format
 * that changes gets a new version first, and then a new file.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { RedisServer } from '@tributary/common/testing/redis-server'

import { readText } from '../src/formats/format-sample.ts'
import { FORMAT_FOLDER, FORMAT_SAMPLES, REDIS_FIXTURE } from '../src/formats/format-samples.ts'
import { readRedisSample, writeRedisSample } from '../src/formats/redis-sample.ts'
import { STANDALONE_FIXTURE, writeStandaloneFolder } from '../src/formats/standalone-folder.ts'

function write(name: string, content: Uint8Array | string): void {
  writeFileSync(join(FORMAT_FOLDER, name), content)
  process.stdout.write(`new: ${name}\n`)
}

for (const sample of FORMAT_SAMPLES) {
  const name = `${sample.name}-${String(sample.version)}`
  if (existsSync(join(FORMAT_FOLDER, `${name}.bin`))) continue
  const bytes = sample.write()
  write(`${name}.bin`, bytes)
  write(`${name}.read.json`, readText(sample.read(bytes)))
}
if (!existsSync(join(FORMAT_FOLDER, `${REDIS_FIXTURE}.json`))) {
  const redis = await RedisServer.start()
  write(`${REDIS_FIXTURE}.json`, `${JSON.stringify(await writeRedisSample(redis), undefined, 2)}\n`)
  write(`${REDIS_FIXTURE}.read.json`, readText(await readRedisSample(redis)))
  await redis.stop()
}
if (!existsSync(join(FORMAT_FOLDER, STANDALONE_FIXTURE))) {
  await writeStandaloneFolder(join(FORMAT_FOLDER, STANDALONE_FIXTURE))
  process.stdout.write(`new: ${STANDALONE_FIXTURE}/\n`)
}
