/**
 * What earlier versions wrote is read for ever, and a format does not change without a new version: the
 * bytes in fixtures/formats/ are never made anew.
 */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import { AppError } from '@tributary/common/errors'

import { readText } from '../../src/formats/format-sample.ts'
import { FORMAT_FOLDER, FORMAT_SAMPLES } from '../../src/formats/format-samples.ts'

const CHANGED =
  'this format has changed: give it a new version, keep a reader of the one before, and run ' +
  'node services/e2e/tools/format-fixtures.ts'

/** Fixtures of a sample, of all versions there ever were. */
function fixturesOf(name: string): string[] {
  const pattern = new RegExp(`^${name}-\\d+\\.bin$`)
  return readdirSync(FORMAT_FOLDER)
    .filter((file) => pattern.test(file))
    .map((file) => file.replace(/\.bin$/, ''))
}

function bytesOf(fixture: string): Buffer {
  return readFileSync(join(FORMAT_FOLDER, `${fixture}.bin`))
}

for (const sample of FORMAT_SAMPLES) {
  const { name, version, write, read, withVersion, refusal } = sample
  describe(`the format ${name}`, () => {
    it('is written as its version says', () => {
      const fixture = `${name}-${String(version)}`
      assert.deepEqual(Buffer.from(write()), bytesOf(fixture), CHANGED)
    })

    it('is read as it was, of every version', () => {
      const fixtures = fixturesOf(name)
      assert.ok(fixtures.length > 0)
      for (const fixture of fixtures) {
        const expected = readFileSync(join(FORMAT_FOLDER, `${fixture}.read.json`), 'utf8')
        assert.equal(readText(read(bytesOf(fixture))), expected, fixture)
      }
    })

    it('is refused with a reason where a newer version wrote it, or read as far as it is known', () => {
      if (withVersion === undefined) {
        // a member that is not known is left out: a newer build may say more
        const text = bytesOf(`${name}-${String(version)}`).toString('utf8')
        const more = Buffer.from(text.replace(/^\{/, '{"news":[{"a":1}],'))
        assert.equal(readText(read(more)), readText(read(Buffer.from(text))))
        return
      }
      const newer = withVersion(Buffer.from(write()), version + 1)
      assert.throws(
        () => read(newer),
        (error: unknown) =>
          error instanceof AppError &&
          error.code === refusal.code &&
          refusal.message.test(`${error.message} ${JSON.stringify(error.details)}`),
      )
    })
  })
}
