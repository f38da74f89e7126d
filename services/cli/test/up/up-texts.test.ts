import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { PartitionLine } from '../../src/cluster/cluster-view.ts'
import { statusLine, statusScreen } from '../../src/up/cluster-status.ts'
import type { ClusterStatus } from '../../src/up/cluster-status.ts'
import { runWords } from '../../src/up/container-engine.ts'

function line(partition: number, owner: string, lagOffsets: number): PartitionLine {
  const [lagSeconds, oldestUnflushedSeconds] = [lagOffsets / 10, 2.25]
  const rest = { epoch: 1, state: 'owned', validThrough: '', reason: '' }
  return { partition, owner, lagOffsets, lagSeconds, oldestUnflushedSeconds, ...rest }
}

const PARTITIONS = [line(0, 'ingester-1', 3), line(1, 'ingester-1', 12), line(2, '', 0)]
const STATUS: ClusterStatus = {
  report: { members: [], silent: [], partitions: PARTITIONS },
  roles: [
    {
      ...{ name: 'router-1', role: 'router', isReady: true, restarts: 0 },
      ...{ perSecond: 1234.4, partitions: [] },
    },
    {
      ...{ name: 'ingester-1', role: 'ingester', isReady: false, restarts: 2 },
      ...{ perSecond: 7, partitions: PARTITIONS.slice(0, 2) },
    },
  ],
}

describe('the state of a development cluster', () => {
  it('is one line for a log', () => {
    assert.equal(
      statusLine(STATUS),
      'routers 1/1 1234 items/s, ingesters 0/1 7 rows/s to files, partitions 2/3 owned, ' +
        'lag 15 records 1.2 s, oldest unflushed 2.3 s',
    )
  })

  it('is a line for each process on a terminal, cut to its width', () => {
    const [router, ingester, ...rest] = statusScreen(STATUS, undefined).split('\n')
    assert.match(router!, /^ {2}router-1 +ready +1234 items\/s taken$/)
    assert.match(
      ingester!,
      /not ready .* 7 rows\/s to files +2 partitions {2}lag 15 records 1\.2 s .* again 2 times$/,
    )
    assert.deepEqual(rest, [statusLine(STATUS)])
    for (const text of statusScreen(STATUS, 20).split('\n')) assert.ok(text.length <= 20)
    const silent = statusScreen({ ...STATUS, report: undefined }, undefined)
    assert.match(silent, /redis does not answer/)
  })
})

describe('a container of a server', () => {
  it('listens on the loopback alone, and keeps what it has in a volume of its name', () => {
    const words = runWords({
      name: 'tributary-up-1-s3',
      image: 'image:1',
      port: [17070, 7070],
      environment: { KEY: 'value with space' },
      dataFolder: '/data',
      entrypoint: 'sh',
      words: ['-ec', 'true'],
    })
    assert.deepEqual(words, [
      ...['run', '--detach', '--name', 'tributary-up-1-s3', '--publish', '127.0.0.1:17070:7070'],
      ...['--volume', 'tributary-up-1-s3:/data', '--env', 'KEY=value with space'],
      ...['--entrypoint', 'sh', 'image:1', '-ec', 'true'],
    ])
  })
})
