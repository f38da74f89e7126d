import { AppError } from '@tributary/common/errors'

export const TENANT_HEADER = 'x-tributary-tenant'
/** What the Grafana family of agents sends. */
export const TENANT_HEADER_ALTERNATIVE = 'x-scope-orgid'
export const TENANT_DEFAULT = 'default'

const TENANT_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/

/** Headers of HTTP or metadata of gRPC, names in lower case. */
export type CallHeaders = Readonly<Record<string, string | string[] | undefined>>

/** The tenant of a call from its headers; none means `default`. See tenantHeaderOf for its errors. */
export function tenantOf(headers: CallHeaders): string {
  return tenantHeaderOf(headers) ?? TENANT_DEFAULT
}

/**
 * The tenant that the headers name, or undefined; `x-tributary-tenant` wins.
 * @throws AppError invalid_tenant for a name outside ^[a-z0-9][a-z0-9_-]{0,62}$, also a repeated header
 */
export function tenantHeaderOf(headers: CallHeaders): string | undefined {
  const value = headers[TENANT_HEADER] ?? headers[TENANT_HEADER_ALTERNATIVE]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || !TENANT_NAME.test(value)) {
    throw new AppError('invalid_tenant', 'tenant name must match ^[a-z0-9][a-z0-9_-]{0,62}$', {
      details: {
        field: headers[TENANT_HEADER] === undefined ? TENANT_HEADER_ALTERNATIVE : TENANT_HEADER,
      },
    })
  }
  return value
}
