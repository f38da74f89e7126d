/** Alerts, dashboards, runbooks and the inventory of metrics belong together, and promtool agrees. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import {
  alertRules,
  promtoolTests,
  RULES_FILE,
  ruleTests,
  RUNBOOK_BASE,
} from '../src/monitoring/alert-rules.ts'
import { ALERT_SCENES } from '../src/monitoring/alert-scenes.ts'
import { chartFiles } from '../src/monitoring/chart-files.ts'
import { CONTROLLER_SCENES } from '../src/monitoring/controller-scenes.ts'
import { dashboardFiles, panelQueries } from '../src/monitoring/dashboards.ts'
import { firedRows } from '../src/monitoring/fired-alerts.ts'
import { LOAD_SCENES } from '../src/monitoring/load-scenes.ts'
import { promtool } from '../src/monitoring/prometheus-server.ts'
import { STANDALONE_SCENES } from '../src/monitoring/standalone-scenes.ts'

const DOCUMENTS = new URL('../../../docs/', import.meta.url)
const rules = alertRules()

interface Listed {
  readonly type: string
  readonly labels: ReadonlySet<string>
  readonly meaning: string
}

/** Of docs/metrics.md, which metrics.int.test.ts holds against running roles. */
function listedMetrics(): Map<string, Listed> {
  const page = readFileSync(new URL('metrics.md', DOCUMENTS), 'utf8')
  const own = page.matchAll(/^\| `(\w+)` \| (\w+) \| (.*?) \| .*? \| (.*) \|$/gm)
  const listed = [...own].map(([, name, type, labels, meaning]) => {
    const names = [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!)
    return [name!, { type: type!, labels: new Set(names), meaning: meaning! }] as const
  })
  const foreign = page.slice(page.indexOf('Of prom-client')).matchAll(/`(\w+)`/g)
  const others = [...foreign].map(
    ([, name]) => [name!, { type: '', labels: new Set<string>(), meaning: '' }] as const,
  )
  return new Map([...listed, ...others])
}

const metrics = listedMetrics()
const TARGET_LABELS = ['namespace', 'tributary', 'instance', 'job']

function problemsOf(where: string, expr: string): string[] {
  const used = expr.matchAll(/\b((?:tributary|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)
  return [...used].flatMap(([, name, selection = '']) => {
    const base = name!.replace(/_(bucket|sum|count)$/, '')
    const metric = metrics.get(metrics.has(name!) ? name! : base)
    if (metric === undefined) return [`${where}: nothing registers ${name!}`]
    if (metric.type === 'histogram' && base === name) return [`${where}: ${base} is a histogram`]
    const labels = [...selection.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label]) => label!)
    return labels
      .filter((label) => !metric.labels.has(label) && !TARGET_LABELS.includes(label))
      .filter((label) => !(label === 'le' && metric.type === 'histogram'))
      .map((label) => `${where}: ${name!} has no label ${label}`)
  })
}

void describe('alerts', () => {
  void it('use metrics and labels that exist', () => {
    assert.ok(metrics.size > 80)
    assert.deepEqual(
      rules.flatMap(({ alert, expr }) => problemsOf(alert, expr)),
      [],
    )
    assert.notDeepEqual(problemsOf('no', 'rate(tributary_nothing_total[5m])'), [])
    assert.notDeepEqual(problemsOf('no', 'tributary_ready{rolle="router"}'), [])
  })

  void it('watch everything that must stay 0', () => {
    const watched = rules.map(({ expr }) => expr).join('\n')
    const silent = [...metrics]
      .filter(([, { meaning }]) => /must (stay|be) 0/.test(meaning))
      .map(([name]) => name)
      .filter((name) => !watched.includes(name))
    assert.deepEqual(silent, [])
  })

  void it('have a page each that says how it works, what to look at, what to do', () => {
    const pages = readdirSync(new URL('runbooks/', DOCUMENTS)).map((name) => name.slice(0, -3))
    assert.deepEqual(pages.toSorted(), rules.map(({ alert }) => alert).toSorted())
    for (const { alert, annotations } of rules) {
      assert.equal(annotations.runbook_url, `${RUNBOOK_BASE}${alert}.md`)
      const text = readFileSync(new URL(`runbooks/${alert}.md`, DOCUMENTS), 'utf8')
      const parts = text.split(/^#+ (.*)$/m).map((part) => part.trim())
      const titles = parts.filter((_, index) => index % 2 === 1)
      assert.deepEqual(titles, [alert, 'How it works', 'Quick checks', 'Fix'])
      for (const part of [4, 6, 8])
        assert.ok(parts[part]!.length > 20, `${alert}: ${titles[part / 2 - 1]!}`)
      for (const expr of text.matchAll(/`([^`]*tributary_[^`]*)`/g)) {
        // a page may speak of a histogram as a whole
        const problems = problemsOf(alert, expr[1]!).filter((text) => !text.endsWith('histogram'))
        assert.deepEqual(problems, [])
      }
    }
  })

  void it('fired and cleared once each, by a fault that there is a scene for: npm run alerts', () => {
    const page = readFileSync(new URL('monitoring.md', DOCUMENTS), 'utf8')
    const rows = [...firedRows(page).values()]
    assert.deepEqual(
      rows.map(({ alert }) => `Tributary${alert}`),
      rules.map(({ alert }) => alert),
    )
    const scenes = [CONTROLLER_SCENES, LOAD_SCENES, ALERT_SCENES, STANDALONE_SCENES].flat()
    const strange = rows.filter(
      ({ alert, fault }) =>
        !scenes.some((scene) => scene.fault === fault && scene.alerts.includes(alert)),
    )
    assert.deepEqual(strange, [])
  })

  void it('are rules that Prometheus takes', () => {
    assert.match(promtool('check', 'rules', RULES_FILE), /SUCCESS: \d+ rules found/)
  })

  void it('fire once by the series that they are for, nothing else does, and they clear', (t) => {
    assert.deepEqual(
      Object.keys(ruleTests()).toSorted(),
      rules.map(({ alert }) => alert).toSorted(),
    )
    const folder = mkdtempSync(join(tmpdir(), 'tributary-rules-'))
    t.after(() => {
      rmSync(folder, { recursive: true })
    })
    const file = join(folder, 'tests.yaml')
    writeFileSync(file, JSON.stringify(promtoolTests(RULES_FILE)))
    assert.match(promtool('test', 'rules', file), /SUCCESS/)
  })
})

interface Panel {
  readonly id: number
  readonly type: string
  readonly gridPos: {
    readonly x: number
    readonly y: number
    readonly w: number
    readonly h: number
  }
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[]
}

void describe('dashboards', () => {
  void it('ask for metrics and labels that exist', () => {
    const queries = panelQueries('1m')
    assert.ok(queries.length > 60)
    assert.deepEqual(
      queries.flatMap(({ panel, expr }) => problemsOf(panel, expr)),
      [],
    )
  })

  void it('have panels that do not overlap, each with an id of its own', () => {
    for (const [name, text] of dashboardFiles()) {
      const { panels } = JSON.parse(text) as { readonly panels: readonly Panel[] }
      assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length, name)
      const cells = new Set<string>()
      for (const { gridPos, targets = [] } of panels) {
        assert.ok(gridPos.x + gridPos.w <= 24, name)
        assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length)
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            assert.ok(!cells.has(`${x} ${y}`), `${name}: two panels at ${x}, ${y}`)
            cells.add(`${x} ${y}`)
          }
        }
      }
    }
  })

  void it('and alerts are in the chart as they are here: npm run docs', () => {
    for (const [path, text] of chartFiles()) assert.equal(readFileSync(path, 'utf8'), text, path)
  })
})
