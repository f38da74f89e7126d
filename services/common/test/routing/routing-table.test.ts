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
  entries: new Map([
    [
      entryKey('acme', Signal.logs),
      {
        tenant: 'acme',
        signal: 'logs',
        partitions: [3, 40, 95],
        hot: new Map([['00ff00ff00ff00ff', 2]]),
      },
    ],
    [
      entryKey('acme', Signal.metrics),
      { tenant: 'acme', signal: 'metrics', partitions: [0], hot: new Map() },
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
