/** Settings of TLS on the ports that telemetry comes to, and on the admin ports. */
import { boolean, choice, text } from './setting.ts'
import type { ConfigOf, Relation } from './setting-table.ts'

const FILE = 'path of a PEM file'

export const tlsSettings = {
  tlsCertFile: text({
    default: undefined,
    bounds: FILE,
    sentence: 'Certificate of this server and those up to its authority; without it: plain text.',
  }),
  tlsKeyFile: text({
    default: undefined,
    bounds: FILE,
    sentence:
      'Private key of --tls-cert-file. Changed files are taken within 5s, broken ones are not.',
  }),
  tlsMinVersion: choice(['TLSv1.2', 'TLSv1.3'], {
    default: 'TLSv1.2',
    sentence: 'Oldest version of TLS that a client may speak.',
  }),
  tlsClientCaFile: text({
    default: undefined,
    bounds: FILE,
    sentence: 'Authorities of client certificates (mutual TLS); without it none are asked for.',
  }),
  tlsClientAuth: choice(['required', 'optional'], {
    default: 'required',
    sentence: 'Whether a client may come without a certificate; a wrong one is always refused.',
  }),
  tlsClientTenant: choice(['none', 'cn', 'uri'], {
    default: 'none',
    sentence: 'Where a client certificate names its tenant, who needs no API key then.',
  }),
  tlsClientUriPrefix: text({
    default: 'tributary://tenant/',
    sentence:
      'uri: what stands before the tenant in the URI of a certificate, as in spiffe://domain/tenant/.',
  }),
  adminTls: boolean({
    default: false,
    sentence:
      'TLS on the admin ports too, with the same certificate; clients are not asked for theirs.',
  }),
}
export type TlsConfig = ConfigOf<typeof tlsSettings>

export const TLS_RELATIONS: readonly Relation<typeof tlsSettings>[] = [
  (config) =>
    (config.tlsCertFile === undefined) === (config.tlsKeyFile === undefined)
      ? undefined
      : '--tls-cert-file and --tls-key-file go together',
  (config) =>
    config.tlsClientCaFile !== undefined && config.tlsCertFile === undefined
      ? '--tls-client-ca-file needs --tls-cert-file'
      : undefined,
  (config) =>
    config.tlsClientTenant !== 'none' && config.tlsClientCaFile === undefined
      ? '--tls-client-tenant needs --tls-client-ca-file: anyone can make a certificate'
      : undefined,
  (config) =>
    config.adminTls && config.tlsCertFile === undefined
      ? '--admin-tls needs --tls-cert-file'
      : undefined,
]
