/**
 * Who calls: the tenant of an export call from its headers and its client certificate, before any
 * byte of its body is read.
 *
 *   credentials              header names no tenant    header names tenant T
 *   off                      default                   T
 *   key or certificate of A  A                         A where T is A, else permission_denied
 *   key of any tenant        default                   T
 *
 * A key comes as `authorization: Bearer <key>` or as `x-api-key`; where a certificate names a tenant,
 * it is credential enough, and a key beside it must be of the same tenant.
 */
import { AppError } from '@tributary/common/errors'
import { ANY_TENANT } from '@tributary/common/tenants/key-record'

import { TENANT_DEFAULT, tenantHeaderOf } from '../tenant-header.ts'
import type { CallHeaders } from '../tenant-header.ts'
import type { Credential, KeyCache } from './key-cache.ts'

/** Who a call is from. */
export interface Caller {
  readonly tenant: string
  /** Undefined where no key took part. */
  readonly credential: Credential | undefined
}

export interface AuthenticatorOptions {
  /** Undefined: no API keys. */
  readonly keys: Pick<KeyCache, 'check'> | undefined
  /** Client certificates name tenants: one without is a stranger, unless it has a key. */
  readonly areCertificatesNamed: boolean
}

export const API_KEY_HEADER = 'x-api-key'
const BEARER = /^bearer +/i

export class Authenticator {
  readonly #keys: Pick<KeyCache, 'check'> | undefined
  readonly #areCertificatesNamed: boolean

  constructor(options: AuthenticatorOptions) {
    this.#keys = options.keys
    this.#areCertificatesNamed = options.areCertificatesNamed
  }

  /**
   * The caller; a promise only where the key store has to be asked.
   * @throws AppError unauthenticated, permission_denied, credentials_unavailable, invalid_tenant
   */
  identify(headers: CallHeaders, certificateTenant: string | undefined): Caller | Promise<Caller> {
    const asked = tenantHeaderOf(headers)
    const text = this.#keys === undefined ? undefined : apiKeyOf(headers)
    if (text === undefined) {
      if (certificateTenant !== undefined) {
        return { tenant: agreed(certificateTenant, asked), credential: undefined }
      }
      throw new AppError('unauthenticated', this.#wanted())
    }
    const credential = this.#keys!.check(text)
    return credential instanceof Promise
      ? credential.then((found) => callerOf(found, certificateTenant, asked))
      : callerOf(credential, certificateTenant, asked)
  }

  #wanted(): string {
    const certificate = 'a client certificate that names a tenant'
    if (this.#keys === undefined) return `no credentials: show ${certificate}`
    const key = `send ${API_KEY_HEADER} or a bearer token`
    return `no API key: ${key}${this.#areCertificatesNamed ? `, or show ${certificate}` : ''}`
  }
}

/**
 * Looks again once the body is there, which may be a minute later.
 * @throws AppError unauthenticated when the key was revoked since
 */
export function checkStanding({ credential }: Caller): void {
  if (credential?.isRevoked === true) throw new AppError('unauthenticated', 'API key is revoked')
}

function callerOf(
  credential: Credential,
  certificateTenant: string | undefined,
  asked: string | undefined,
): Caller {
  if (certificateTenant !== undefined) asked = agreed(certificateTenant, asked)
  return { tenant: agreed(credential.tenant, asked), credential }
}

/** @throws AppError permission_denied where another tenant is asked for */
function agreed(own: string, asked: string | undefined): string {
  if (own === ANY_TENANT) return asked ?? TENANT_DEFAULT
  if (asked !== undefined && asked !== own) {
    throw new AppError('permission_denied', 'credentials are those of another tenant', {
      details: { asked },
    })
  }
  return own
}

/** The key of a call; undefined where it brings none. */
function apiKeyOf(headers: CallHeaders): string | undefined {
  const { authorization } = headers
  if (typeof authorization === 'string' && BEARER.test(authorization)) {
    return authorization.replace(BEARER, '').trimEnd()
  }
  const key = headers[API_KEY_HEADER]
  return typeof key === 'string' ? key : key?.join(',')
}
