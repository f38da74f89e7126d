/** What members of a cluster tell each other through Redis, as texts. */
import { parseIngesterStatus } from '@tributary/common/metadata/ingester-status'
import { serializeIngesterStatus } from '@tributary/common/metadata/ingester-status'
import { parseRouterRates, serializeRouterRates } from '@tributary/common/routing/router-rates'
import { entryKey, parseRoutingTable } from '@tributary/common/routing/routing-table'
import { ROUTING_FORMAT_VERSION } from '@tributary/common/routing/routing-table'
import { serializeRoutingTable, type RoutingTable } from '@tributary/common/routing/routing-table'
import { Signal } from '@tributary/common/signal'

import { withJsonVersion, type FormatSample } from './format-sample.ts'

const STREAM = '00ff00ff00ff00ff'

export const SAMPLE_TABLE: RoutingTable = {
  version: 12,
  madeBy: 'router-1',
  partitions: 8,
  saturated: new Set([3]),
  halted: new Set([5]),
  earlier: [
    {
      partitions: 8,
      saturated: new Set<number>(),
      halted: new Set([5]),
      untilUnixMs: 1_795_230_600_000,
    },
  ],
  entries: new Map([
    [
      entryKey('acme', Signal.logs),
      {
        ...{ tenant: 'acme', signal: 'logs', partitions: [1, 2, 6], hot: new Map([[STREAM, 2]]) },
        earlier: [
          { partitions: [1], hot: new Map<string, number>(), untilUnixMs: 1_795_230_600_000 },
        ],
      },
    ],
    [
      entryKey('globex', Signal.spans),
      { tenant: 'globex', signal: 'spans', partitions: [4], hot: new Map(), earlier: [] },
    ],
  ]),
}

export const SAMPLE_STATUS = serializeIngesterStatus([
  {
    ...{ partition: 3, state: 'owned', lagOffsets: 1200, lagSeconds: 4, oldestSeconds: 12 },
    ...{ validThroughUnixMs: 1_795_230_600_000, isSaturated: true, isHalted: false },
  },
  {
    ...{ partition: 5, state: 'halted', lagOffsets: 7, lagSeconds: 60, oldestSeconds: 0 },
    ...{ validThroughUnixMs: 0, isSaturated: false, isHalted: true },
  },
])

export const SAMPLE_RATES = serializeRouterRates({
  tenants: [{ tenant: 'acme', signal: 'logs', rate: 1_200_000 }],
  streams: [{ tenant: 'acme', signal: 'logs', stream: STREAM, rate: 900_000 }],
})

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')
const REFUSAL = { code: 'routing_table_damaged', message: /written by a newer version/ } as const

export const CLUSTER_SAMPLES: readonly FormatSample[] = [
  {
    name: 'routing-table',
    version: ROUTING_FORMAT_VERSION,
    write: () => Buffer.from(serializeRoutingTable(SAMPLE_TABLE)),
    read: (bytes) => parseRoutingTable(textOf(bytes)),
    withVersion: withJsonVersion,
    refusal: REFUSAL,
  },
  // no versions: what a reader does not know, it leaves out
  {
    name: 'ingester-status',
    version: 1,
    write: () => Buffer.from(SAMPLE_STATUS),
    read: (bytes) => parseIngesterStatus(textOf(bytes)),
    refusal: REFUSAL,
  },
  {
    name: 'router-rates',
    version: 1,
    write: () => Buffer.from(SAMPLE_RATES),
    read: (bytes) => parseRouterRates(textOf(bytes)),
    refusal: REFUSAL,
  },
]
