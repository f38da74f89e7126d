import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

import { parseSettings, settingProblems } from '../../src/config/setting-table.ts'
import {
  objectStoreUrl,
  STANDALONE_RELATIONS,
  STANDALONE_SECTIONS,
  standaloneSettings,
} from '../../src/config/settings.ts'
import { configurationPage } from '../../src/config/configuration-page.ts'

function problemsOf(args: readonly string[]): readonly string[] {
  try {
    parseSettings(standaloneSettings, { args, relations: STANDALONE_RELATIONS })
  } catch (error) {
    return settingProblems(error)
  }
  return []
}

describe('standaloneSettings', () => {
  it('has defaults that keep their own bounds and relations', () => {
    assert.deepEqual(problemsOf([]), [])
    for (const [key, setting] of Object.entries(standaloneSettings)) {
      if (setting.default === undefined) continue
      const written = (setting as { format(value: unknown): string }).format(setting.default)
      assert.deepEqual(setting.parse(written), { value: setting.default }, key)
    }
  })

  it('appears in the docs section by section, each setting once', () => {
    const keys = STANDALONE_SECTIONS.flatMap((section) => Object.keys(section.table))
    assert.deepEqual(keys.toSorted(), Object.keys(standaloneSettings).toSorted())
  })

  it('refuses settings that cannot work together', () => {
    assert.equal(problemsOf(['--inflight-bytes-max=1MiB']).length, 1)
    assert.equal(problemsOf(['--memtable-bytes-max=100MiB']).length, 2)
    assert.deepEqual(problemsOf(['--request-bytes-max=128MiB']), [])
    assert.equal(problemsOf(['--request-bytes-max=200MiB']).length, 1)
    assert.equal(problemsOf(['--request-bytes-max=500MiB', '--inflight-bytes-max=1GiB']).length, 1)
    assert.equal(problemsOf(['--wal-bytes-max=64MiB']).length, 1)
    assert.equal(problemsOf(['--otlp-grpc-port=4318']).length, 1)
    assert.equal(problemsOf(['--object-store-endpoint=http://127.0.0.1:9000']).length, 1)
    assert.deepEqual(problemsOf(['--otlp-grpc-port=0', '--otlp-http-port=0']), [])
  })

  it('puts the store into the data folder unless told where', () => {
    assert.equal(objectStoreUrl({ dataDir: '/d', objectStore: undefined }), 'file:///d/store')
    assert.equal(objectStoreUrl({ dataDir: '/d', objectStore: 's3://b/p' }), 's3://b/p')
  })
})

describe('docs/configuration.md', () => {
  it('is what the tables say (node services/e2e/tools/configuration-docs.ts writes it)', () => {
    const page = new URL('../../../../docs/configuration.md', import.meta.url)
    assert.equal(readFileSync(page, 'utf8'), configurationPage())
  })
})
