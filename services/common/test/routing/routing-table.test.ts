import assert from 'node:assert/strict'
import test from 'node:test'

import { AppError } from '../../src/errors.ts'
import {
  emptyRoutingTable,
  entryKey,
  parseRoutingTable,
  serializeRoutingTable,
  type RoutingTable,
} from '../../src/routing/routing-table.ts'
import { Signal } from '../../src/signal.ts'
import { fuzz } from '../../src/testing/fuzz-run.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

const TABLE: RoutingTable = {
  version: 12,
  madeBy: 'router-1',
  partitions: 96,
  saturated: new Set([3, 40]),
  halted: new Set([7]),
  earlier: [
    { untilUnixMs: 1000, partitions: 12, saturated: new Set([3]), halted: new Set() },
    { untilUnixMs: 2000, partitions: 96, saturated: new Set(), halted: new Set([0, 7]) },
  ],
  entries: new Map([
    [
      entryKey('acme', Signal.logs),
      {
        tenant: 'acme',
        signal: 'logs',
        partitions: [3, 40, 95],
        hot: new Map([['00ff00ff00ff00ff', 2]]),
        earlier: [
          { untilUnixMs: 1, partitions: [], hot: new Map() },
          { untilUnixMs: 3000, partitions: [1, 2], hot: new Map([['00ff00ff00ff00ff', 2]]) },
        ],
      },
    ],
    [
      entryKey('acme', Signal.metrics),
      { tenant: 'acme', signal: 'metrics', partitions: [0], hot: new Map(), earlier: [] },
    ],
  ]),
}

const TEXT = serializeRoutingTable(TABLE)

/** The text with a change to its JSON. */
function changed(change: (json: Record<string, unknown>) => void): string {
  const json = JSON.parse(TEXT) as Record<string, unknown>
  change(json)
  return JSON.stringify(json)
}

function firstEarlier(json: Record<string, unknown>): Record<string, unknown> {
  return (json['earlier'] as Record<string, unknown>[])[0]!
}

function firstEntry(json: Record<string, unknown>): Record<string, unknown> {
  return (json['entries'] as Record<string, unknown>[])[0]!
}

test('a table comes back as it was written', () => {
  assert.deepEqual(parseRoutingTable(TEXT), TABLE)
  assert.equal(serializeRoutingTable(parseRoutingTable(TEXT)), TEXT)
})

test('the text is the one that the format shows', () => {
  assert.equal(
    serializeRoutingTable({ ...emptyRoutingTable(2), version: 1, madeBy: 'r' }),
    '{"formatVersion":1,"version":1,"madeBy":"r","partitions":2,"saturated":[],"halted":[],"entries":[]}',
  )
})

test('members that a later version adds are left out', () => {
  const text = changed((json) => {
    json['weights'] = [1]
    firstEntry(json)['since'] = 5
  })
  assert.deepEqual(parseRoutingTable(text), TABLE)
})

test('a table of before anything was kept of earlier shards is read as one that never changed', () => {
  const text = changed((json) => {
    delete json['earlier']
    delete firstEntry(json)['earlier']
  })
  const table = parseRoutingTable(text)
  assert.deepEqual(table.earlier, [])
  for (const { earlier } of table.entries.values()) assert.deepEqual(earlier, [])
  assert.ok(!serializeRoutingTable(table).includes('earlier'), 'and written as it was')
})

const DAMAGES: Readonly<Record<string, (json: Record<string, unknown>) => void>> = {
  'a newer format': (json) => (json['formatVersion'] = 2),
  'version 0': (json) => (json['version'] = 0),
  'no partitions': (json) => (json['partitions'] = 0),
  'too many partitions': (json) => (json['partitions'] = 4097),
  'a saturated partition that there is not': (json) => (json['saturated'] = [96]),
  'a halted partition that is no number': (json) => (json['halted'] = ['7']),
  'saturated partitions twice': (json) => (json['saturated'] = [3, 3]),
  'an empty shard': (json) => (firstEntry(json)['partitions'] = []),
  'a shard out of order': (json) => (firstEntry(json)['partitions'] = [40, 3, 95]),
  'a shard past the partitions': (json) => (firstEntry(json)['partitions'] = [3, 96]),
  'a tenant name that is none': (json) => (firstEntry(json)['tenant'] = '../x'),
  'a signal that is none': (json) => (firstEntry(json)['signal'] = 'traces'),
  'a stream that is no hash': (json) => (firstEntry(json)['hot'] = [{ stream: 'ff', k: 2 }]),
  'a spread wider than the shard': (json) =>
    (firstEntry(json)['hot'] = [{ stream: '00ff00ff00ff00ff', k: 4 }]),
  'an earlier shard past the partitions': (json) =>
    (firstEarlier(firstEntry(json))['partitions'] = [96]),
  'an earlier spread without a shard': (json) =>
    (firstEarlier(firstEntry(json))['hot'] = [{ stream: '00ff00ff00ff00ff', k: 2 }]),
  'earlier shards of one time': (json) => (firstEarlier(firstEntry(json))['untilUnixMs'] = 3000),
  'an earlier shard of no time': (json) => (firstEarlier(firstEntry(json))['untilUnixMs'] = 0),
  'a time past 64 bits': (json) =>
    ((json['earlier'] as Record<string, unknown>[])[1]!['untilUnixMs'] = 18_446_744_073_710),
  'an earlier state of more partitions': (json) => (firstEarlier(json)['partitions'] = 97),
  'an earlier state with what it has not': (json) => (firstEarlier(json)['halted'] = [12]),
  'too many earlier states': (json) =>
    (json['earlier'] = Array.from({ length: 9 }, (_, index) => ({
      ...firstEarlier(json),
      untilUnixMs: 1000 + index,
    }))),
  'an entry twice': (json) =>
    (json['entries'] = [firstEntry(json), ...(json['entries'] as unknown[])]),
  'entries that are no list': (json) => (json['entries'] = {}),
}

for (const [damage, change] of Object.entries(DAMAGES)) {
  test(`a table with ${damage} is refused`, () => {
    assert.throws(() => parseRoutingTable(changed(change)), { code: 'routing_table_damaged' })
  })
}

test('no text makes the parser throw anything but its own error, or accept what it would not write', () => {
  fuzz((seed) => {
    const random = new SeededRandom(seed)
    const bytes = Buffer.from(TEXT)
    for (let i = 0; i <= random.below(4); i++) {
      bytes[random.below(bytes.length)] = 0x20 + random.below(0x60)
    }
    try {
      const table = parseRoutingTable(bytes.toString('utf8'))
      assert.deepEqual(parseRoutingTable(serializeRoutingTable(table)), table)
    } catch (error) {
      assert.ok(error instanceof AppError && error.code === 'routing_table_damaged', String(error))
    }
  })
})
