import { CONTROLLER_SECTIONS } from './controller-settings.ts'
import { INGESTER_SECTIONS } from './ingester-settings.ts'
import { ROUTER_SECTIONS } from './router-settings.ts'
import { membersMarkdown, settingsMarkdown } from './setting-report.ts'
import { STANDALONE_SECTIONS } from './settings.ts'
import { tenantPolicySettings } from './tenant-settings.ts'

const INTRODUCTION = `# Configuration

Made from the tables in \`services/common/src/config/*settings.ts\` by
\`node services/e2e/tools/configuration-docs.ts\`; a test compares them.

Every setting is a flag of the roles that have it and an environment variable: \`tributary standalone\`
has the sections up to the object store; \`tributary router\` has process (without \`--data-dir\`), tracing,
receiving, TLS, credentials, cluster, routing, Kafka and Redis; \`tributary ingester\` has process, \`--traces-endpoint\`, TLS (of
the admin ports), flushing, object store, cluster, Kafka, Redis, and those from [Ownership](#ownership) to [Local copy of the log](#local-copy-of-the-log);
\`tributary controller\` has process (without \`--data-dir\`), TLS (of the admin ports), \`--member-name\`, Redis up to \`--redis-timeout\`, and those from [Kubernetes](#kubernetes) on. A flag beats a variable, a variable beats the default. All problems are reported at once, and the process does not
start with any. Sizes take \`KiB\`, \`MiB\`, \`GiB\` (powers of 1024) and \`kB\`, \`MB\`, \`GB\` (powers of
1000); durations take \`ms\`, \`s\`, \`m\`, \`h\`, \`d\`. The tools (\`query\`, \`verify\`, \`replay\`) take the
settings of the object store and \`--data-dir\` alike. Credentials of S3 come from where the AWS SDK
looks for them (\`AWS_ACCESS_KEY_ID\`, \`AWS_SECRET_ACCESS_KEY\`, profiles, roles).

`

const TENANTS = `
The document of \`--tenant-settings\` holds a policy for all tenants and changes for some. It is taken as a whole
or not at all; what is written as on a command line may be a JSON number or boolean too. With
\`"unknownTenants": "refuse"\` only the tenants that it names may write.

    {
      "format": 1,
      "unknownTenants": "allow",
      "default": { "bytesPerSecond": "10MiB" },
      "tenants": { "shop": { "bytesPerSecond": "50MiB", "itemAgeMax": "7d" } }
    }

\`tributary tenants check FILE\` tells what is wrong with one; \`tenants set FILE\` puts it into Redis.
`

/** The text of docs/configuration.md. */
export function configurationPage(): string {
  const known = new Set(STANDALONE_SECTIONS.map(({ title }) => title))
  const ofRouter = ROUTER_SECTIONS.filter(({ title }) => !known.has(title))
  for (const { title } of ofRouter) known.add(title)
  const ofIngester = INGESTER_SECTIONS.filter(({ title }) => !known.has(title))
  for (const { title } of ofIngester) known.add(title)
  const ofController = CONTROLLER_SECTIONS.filter(({ title }) => !known.has(title))
  const members = { title: 'Settings of a tenant', table: tenantPolicySettings }
  const settings = settingsMarkdown([
    ...STANDALONE_SECTIONS,
    ...ofRouter,
    ...ofIngester,
    ...ofController,
  ])
  return `${INTRODUCTION}${settings}\n${membersMarkdown(members)}${TENANTS}`
}
