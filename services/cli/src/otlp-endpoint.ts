/** How a command is told which OTLP endpoint to talk to, and how to open it. */
import { readFile } from 'node:fs/promises'
import type { SecureContextOptions } from 'node:tls'

import { boolean, text, url } from '@tributary/common/config/setting'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'

export const endpointSettings = {
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
}

export type EndpointConfig = ConfigOf<typeof endpointSettings>

/** @throws AppError invalid_config where no address is given */
export function checkEndpoint({ grpc, http }: EndpointConfig): void {
  if (grpc !== undefined || http !== undefined) return
  throw new AppError('invalid_config', 'no endpoint', {
    details: { problems: ['give --grpc HOST:PORT, --http URL, or both'] },
  })
}

export async function tlsOf(
  config: EndpointConfig,
): Promise<{ readonly tls?: SecureContextOptions }> {
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
