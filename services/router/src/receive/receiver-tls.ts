/**
 * TLS of a receiver: the current certificate in its server, handshakes within bounds of count and
 * time, and the tenant that a client certificate names. Connections keep the certificate that they
 * began with; `connectionAgeMs` brings them to the next one.
 */
import type { Socket } from 'node:net'
import type { Server, TLSSocket, TlsOptions } from 'node:tls'

import type { TlsConfig } from '@tributary/common/config/tls-settings'
import { AppError } from '@tributary/common/errors'
import { isTenantName } from '@tributary/common/paths'
import type { ServerCertificate } from '@tributary/common/server-certificate'

/** Where a client certificate names its tenant. */
export type CertificateTenant =
  | { readonly kind: 'none' }
  /** Its common name is the tenant. */
  | { readonly kind: 'cn' }
  /** One of its URIs (subject alternative names) is the prefix and the tenant. */
  | { readonly kind: 'uri'; readonly prefix: string }

export interface ReceiverTls {
  readonly certificate: ServerCertificate
  /** Refuses clients without a certificate; else they come in, and a wrong certificate does not. */
  readonly isClientRequired: boolean
  readonly tenant: CertificateTenant
}

/** TLS as the settings say; undefined without a certificate. */
export function receiverTls(
  certificate: ServerCertificate | undefined,
  config: Pick<TlsConfig, 'tlsClientAuth' | 'tlsClientTenant' | 'tlsClientUriPrefix'>,
): ReceiverTls | undefined {
  if (certificate === undefined) return undefined
  const { tlsClientAuth, tlsClientTenant, tlsClientUriPrefix } = config
  return {
    certificate,
    isClientRequired: tlsClientAuth === 'required',
    tenant:
      tlsClientTenant === 'uri'
        ? { kind: 'uri', prefix: tlsClientUriPrefix }
        : { kind: tlsClientTenant },
  }
}

/** Connections that may shake hands beside those that are open. */
const HANDSHAKES_MAX = 1024

export function tlsServerOptions(tls: ReceiverTls, handshakeMs: number): TlsOptions {
  const asksClients = tls.certificate.hasClientAuthority
  return {
    ...tls.certificate.context,
    handshakeTimeout: handshakeMs,
    requestCert: asksClients,
    // also where no certificate is needed: a wrong one never comes in, see isWelcome
    rejectUnauthorized: asksClients && tls.isClientRequired,
  }
}

/** The sockets below a TLS server, handshakes included. */
export class TlsSockets {
  readonly #sockets = new Set<Socket>()
  readonly #unwatch: () => void

  constructor(server: Server, tls: ReceiverTls, connectionsMax: number) {
    server.maxConnections = connectionsMax + HANDSHAKES_MAX
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    this.#unwatch = tls.certificate.onChange((context) => {
      server.setSecureContext(context)
    })
  }

  /** Ends all of them, also those that have not shaken hands. */
  destroy(): void {
    this.#unwatch()
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** False for a client whose certificate is there and not from our authority. */
export function isWelcome(socket: TLSSocket, tls: ReceiverTls): boolean {
  if (!tls.certificate.hasClientAuthority || socket.authorized) return true
  return !tls.isClientRequired && socket.getPeerX509Certificate() === undefined
}

/** The tenant that the client of a connection is by its certificate: read once, whatever it is. */
export class PeerTenant {
  readonly #socket: TLSSocket
  readonly #tls: ReceiverTls
  #outcome: { readonly tenant: string | undefined } | AppError | undefined

  constructor(socket: TLSSocket, tls: ReceiverTls) {
    this.#socket = socket
    this.#tls = tls
  }

  /**
   * Undefined where none is asked for, or no certificate was shown.
   * @throws AppError permission_denied for a certificate that does not name one tenant
   */
  get(): string | undefined {
    this.#outcome ??= this.#read()
    if (this.#outcome instanceof AppError) throw this.#outcome
    return this.#outcome.tenant
  }

  #read(): { readonly tenant: string | undefined } | AppError {
    const { tenant } = this.#tls
    if (tenant.kind === 'none') return { tenant: undefined }
    const certificate = this.#socket.getPeerX509Certificate()
    if (certificate === undefined) return { tenant: undefined }
    const names =
      tenant.kind === 'cn'
        ? commonNamesOf(certificate.subject)
        : urisOf(certificate.subjectAltName ?? '', tenant.prefix)
    const [name, ...others] = names
    if (name !== undefined && others.length === 0 && isTenantName(name)) return { tenant: name }
    return new AppError('permission_denied', 'client certificate does not name one tenant')
  }
}

/** Node writes a subject as lines of `CN=...`, with control characters escaped. */
function commonNamesOf(subject: string): string[] {
  return subject.split('\n').flatMap((line) => (line.startsWith('CN=') ? [line.slice(3)] : []))
}

/** Node writes names as `URI:...`, and escapes a comma within one: no name can hide in another. */
function urisOf(names: string, prefix: string): string[] {
  const start = `URI:${prefix}`
  return names
    .split(', ')
    .flatMap((name) => (name.startsWith(start) ? [name.slice(start.length)] : []))
}
