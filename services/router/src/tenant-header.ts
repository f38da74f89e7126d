import { AppError } from '@tributary/common/errors'

export const TENANT_HEADER = 'x-tributary-tenant'
/** What the Grafana family of agents sends. */
export const TENANT_HEADER_ALTERNATIVE = 'x-scope-orgid'
export const TENANT_DEFAULT = 'default'

const TENANT_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/

/**
 * The tenant of a call from its headers; `x-tributary-tenant` wins, none means `default`.
 * @throws AppError invalid_tenant for a name outside ^[a-z0-9][a-z0-9_-]{0,62}$, also a repeated header
 */
export function tenantOf(headers: Readonly<Record<string, string | string[] | undefined>>): string {
  const value = headers[TENANT_HEADER] ?? headers[TENANT_HEADER_ALTERNATIVE]
  if (value === undefined) return TENANT_DEFAULT
  if (typeof value !== 'string' || !TENANT_NAME.test(value)) {
    throw new AppError('invalid_tenant', 'tenant name must match ^[a-z0-9][a-z0-9_-]{0,62}$', {
      details: {
        field: headers[TENANT_HEADER] === undefined ? TENANT_HEADER_ALTERNATIVE : TENANT_HEADER,
      },
    })
  }
  return value
}
