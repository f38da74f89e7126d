/** Data folders of earlier builds, each left behind by kill -9: this build goes on with them. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

import { runPython } from '@tributary/common/testing/python'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore } from '@tributary/common/object-store/object-store'
import { verifyStore } from '@tributary/common/verify/verify'
import { readCommittedFiles } from '@tributary/cli/query/committed-files'

import { FORMAT_FOLDER } from '../../src/formats/format-samples.ts'
import { SAMPLE_FLAGS, copyFolder, sendSamples } from '../../src/formats/standalone-folder.ts'
import { removeCheckedData } from '../../src/readers/checked-store.ts'
import { StandaloneProcess } from '../../src/standalone-process.ts'

const ROWS_SCRIPT = `
import json, sys
import pyarrow.parquet as pq
print(json.dumps([pq.read_table(path, partitioning=None).num_rows for path in sys.argv[1:]]))
`
/** Of a request of each signal: two logs, a span, two points. */
const ROWS_PER_SAMPLE = { logs: 2, spans: 1, metrics: 2 }

for (const fixture of readdirSync(FORMAT_FOLDER).filter((name) => /^standalone-\d+$/.test(name))) {
  void test(`the data folder ${fixture} loses nothing, and takes more`, async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tributary-upgrade-'))
    t.after(() => removeCheckedData(dataDir))
    await copyFolder(join(FORMAT_FOLDER, fixture), dataDir)
    const standalone = await StandaloneProcess.start({ dataDir, flags: SAMPLE_FLAGS })
    t.after(() => standalone.kill())
    // the first two were there: one as files, one in the WAL
    await sendSamples(standalone, 2)
    assert.equal(await standalone.stop(), 0)

    const logger = createLogger({ name: 'test', level: 'silent' })
    const url = pathToFileURL(join(dataDir, 'store')).href
    const store = await openObjectStore(url, { logger })
    t.after(() => store.close())
    const report = await verifyStore(store)
    assert.deepEqual([report.isWhole, report.problems, report.holes], [true, [], []])
    const files = await readCommittedFiles(store)
    const rows = JSON.parse(
      runPython(
        ROWS_SCRIPT,
        files.map(({ key }) => join(dataDir, 'store', key)),
      ),
    ) as readonly number[]
    for (const [signal, perSample] of Object.entries(ROWS_PER_SAMPLE)) {
      const stored = files.reduce(
        (sum, file, at) => sum + (file.signal === signal ? rows[at]! : 0),
        0,
      )
      assert.equal(stored, 3 * perSample, signal)
    }
  })
}
