/** The alerts of deploy/monitoring/rules.yaml, and the tests of them that promtool runs. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { parse } from 'yaml'

export const MONITORING_FOLDER = fileURLToPath(
  new URL('../../../../deploy/monitoring', import.meta.url),
)
export const RULES_FILE = `${MONITORING_FOLDER}/rules.yaml`
export const RUNBOOK_BASE = 'https://github.com/tributary/tributary/blob/main/docs/runbooks/'

export interface AlertRule {
  readonly alert: string
  readonly expr: string
  /** How long it must hold; undefined: it fires at once. */
  readonly for?: string
  readonly labels: { readonly severity: 'info' | 'warning' | 'critical' }
  readonly annotations: {
    readonly summary: string
    readonly description: string
    readonly runbook_url: string
  }
}

export interface RuleGroup {
  readonly name: string
  readonly rules: readonly AlertRule[]
}

interface RuleTest {
  readonly series: Readonly<Record<string, string>>
  /** Or more times, where there is more than one way to it. */
  readonly fires: string | readonly string[]
  readonly clears: string
  readonly alone?: boolean
  readonly also?: readonly string[]
}

export function ruleGroups(): readonly RuleGroup[] {
  return (parse(readFileSync(RULES_FILE, 'utf8')) as { groups: RuleGroup[] }).groups
}

export function alertRules(): AlertRule[] {
  return ruleGroups().flatMap(({ rules }) => rules)
}

/** How rules are made quick for a run that has minutes, not hours. */
export interface Shortening {
  /** In place of every `for`. */
  readonly holdSeconds: number
  /** In place of every window of some minutes. */
  readonly windowSeconds: number
  /** Alert -> what stands in its expression in place of what. */
  readonly replaced?: Readonly<Record<string, readonly (readonly [what: string, by: string])[]>>
}

export function shortenedGroups({
  holdSeconds,
  windowSeconds,
  replaced = {},
}: Shortening): RuleGroup[] {
  const shorten = (rule: AlertRule): AlertRule => {
    let expr = rule.expr
    for (const [what, by] of replaced[rule.alert] ?? []) {
      if (!expr.includes(what)) throw new Error(`${rule.alert} has no ${what}`)
      expr = expr.replaceAll(what, by)
    }
    return {
      ...rule,
      ...(rule.for === undefined ? {} : { for: `${String(holdSeconds)}s` }),
      expr: expr.replaceAll(/(\[|offset )\d+m/g, `$1${String(windowSeconds)}s`),
    }
  }
  return ruleGroups().map(({ name, rules }) => ({ name, rules: rules.map(shorten) }))
}

export function ruleTests(): Readonly<Record<string, RuleTest>> {
  const text = readFileSync(`${MONITORING_FOLDER}/rule-tests.yaml`, 'utf8')
  return parse(text) as Record<string, RuleTest>
}

const TARGET = 'instance="a:1",job="tributary",namespace="telemetry",tributary="tributary"'
const OTHER_TARGET = 'instance="b:1",job="tributary",namespace="telemetry",tributary="tributary"'
const HEALTHY = { series: `tributary_ready{role="router",${OTHER_TARGET}}`, values: '1x1000' }
const FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'

/** What `promtool test rules` takes: nothing fires before, the alert once, and nothing after. */
export function promtoolTests(rulesFile: string): object {
  return {
    rule_files: [rulesFile],
    evaluation_interval: '1m',
    tests: Object.entries(ruleTests()).map(([alert, test]) => {
      const { series, fires, clears, alone = false, also = [] } = test
      const firing = [alert, ...also].map((name) => ({
        labels: `{alertname="${name}"}`,
        value: 1,
      }))
      return {
        name: alert,
        interval: '1m',
        input_series: [
          ...Object.entries(series).map(([name, values]) => ({ series: targeted(name), values })),
          ...(alone ? [] : [HEALTHY]),
        ],
        promql_expr_test: [
          { expr: FIRING, eval_time: '8m', exp_samples: [] },
          ...[fires].flat().map((time) => ({
            ...{ expr: FIRING, eval_time: time, exp_samples: firing },
          })),
          { expr: FIRING, eval_time: clears, exp_samples: [] },
        ],
      }
    }),
  }
}

/** A series with the labels of a target: `up` or `name{label="value"}`. */
function targeted(series: string): string {
  return series.endsWith('}') ? `${series.slice(0, -1)},${TARGET}}` : `${series}{${TARGET}}`
}
