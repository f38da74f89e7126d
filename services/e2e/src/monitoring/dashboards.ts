/** Grafana dashboards, made from deploy/monitoring/dashboards.yaml. */
import { readFileSync } from 'node:fs'

import { parse } from 'yaml'

import { MONITORING_FOLDER } from './alert-rules.ts'

interface PanelSource {
  readonly title: string
  /** Of Grafana; default: a plain number. */
  readonly unit?: string
  readonly kind?: 'timeseries' | 'stat'
  /** By legend. */
  readonly queries: Readonly<Record<string, string>>
}

interface DashboardSource {
  readonly uid: string
  readonly title: string
  readonly rows: readonly { readonly title: string; readonly panels: readonly PanelSource[] }[]
}

/** A panel's query as Prometheus takes it, for all clusters. */
export interface PanelQuery {
  readonly dashboard: string
  readonly panel: string
  readonly legend: string
  readonly expr: string
}

const SELECTION = 'namespace=~"$namespace",tributary=~"$tributary"'
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' }
/** Grafana's grid has 24 columns: four panels a line. */
const PANEL_WIDTH = 6
const PANEL_HEIGHT = 7
const GRID_WIDTH = 24
const SCHEMA_VERSION = 39

function sources(): readonly DashboardSource[] {
  return parse(readFileSync(`${MONITORING_FOLDER}/dashboards.yaml`, 'utf8')) as DashboardSource[]
}

/** File name -> JSON. */
export function dashboardFiles(): ReadonlyMap<string, string> {
  const files = sources().map(
    (source) =>
      [`${source.uid}.json`, `${JSON.stringify(dashboardOf(source), undefined, 2)}\n`] as const,
  )
  return new Map(files)
}

/** @param window of rates, as Prometheus writes it: 1m */
export function panelQueries(window: string): PanelQuery[] {
  return sources().flatMap(({ title, rows }) =>
    rows
      .flatMap(({ panels }) => panels)
      .flatMap((panel) =>
        Object.entries(panel.queries).map(([legend, expr]) => ({
          dashboard: title,
          panel: panel.title,
          legend,
          expr: grafanaExpression(expr)
            .replaceAll('$__rate_interval', window)
            .replaceAll(/\$(namespace|tributary)/g, '.*'),
        })),
      ),
  )
}

function grafanaExpression(expr: string): string {
  return expr.replaceAll('$sel', SELECTION).replaceAll('$rate', '$__rate_interval')
}

function dashboardOf({ uid, title, rows }: DashboardSource): object {
  const panels: object[] = []
  let y = 0
  for (const row of rows) {
    const gridPos = { h: 1, w: GRID_WIDTH, x: 0, y }
    panels.push({ id: panels.length + 1, type: 'row', title: row.title, gridPos, panels: [] })
    y += 1
    for (const [index, panel] of row.panels.entries()) {
      const x = (index * PANEL_WIDTH) % GRID_WIDTH
      if (index > 0 && x === 0) y += PANEL_HEIGHT
      const place = { h: PANEL_HEIGHT, w: PANEL_WIDTH, x, y }
      panels.push(panelOf(panel, panels.length + 1, place))
    }
    y += PANEL_HEIGHT
  }
  return {
    ...{ uid, title, tags: ['tributary'], schemaVersion: SCHEMA_VERSION, version: 1 },
    ...{ editable: true, graphTooltip: 1, refresh: '30s', time: { from: 'now-3h', to: 'now' } },
    templating: { list: [datasourceVariable(), ...['namespace', 'tributary'].map(labelVariable)] },
    panels,
  }
}

function panelOf(panel: PanelSource, id: number, gridPos: object): object {
  const { title, unit = 'short', kind = 'timeseries', queries } = panel
  const targets = Object.entries(queries).map(([legendFormat, expr], index) => ({
    ...{ refId: String.fromCharCode(65 + index), datasource: DATASOURCE },
    ...{ expr: grafanaExpression(expr), legendFormat },
  }))
  const custom = kind === 'timeseries' ? { custom: { lineWidth: 1, fillOpacity: 10 } } : {}
  return {
    ...{ id, type: kind, title, gridPos, datasource: DATASOURCE },
    fieldConfig: { defaults: { unit, min: 0, ...custom }, overrides: [] },
    options: kind === 'timeseries' ? { tooltip: { mode: 'multi', sort: 'desc' } } : {},
    targets,
  }
}

function datasourceVariable(): object {
  return { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus' }
}

function labelVariable(name: string): object {
  const query = `label_values(tributary_ready, ${name})`
  return {
    ...{ name, type: 'query', datasource: DATASOURCE, query, definition: query },
    ...{ includeAll: true, multi: true, allValue: '.*', refresh: 2, sort: 1 },
    current: { text: 'All', value: '$__all' },
  }
}
