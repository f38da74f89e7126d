/** Pages whose figures a run writes: the parts are there, filled, and nothing else of the page changes. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

import { benchRow, type BenchRow } from '@tributary/common/bench/bench-harness'

import { sizingParts, tuningParts } from '../bench/measured-docs.ts'
import { CLUSTER_SETTINGS, STANDALONE_SETTINGS } from '../bench/tuning-settings.ts'
import { withMeasured } from '../src/measured-page.ts'

function page(name: string): string {
  return readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), 'utf8')
}

function runOf(bench: string, rows: readonly BenchRow[]) {
  const reports = [{ bench, node: 'v24.0.0', rows }]
  return { date: '2026-01-02T03:04:05Z', node: 'v24.0.0', cpu: '2 x Test', reports }
}

const RECORDS = {
  ...{ routerCpuUsPerRecord: 3, ingesterCpuUsPerRecord: 6, brokerCpuUsPerRecord: 2 },
  ...{ otlpBytesPerRecord: 300, kafkaBytesPerRecord: 150, fileBytesPerRecord: 50 },
}
const SIZING = runOf('sizing', [
  benchRow('logs, 1,000 a request, 40,000/s', RECORDS),
  benchRow('requests to the bucket by commit', {
    ...{ putsPerCommit: 2, filePutsPerFile: 1 },
    ...{ getsPerCommit: 0, headsPerCommit: 0, listsPerCommit: 0 },
  }),
  benchRow('an idle cluster', {
    freshnessPutsPerPartitionAndInterval: 1,
    ...{ getsPerPartitionAndHour: 0, listsPerPartitionAndHour: 0 },
  }),
])

describe('measured parts of pages', () => {
  it('take the place of what stood between the marks, and of nothing else', () => {
    const before = 'a\n<!-- measured: x -->\nold\n<!-- /measured -->\nb\n'
    const after = 'a\n<!-- measured: x -->\nnew\n<!-- /measured -->\nb\n'
    assert.equal(withMeasured(before, { x: 'new' }), after)
    assert.throws(() => withMeasured(before, { y: 'new' }), /no mark y/)
  })

  it('size 100,000 records a second by the formulas of the page', () => {
    const { example = '' } = sizingParts(SIZING)
    assert.match(example, /router cores \| 100,000 x 3 \/ 1e6 \/ 0\.6 \| 0\.5: 2 processes/)
    assert.match(example, /ingester cores .* \| 1: 2 processes/)
    // 30 MB/s over 8 MiB/s: 4, more than 2 ingesters
    assert.match(example, /partitions .* \| 12 \|/)
    assert.match(example, /disk of Kafka .* \| 3\.89 TB/)
    // 12 x (43,200 x 3 + 86,400)
    assert.match(example, /PUTs a month.* \| 2\.59 million/)
    // 1,296 cents over 77,760 GB
    assert.match(example, /0\.0167 cents per GB of OTLP, 0\.1 per GB stored/)
    assert.notEqual(withMeasured(page('sizing'), sizingParts(SIZING)), page('sizing'))
  })

  it('are there for each setting that is tuned', () => {
    const rows = [
      ...STANDALONE_SETTINGS.map((setting) => ({ ...setting, who: 'standalone' })),
      ...CLUSTER_SETTINGS.map((setting) => ({ ...setting, who: 'cluster' })),
    ].flatMap(({ who, flag, values }) =>
      values.map((value) => benchRow(`${who} ${flag} ${value}`, { cpuUsPerRecord: 1 })),
    )
    const changed = withMeasured(page('tuning'), tuningParts(runOf('tuning', rows)))
    assert.match(changed, /On 2026-01-02, 2 x Test, Node 24\.0\.0/)
  })
})
