/**
 * What a tenant may do, as a JSON document says it: a policy for all, and changes for some.
 *
 *   {
 *     "format": 1,
 *     "unknownTenants": "allow" | "refuse",
 *     "default": { "bytesPerSecond": "10MiB" },
 *     "tenants": { "shop": { "bytesPerSecond": "50MiB", "itemAgeMax": "7d" } }
 *   }
 *
 * Members are the settings of the table below, written as on a command line or as JSON numbers and
 * booleans. A document is taken as a whole or not at all, and all of its problems are told at once.
 */
import type { Setting } from '../config/setting.ts'
import type { ConfigOf } from '../config/setting-table.ts'
import { memberName, tenantPolicySettings } from '../config/tenant-settings.ts'
import { AppError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { isTenantName } from '../paths.ts'

const FORMAT = 1
/** 10,000 tenants with every setting are 2 MB. */
export const TENANT_DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
export const TENANTS_IN_DOCUMENT_MAX = 10_000
/** Beyond, people do not read on. */
const PROBLEMS_MAX = 20

export type TenantPolicy = ConfigOf<typeof tenantPolicySettings>

/** The policies of an installation. */
export interface TenantPolicies {
  /** The tenant's own, or the one for all; undefined for one that may not write. */
  of(tenant: string): TenantPolicy | undefined
}

/** Without a document: whoever writes has the policy of the process. */
export function policyForAll(policy: TenantPolicy): TenantPolicies {
  return { of: () => policy }
}

/** What holds where neither settings nor a document say anything. */
export function defaultPolicy(changes: Partial<TenantPolicy> = {}): TenantPolicy {
  const entries = Object.entries(tenantPolicySettings).map(([key, setting]) => [
    key,
    setting.default,
  ])
  return { ...(Object.fromEntries(entries) as unknown as TenantPolicy), ...changes }
}

/**
 * Reads a document over the policy of the process.
 * @throws AppError invalid_config with every problem in `details.problems`
 */
export function parseTenantPolicies(text: string, base: TenantPolicy): TenantPolicies {
  const problems: string[] = []
  const document = membersOf(parseJson(text), 'the document', problems)
  for (const name of Object.keys(document)) {
    if (!DOCUMENT_MEMBERS.includes(name)) problems.push(`${name} is no member of the document`)
  }
  if (document['format'] !== FORMAT) problems.push(`format must be ${String(FORMAT)}`)
  const unknown = document['unknownTenants'] ?? 'allow'
  if (unknown !== 'allow' && unknown !== 'refuse') {
    problems.push('unknownTenants must be allow or refuse')
  }
  const forAll = readPolicy(document['default'] ?? {}, 'default', base, problems)
  const tenants = readTenants(document['tenants'] ?? {}, forAll, problems)
  if (problems.length > 0) throw invalid(problems)
  const forOthers = unknown === 'allow' ? forAll : undefined
  return { of: (tenant) => tenants.get(tenant) ?? forOthers }
}

const DOCUMENT_MEMBERS: readonly string[] = ['format', 'unknownTenants', 'default', 'tenants']

function parseJson(text: string): unknown {
  if (Buffer.byteLength(text) > TENANT_DOCUMENT_BYTES_MAX) {
    throw invalid([`the document is larger than ${String(TENANT_DOCUMENT_BYTES_MAX)} bytes`])
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid([`the document is not JSON: ${String(error)}`])
  }
}

function readTenants(
  value: unknown,
  forAll: TenantPolicy,
  problems: string[],
): ReadonlyMap<string, TenantPolicy> {
  const policies = new Map<string, TenantPolicy>()
  const entries = Object.entries(membersOf(value, 'tenants', problems))
  if (entries.length > TENANTS_IN_DOCUMENT_MAX) {
    problems.push(`tenants has more than ${String(TENANTS_IN_DOCUMENT_MAX)} members`)
    return policies
  }
  for (const [name, changes] of entries) {
    const where = `tenants.${name.slice(0, LIMITS.tenantNameBytesMax)}`
    if (!isTenantName(name)) problems.push(`${where}: the name is no tenant's`)
    policies.set(name, readPolicy(changes, where, forAll, problems))
  }
  return policies
}

function readPolicy(
  value: unknown,
  where: string,
  base: TenantPolicy,
  problems: string[],
): TenantPolicy {
  const policy: Record<string, unknown> = { ...base }
  for (const [name, written] of Object.entries(membersOf(value, where, problems))) {
    const found = SETTING_BY_NAME.get(name)
    if (found === undefined) {
      problems.push(`${where}: ${name} is no setting of a tenant`)
      continue
    }
    const [key, setting] = found
    const isPlain = ['string', 'number', 'boolean'].includes(typeof written)
    const parsed = isPlain
      ? setting.parse(String(written))
      : { problem: 'must be a text or number' }
    if ('problem' in parsed) problems.push(`${where}.${name} ${parsed.problem}`)
    else policy[key] = parsed.value
  }
  return policy as TenantPolicy
}

const SETTING_BY_NAME: ReadonlyMap<string, readonly [string, Setting<unknown>]> = new Map(
  Object.entries(tenantPolicySettings).map(([key, setting]) => [
    memberName(key, setting),
    [key, setting],
  ]),
)

function membersOf(
  value: unknown,
  what: string,
  problems: string[],
): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>
  }
  problems.push(`${what} must be an object`)
  return {}
}

function invalid(problems: readonly string[]): AppError {
  return new AppError('invalid_config', 'settings of tenants not understood', {
    details: { problems: problems.slice(0, PROBLEMS_MAX) },
  })
}
