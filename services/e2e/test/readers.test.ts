/** Everything that our files claim about themselves, checked by readers that are not ours. */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { SIGNAL_NAMES } from '@tributary/common/signal'
import { decodeAll, flush } from '../src/fidelity/round-trip.ts'
import { readersReport } from '../src/readers/checked-store.ts'

const SEED = Number(process.env['FUZZ_SEED'] ?? randomInt(0x7fff_ffff - 1000))
/** Metric names that are equal once bad UTF-8 is replaced: they did not interleave by series. */
const UNSORTED_ONCE = ['metrics', 7] as const
const REQUESTS = 60
const ROW_GROUP_ROWS_MAX = 40
const ATTRIBUTE_COLUMNS_MAX = 20

void describe(`files of generated requests, FUZZ_SEED=${String(SEED)}`, () => {
  let directory: string

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tributary-readers-'))
  })

  after(() => rm(directory, { recursive: true, force: true }))

  const cases = SIGNAL_NAMES.map((signal) => [signal, SEED] as const)
  for (const [signal, seed] of [...cases, UNSORTED_ONCE]) {
    void it(`tells DuckDB and PyArrow the truth about ${signal} from seed ${String(seed)}`, async (t) => {
      const seeds = Array.from({ length: REQUESTS }, (_, index) => seed + index)
      const { entries } = decodeAll(signal, 'protobuf', seeds)
      const table = await flush(
        signal,
        entries,
        directory,
        ATTRIBUTE_COLUMNS_MAX,
        ROW_GROUP_ROWS_MAX,
      )
      // many hour files of few rows: the largest say the most
      const files = [...table.files].sort((left, right) => right.rows - left.rows).slice(0, 4)
      const { problems, checked } = readersReport(
        files.map(({ path }) => path),
        ROW_GROUP_ROWS_MAX,
      )
      t.diagnostic(JSON.stringify(checked))
      assert.deepEqual(problems.slice(0, 10), [])
      assert.ok(checked.cells > 1000 && checked.chunks > 100 && checked.pages > 100)
      assert.equal(
        checked.sorted,
        files.reduce((sum, { rows }) => sum + rows, 0),
      )
      assert.ok(checked.present > 0)
      assert.ok(
        checked.excluded >= 0.9 * checked.absent,
        `${String(checked.excluded)} of ${String(checked.absent)} excluded`,
      )
    })
  }
})
