/**
 * The certificate of this server and, for mutual TLS, the authority of its clients: PEM files that
 * are read again and again, because those who renew them (cert-manager, certbot) only replace files.
 * Invariant: what is current once served a handshake's checks: key and certificate belong together,
 * and a new certificate that is broken, or not valid now, never takes the place of one that works.
 * Files are compared by content: a Kubernetes volume swaps them by a symbolic link, half a swap is
 * seen as a pair that does not fit, and the next look sees both.
 */
import { constants, createHash, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'

import type { Clock, Timer } from './clock.ts'
import type { TlsConfig } from './config/tls-settings.ts'
import { AppError } from './errors.ts'
import type { Logger } from './logger.ts'
import { Gauge, type Registry } from './metrics.ts'

interface CertificateFiles {
  /** PEM: the server's certificate, then those between it and its authority. */
  readonly certFile: string
  /** PEM: its private key. */
  readonly keyFile: string
  /** PEM: the authorities that client certificates must come from; undefined: none are asked for. */
  readonly clientCaFile: string | undefined
}

/**
 * The certificate that the settings name, watched; undefined where they name none.
 * @throws AppError invalid_config where the files are missing, broken or do not belong together
 */
export async function openServerCertificate(
  config: Pick<TlsConfig, 'tlsCertFile' | 'tlsKeyFile' | 'tlsClientCaFile' | 'tlsMinVersion'>,
  parts: {
    readonly clock: Clock
    readonly logger: Logger
    readonly registry: Registry
  },
): Promise<ServerCertificate | undefined> {
  const { tlsCertFile, tlsKeyFile, tlsClientCaFile, tlsMinVersion } = config
  if (tlsCertFile === undefined || tlsKeyFile === undefined) return undefined
  const certificate = await ServerCertificate.open({
    certFile: tlsCertFile,
    keyFile: tlsKeyFile,
    clientCaFile: tlsClientCaFile,
    minVersion: tlsMinVersion,
    clock: parts.clock,
    logger: parts.logger,
  })
  exposeCertificate(parts.registry, certificate)
  certificate.start()
  return certificate
}

export interface ServerCertificateOptions extends CertificateFiles {
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly clock: Clock
  readonly logger: Logger
}

/** Certificates live for weeks and are renewed days before their end. */
const RELOAD_INTERVAL_MS = 5000

interface Loaded {
  readonly files: Files
  readonly context: SecureContextOptions
  /** A hash of the files, to see a change. */
  readonly content: string
  readonly notBeforeUnixMs: number
  readonly notAfterUnixMs: number
}

export class ServerCertificate {
  readonly hasClientAuthority: boolean
  readonly #options: ServerCertificateOptions
  readonly #listeners = new Set<(context: SecureContextOptions) => void>()
  #current: Loaded
  /** The content of files that were refused, and whether that was said. */
  #refused = { content: '', isLogged: false }
  #isBroken = false
  #timer: Timer | undefined
  #reloading: Promise<void> | undefined

  private constructor(options: ServerCertificateOptions, loaded: Loaded) {
    this.#options = options
    this.#current = loaded
    this.hasClientAuthority = options.clientCaFile !== undefined
  }

  /** @throws AppError invalid_config where the files are missing, broken or do not belong together */
  static async open(options: ServerCertificateOptions): Promise<ServerCertificate> {
    let loaded: Loaded
    try {
      loaded = load(await read(options), options)
    } catch (cause) {
      throw new AppError('invalid_config', 'certificate can not be used', {
        cause,
        details: { certFile: options.certFile, keyFile: options.keyFile },
      })
    }
    const certificate = new ServerCertificate(options, loaded)
    if (!isValidAt(loaded, options.clock.nowUnixMs())) {
      // also where our clock is wrong: clients decide, and refusing to start helps nobody
      options.logger.error({ certFile: options.certFile }, 'certificate is not valid now')
    }
    return certificate
  }

  /** What a TLS server takes; current when read. */
  get context(): SecureContextOptions {
    return this.#current.context
  }

  /** Certificate and key in PEM; current when read. */
  get files(): { readonly cert: Buffer; readonly key: Buffer } {
    return this.#current.files
  }

  get notAfterUnixMs(): number {
    return this.#current.notAfterUnixMs
  }

  /** The files hold something that can not be used; the certificate before them is. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** Calls back with each new context, until the answer is called. */
  onChange(listener: (context: SecureContextOptions) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  start(): void {
    this.#timer = this.#options.clock.every(RELOAD_INTERVAL_MS, () => {
      this.#reloading ??= this.reload().finally(() => {
        this.#reloading = undefined
      })
    })
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#reloading
  }

  /** Looks at the files now; never throws. */
  async reload(): Promise<void> {
    const { logger, certFile } = this.#options
    let content = ''
    try {
      const files = await read(this.#options)
      content = contentOf(files)
      if (content === this.#current.content) {
        this.#isBroken = false
        return
      }
      const loaded = load(files, this.#options)
      this.#refuseWorse(loaded)
      this.#current = loaded
      this.#isBroken = false
      logger.info(
        { certFile, notAfter: new Date(loaded.notAfterUnixMs) },
        'certificate is replaced',
      )
      for (const listener of this.#listeners) listener(loaded.context)
    } catch (error) {
      this.#refuse(content, error)
    }
  }

  /** A valid certificate does not give way to one that is over or not valid yet. */
  #refuseWorse(loaded: Loaded): void {
    const nowUnixMs = this.#options.clock.nowUnixMs()
    if (isValidAt(loaded, nowUnixMs) || !isValidAt(this.#current, nowUnixMs)) return
    throw new AppError('invalid_config', 'new certificate is not valid now')
  }

  /** Said at the second look: half a swap of files mends itself before. */
  #refuse(content: string, error: unknown): void {
    this.#isBroken = true
    if (this.#refused.content !== content) {
      this.#refused = { content, isLogged: false }
      return
    }
    if (this.#refused.isLogged) return
    this.#refused.isLogged = true
    const { logger, certFile } = this.#options
    logger.error({ err: error, certFile }, 'new certificate can not be used, the old one stays')
  }
}

function exposeCertificate(registry: Registry, certificate: ServerCertificate): void {
  const registers = [registry]
  new Gauge({
    name: 'tributary_tls_certificate_not_after_seconds',
    help: 'End of the certificate in use, Unix time',
    registers,
    collect() {
      this.set(Math.floor(certificate.notAfterUnixMs / 1000))
    },
  })
  new Gauge({
    name: 'tributary_tls_certificate_broken',
    help: '1 while the files of the certificate can not be used and an older one is: must be 0',
    registers,
    collect() {
      this.set(certificate.isBroken ? 1 : 0)
    },
  })
}

interface Files {
  readonly cert: Buffer
  readonly key: Buffer
  readonly ca: Buffer | undefined
}

async function read({ certFile, keyFile, clientCaFile }: CertificateFiles): Promise<Files> {
  const [cert, key, ca] = await Promise.all([
    readFile(certFile),
    readFile(keyFile),
    clientCaFile === undefined ? undefined : readFile(clientCaFile),
  ])
  return { cert, key, ca }
}

function contentOf({ cert, key, ca }: Files): string {
  const hash = createHash('sha256')
  for (const part of [cert, key, ca ?? '']) hash.update(`${part.length} `).update(part)
  return hash.digest('base64')
}

/** @throws Error of OpenSSL, or AppError */
function load(files: Files, { minVersion }: ServerCertificateOptions): Loaded {
  const [leaf] = certificatesOf(files.cert)
  if (leaf === undefined) throw new AppError('invalid_config', 'file holds no certificate')
  if (files.ca !== undefined && certificatesOf(files.ca).length === 0) {
    throw new AppError('invalid_config', 'file of client authorities holds no certificate')
  }
  // renegotiation would let a client burn our CPU; a resumed session would skip the client's certificate
  const secureOptions =
    constants.SSL_OP_NO_RENEGOTIATION | (files.ca === undefined ? 0 : constants.SSL_OP_NO_TICKET)
  const context = {
    cert: files.cert,
    key: files.key,
    ...(files.ca === undefined ? {} : { ca: files.ca }),
    minVersion,
    secureOptions,
  }
  createSecureContext(context)
  return {
    files,
    context,
    content: contentOf(files),
    notBeforeUnixMs: Date.parse(leaf.validFrom),
    notAfterUnixMs: Date.parse(leaf.validTo),
  }
}

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** OpenSSL takes a file that was cut within its second certificate; we do not. */
function certificatesOf(pem: Buffer): X509Certificate[] {
  const text = pem.toString('latin1')
  const blocks = text.match(PEM_BLOCK) ?? []
  if (blocks.length < text.split('-----BEGIN').length - 1) {
    throw new AppError('invalid_config', 'file of certificates is cut')
  }
  return blocks.map((block) => new X509Certificate(block))
}

function isValidAt({ notBeforeUnixMs, notAfterUnixMs }: Loaded, unixMs: number): boolean {
  return notBeforeUnixMs <= unixMs && unixMs < notAfterUnixMs
}
