/**
 * Every file that a test leaves in its store, opened by readers that are not ours before it is
 * removed: each cell the same to DuckDB and PyArrow, and every claim of the files about themselves
 * true (statistics, page indexes, order, bloom filters, footer keys).
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { flushSettings } from '@tributary/common/config/settings'
import { runPython } from '@tributary/common/testing/python'

import { readIndexes } from './page-indexes.ts'

const CHECK = new URL('check-files.py', import.meta.url)
/** Files of one run of Python: bounds what their claims take as JSON. */
const FILES_PER_RUN = 100
const PROBLEMS_SHOWN = 10

export interface ReadersReport {
  readonly problems: readonly string[]
  readonly checked: Readonly<
    Record<
      'cells' | 'chunks' | 'pages' | 'sorted' | 'present' | 'excluded' | 'absent' | 'inexact',
      number
    >
  >
}

/** What DuckDB and PyArrow say about files; a row group may have so many rows. */
export function readersReport(paths: readonly string[], rowGroupRowsMax: number): ReadersReport {
  const claims = paths.map((path) => {
    const { exact, indexes } = readIndexes(path)
    return { path, rowGroupRowsMax, exact, indexes }
  })
  const script = readFileSync(CHECK, 'utf8')
  return JSON.parse(runPython(script, [], Buffer.from(JSON.stringify(claims)))) as ReadersReport
}

/**
 * Removes the data folder of a standalone process that has ended, after the readers have read its
 * files: for the `after` of a test.
 * @throws AssertionError with what a file claims and what is not true
 */
export async function removeCheckedData(dataDir: string): Promise<void> {
  try {
    const paths = await parquetFiles(join(dataDir, 'store'))
    for (let from = 0; from < paths.length; from += FILES_PER_RUN) {
      const files = paths.slice(from, from + FILES_PER_RUN)
      const { problems, checked } = readersReport(files, flushSettings.rowGroupRowsMax.default)
      assert.deepEqual(problems.slice(0, PROBLEMS_SHOWN), [])
      assert.ok(checked.sorted >= files.length && checked.chunks > files.length)
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function parquetFiles(store: string): Promise<string[]> {
  const entries = await readdir(store, { recursive: true })
  return entries.filter((path) => path.endsWith('.parquet')).map((path) => join(store, path))
}
