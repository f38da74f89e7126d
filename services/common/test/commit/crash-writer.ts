/**
 * What the crash test kills: commits one file after the other to the file store of its first argument,
 * up to the offset of its second, each with a new attribute key. The data of an offset is a function of
 * the offset. TRIBUTARY_FAILPOINTS says where it dies.
 */
import { mkdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { CommitChain } from '../../src/commit/commit-chain.ts'
import { createLogger } from '../../src/logger.ts'
import { openObjectStore } from '../../src/object-store/object-store.ts'
import { storeIdentity } from '../../src/object-store/store-identity.ts'
import { resolveOrExtend } from '../../src/schema/schema-chain.ts'
import { commitFile, commitRecord, sha256 } from './sample-commit.ts'
import { PARTITION } from './sample-commit.ts'
import { parquetFile, putSidecar } from '../verify/sample-store.ts'

const [url = '', endText = '0', spoolFolder = ''] = process.argv.slice(2)
const store = await openObjectStore(url, {
  logger: createLogger({ name: 'crash', level: 'silent' }),
})
await storeIdentity(store)
await mkdir(spoolFolder, { recursive: true })
const chain = await CommitChain.open(store, PARTITION)
for (let start = chain.end; start < BigInt(endText); start = chain.end) {
  const range = { start, end: start + 3n }
  const key = `key-${start}`
  const schema = await resolveOrExtend(store, 'acme', 'logs', [
    { namespace: 'attributes', key, type: 'int' },
  ])
  const body = await parquetFile(range, { rows: 3 }, schema.version)
  const file = commitFile(range, { rows: 3, body })
  const path = join(spoolFolder, 'finished.parquet')
  await writeFile(path, body)
  await store.putFile(file.key, path, body.length, sha256(body))
  await unlink(path)
  const schemaVersions = { 'acme/logs': schema.version }
  const hashes = await putSidecar(store, range)
  const committedAt = new Date().toISOString()
  await chain.append(
    commitRecord(start, range.end, { files: [file], schemaVersions, hashes, committedAt }),
  )
}
