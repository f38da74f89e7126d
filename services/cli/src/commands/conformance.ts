import { processEnvironment } from '@tributary/common/config/config'
import { boolean, text } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { formatReport } from '../conformance/conformance-report.ts'
import { runConformance } from '../conformance/run-conformance.ts'
import { checkEndpoint, endpointSettings, tlsOf } from '../otlp-endpoint.ts'
import type { Terminal } from '../terminal.ts'

const conformanceSettings = {
  only: text({ default: undefined, sentence: 'Only the cases whose name contains this.' }),
  flood: boolean({
    default: false,
    sentence: 'Send up to 1GiB, until a rate of the tenant is met, and check that answer too.',
  }),
  json: boolean({ default: false, sentence: 'Write the report as JSON.' }),
}

const settings = { ...endpointSettings, ...conformanceSettings }

export const conformanceCommand: Command = {
  synopsis: '--grpc HOST:PORT --http URL [flags]',
  description:
    'Sends what the OTLP specification speaks of, right and wrong, odd encodings and compressions, to\n' +
    'an endpoint and checks every answer against the status contract. It stores some test items\n' +
    'there. Exit status 1 when an answer breaks the contract.',
  sections: [
    { title: 'Endpoint', table: endpointSettings },
    { title: 'Conformance', table: conformanceSettings },
  ],
  run: runConformanceCommand,
}

async function runConformanceCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(settings, { args, environment: processEnvironment() })
  checkEndpoint(config)
  const report = await runConformance({
    ...(config.grpc === undefined ? {} : { grpc: config.grpc }),
    ...(config.http === undefined ? {} : { http: config.http.replace(/\/+$/, '') }),
    ...(config.apiKey === undefined ? {} : { apiKey: config.apiKey }),
    ...(await tlsOf(config)),
    isFlooding: config.flood,
    ...(config.only === undefined ? {} : { only: config.only }),
  })
  if (config.json) terminal.out.write(`${JSON.stringify(report, null, 2)}\n`)
  else terminal.out.write(formatReport(report))
  return report.failed === 0 ? ExitStatus.ok : ExitStatus.failed
}
