/** The text of docs/metrics.md, from an inventory. */
import type { Metric } from './metric-inventory.ts'

const INTRODUCTION = `# Metrics

Made by \`npm run docs:metrics\` from what real processes register; a test compares them.

Every role serves \`/metrics\` on \`--admin-port\` (9464) in the text format of Prometheus. Labels are bounded: by
tenant the first 100 of a process have series of their own and others share \`tenant="(others)"\`; by partition the
first 256. A histogram has \`_bucket\`, \`_sum\` and \`_count\`.

`

const SECTIONS: readonly (readonly [prefix: string, title: string])[] = [
  ['tributary_receive_', 'Receiving'],
  ['tributary_router_', 'Router'],
  ['tributary_ingester_', 'Ingester'],
  ['tributary_controller_', 'Controller'],
  ['tributary_index_', 'File index'],
  ['tributary_store_', 'Object store'],
  ['tributary_credentials_', 'API keys'],
  ['tributary_tenants', 'Tenants'],
  ['tributary_', 'Process'],
]

export function metricsPage(metrics: readonly Metric[]): string {
  const own = metrics.filter(({ name }) => name.startsWith('tributary_'))
  const foreign = metrics.filter(({ name }) => !name.startsWith('tributary_'))
  const sectionOf = ({ name }: Metric): string =>
    SECTIONS.find(([prefix]) => name.startsWith(prefix))?.[1] ?? ''
  const parts = SECTIONS.map(([, title]) => {
    const rows = own.filter((metric) => sectionOf(metric) === title).map(row)
    return `## ${title}\n\n${HEAD}${rows.join('')}\n`
  })
  const names = foreign.map(({ name }) => `\`${name}\``).join(', ')
  return `${INTRODUCTION}${parts.join('')}## Node and the operating system\n\nOf prom-client, in every role: ${names}.\n\nThose of \`nodejs_eventloop_lag\` contain the 50 ms of their period; alert on \`tributary_event_loop\`.\n`
}

const HEAD = '| metric | type | labels | roles | meaning |\n|---|---|---|---|---|\n'

function row({ name, type, labelNames, roles, help }: Metric): string {
  const labels = labelNames.map((label) => `\`${label}\``).join(', ')
  const text = help.replaceAll('|', '\\|')
  return `| \`${name}\` | ${type} | ${labels} | ${roles.join(', ')} | ${text} |\n`
}
