/** skaffold.yaml is what its published schema allows, and what it and Argo CD give the chart are values of it. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

import Ajv from 'ajv'
import { parse } from 'yaml'

const ROOT = new URL('../../../', import.meta.url)

interface Skaffold {
  readonly apiVersion: string
  readonly build: {
    readonly artifacts: readonly { readonly docker: { readonly dockerfile: string } }[]
  }
  readonly deploy: { readonly helm: { readonly releases: readonly Release[] } }
}

interface Release {
  readonly chartPath: string
  readonly valuesFiles: readonly string[]
  readonly setValueTemplates: Readonly<Record<string, string>>
  readonly setValues: Readonly<Record<string, string>>
}

interface Application {
  readonly spec: {
    readonly source: { readonly path: string; readonly helm: { readonly valuesObject: object } }
  }
}

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8')
}

/** @returns what is wrong */
function problemsOf(schemaPath: string, value: unknown): string {
  const ajv = new Ajv({ allErrors: true, unknownFormats: 'ignore' })
  ajv.validate(JSON.parse(read(schemaPath)) as object, value)
  return ajv.errorsText()
}

const SKAFFOLD_SCHEMA = 'services/e2e/fixtures/skaffold-v4beta13.schema.json'
const CHART_SCHEMA = 'charts/tributary/values.schema.json'

void describe('skaffold.yaml', () => {
  const skaffold = parse(read('skaffold.yaml')) as Skaffold
  const [release] = skaffold.deploy.helm.releases

  void it('is as its schema wants it', () => {
    assert.equal(skaffold.apiVersion, 'skaffold/v4beta13')
    assert.equal(problemsOf(SKAFFOLD_SCHEMA, skaffold), 'No errors')
    assert.notEqual(problemsOf(SKAFFOLD_SCHEMA, { ...skaffold, buidl: {} }), 'No errors')
  })

  void it('names files that are there', () => {
    const files = skaffold.build.artifacts.map(({ docker }) => docker.dockerfile)
    for (const path of [...files, release!.chartPath, ...release!.valuesFiles]) {
      assert.ok(existsSync(new URL(path, ROOT)), path)
    }
  })

  void it('sets values that the chart has', () => {
    const defaults = parse(read('charts/tributary/values.yaml')) as Record<string, object>
    for (const path of Object.keys({ ...release!.setValueTemplates, ...release!.setValues })) {
      const [group, name] = path.split('.')
      assert.ok(name! in (defaults[group!] ?? {}), path)
    }
  })
})

void describe('the application of Argo CD', () => {
  void it('gives the chart values that it takes', () => {
    const { source } = (parse(read('deploy/argocd/application.yaml')) as Application).spec
    assert.ok(existsSync(new URL(`${source.path}/Chart.yaml`, ROOT)))
    assert.equal(problemsOf(CHART_SCHEMA, source.helm.valuesObject), 'No errors')
    assert.notEqual(problemsOf(CHART_SCHEMA, { kafka: { broker: '' } }), 'No errors')
  })
})
