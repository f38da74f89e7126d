import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { CHART_FOLDER, chartPage, readChartValues } from '@tributary/e2e/kubernetes/chart-values'

interface Schema {
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, Schema>>
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: unknown
}

const schema = JSON.parse(readFileSync(`${CHART_FOLDER}/values.schema.json`, 'utf8')) as Schema

/** Paths that a schema names, and whether it refuses others beside them. */
function* pathsOf({ properties, additionalProperties }: Schema, prefix = ''): Generator<string> {
  assert.equal(additionalProperties, false, `${prefix} takes what nobody reads`)
  for (const [key, property] of Object.entries(properties ?? {})) {
    if (property.properties === undefined) yield `${prefix}${key}`
    else yield* pathsOf(property, `${prefix}${key}.`)
  }
}

test('every value says what it is', () => {
  const silent = readChartValues().filter(({ description }) => description === '')
  assert.deepEqual(
    silent.map(({ path }) => path),
    [],
  )
})

test('the schema knows each value and no other', () => {
  const values = readChartValues().map(({ path }) => path)
  // helm gives global to every chart
  const known = [...pathsOf(schema)].filter((path) => path !== 'global')
  assert.deepEqual(known.toSorted(), values.toSorted())
})

test('README of the chart is that of these values: npm run docs', () => {
  assert.equal(readFileSync(`${CHART_FOLDER}/README.md`, 'utf8'), chartPage())
})
