import { systemClock } from '@tributary/common/clock'
import { LIMITS } from '@tributary/common/limits'
import { defaultPolicy, policyForAll } from '@tributary/common/tenants/tenant-policy'

import { TenantAccount } from '../tenants/tenant-account.ts'
import { TenantDirectory } from '../tenants/tenant-directory.ts'

/** A tenant without a rate, for tests of what counts for all of them. */
export function testAccount(name = 'default'): TenantAccount {
  return new TenantAccount(name, defaultPolicy(), 1, 0)
}

/** Anybody may write, without a rate. */
export function anyTenants(): TenantDirectory {
  return new TenantDirectory({
    tenantsMax: LIMITS.tenantsMax,
    policies: policyForAll(defaultPolicy()),
    clock: systemClock,
  })
}
