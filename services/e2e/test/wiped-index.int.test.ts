/** The long form is `npm run wiped-index`, with 100,000 files. */
import assert from 'node:assert/strict'
import { it } from 'node:test'

import { runWipedIndex } from '../src/wiped-index/wiped-index-run.ts'

const FILES = 200

it('a bucket goes on when Redis, the cluster and Kafka are replaced: each row once, its index complete', async (t) => {
  const report = (line: string): void => t.diagnostic(line)
  const result = await runWipedIndex({ files: FILES, partitions: 4, report })
  assert.ok(result.files >= FILES && result.rows > 0)
  assert.ok(
    result.otherTopicFiles >= FILES,
    'the new owners do not look after chains of another topic',
  )
})
