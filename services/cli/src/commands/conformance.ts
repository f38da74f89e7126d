import { readFile } from 'node:fs/promises'
import type { SecureContextOptions } from 'node:tls'

import { processEnvironment } from '@tributary/common/config/config'
import { boolean, text, url } from '@tributary/common/config/setting'
import { parseSettings, type ConfigOf } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { formatReport } from '../conformance/conformance-report.ts'
import { runConformance } from '../conformance/run-conformance.ts'
import type { Terminal } from '../terminal.ts'

const settings = {
  grpc: text({
    default: undefined,
    pattern: /^(\[[0-9a-f:.]+\]|[^\s:/]+):\d{1,5}$/i,
    bounds: 'HOST:PORT',
    sentence: 'The OTLP/gRPC endpoint.',
  }),
  http: url({
    default: undefined,
    schemes: ['http', 'https'],
    sentence: 'The OTLP/HTTP endpoint, without /v1/...',
  }),
  apiKey: text({
    default: undefined,
    sentence:
      'API key of one tenant, sent with every call; calls without it and with another are checked.',
  }),
  tls: boolean({
    default: false,
    sentence: 'Both transports go over TLS: the URL of --http begins with https://.',
  }),
  caFile: text({
    default: undefined,
    bounds: 'path of a PEM file',
    sentence: 'Authorities to trust; default: those of Node.',
  }),
  clientCertFile: text({
    default: undefined,
    bounds: 'path of a PEM file',
    sentence: 'Client certificate to show; needs --client-key-file.',
  }),
  clientKeyFile: text({
    default: undefined,
    bounds: 'path of a PEM file',
    sentence: 'The key of that certificate.',
  }),
  only: text({ default: undefined, sentence: 'Only the cases whose name contains this.' }),
  json: boolean({ default: false, sentence: 'Write the report as JSON.' }),
}

export const conformanceCommand: Command = {
  synopsis: '--grpc HOST:PORT --http URL [flags]',
  description:
    'Sends what the OTLP specification speaks of, right and wrong, odd encodings and compressions, to\n' +
    'an endpoint and checks every answer against the status contract. It stores some test items\n' +
    'there. Exit status 1 when an answer breaks the contract.',
  sections: [{ title: 'Conformance', table: settings }],
  run: runConformanceCommand,
}

type ConformanceConfig = ConfigOf<typeof settings>

async function tlsOf(config: ConformanceConfig): Promise<{ readonly tls?: SecureContextOptions }> {
  const { tls, caFile, clientCertFile, clientKeyFile } = config
  if (!tls) return {}
  return {
    tls: {
      ...(caFile === undefined ? {} : { ca: await readFile(caFile) }),
      ...(clientCertFile === undefined ? {} : { cert: await readFile(clientCertFile) }),
      ...(clientKeyFile === undefined ? {} : { key: await readFile(clientKeyFile) }),
    },
  }
}

async function runConformanceCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(settings, { args, environment: processEnvironment() })
  if (config.grpc === undefined && config.http === undefined) {
    throw new AppError('invalid_config', 'no endpoint', {
      details: { problems: ['give --grpc HOST:PORT, --http URL, or both'] },
    })
  }
  const report = await runConformance({
    ...(config.grpc === undefined ? {} : { grpc: config.grpc }),
    ...(config.http === undefined ? {} : { http: config.http.replace(/\/+$/, '') }),
    ...(config.apiKey === undefined ? {} : { apiKey: config.apiKey }),
    ...(await tlsOf(config)),
    ...(config.only === undefined ? {} : { only: config.only }),
  })
  if (config.json) terminal.out.write(`${JSON.stringify(report, null, 2)}\n`)
  else terminal.out.write(formatReport(report))
  return report.failed === 0 ? ExitStatus.ok : ExitStatus.failed
}
