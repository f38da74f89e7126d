import { systemClock } from '@tributary/common/clock'
import { processEnvironment } from '@tributary/common/config/config'
import { boolean, duration, text } from '@tributary/common/config/setting'
import { parseSettings, type ConfigOf } from '@tributary/common/config/setting-table'
import { REDIS_RELATIONS, redisSettings } from '@tributary/common/config/redis-settings'
import { credentialSettings } from '@tributary/common/config/tenant-settings'
import { AppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { isTenantName } from '@tributary/common/paths'
import { openKeyStore } from '@tributary/common/tenants/key-place'
import { ANY_TENANT, KEY_NOTE_LENGTH_MAX } from '@tributary/common/tenants/key-record'
import type { KeyStore } from '@tributary/common/tenants/key-store'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { KeyRing, type IssuedKey } from '../keys/key-ring.ts'
import { keyListText } from '../keys/key-list-text.ts'
import type { Terminal } from '../terminal.ts'

const DAY_MS = 86_400_000
const CONNECT_POLL_MS = 20

const keysSettings = {
  apiKeys: {
    ...credentialSettings.apiKeys,
    sentence: 'Where the keys are; it is made when missing.',
  },
  tenant: text({
    default: undefined,
    sentence: `create: whose rows the key writes; ${ANY_TENANT} lets the tenant header decide.`,
  }),
  note: text({
    default: undefined,
    pattern: new RegExp(`^.{1,${KEY_NOTE_LENGTH_MAX}}$`),
    bounds: `at most ${KEY_NOTE_LENGTH_MAX} characters`,
    sentence: 'create: whose key it is, for people.',
  }),
  expiresInMs: duration({
    default: 0,
    min: 0,
    max: 36_500 * DAY_MS,
    sentence: 'create: the key stops working after this time; 0: never.',
  }),
  graceMs: duration({
    default: DAY_MS,
    min: 0,
    max: 365 * DAY_MS,
    sentence: 'rotate: the old key works this much longer.',
  }),
  json: boolean({ default: false, sentence: 'Write JSON.' }),
}

const settings = { ...keysSettings, ...redisSettings }

type KeysConfig = ConfigOf<typeof settings>

export const keysCommand: Command = {
  synopsis: 'create|list|revoke ID|rotate ID [flags]',
  description:
    'Makes, lists, revokes and replaces API keys. A key is shown once, when it is made: what is kept\n' +
    'can not give it back. Running processes see a change within 30 s.',
  sections: [
    { title: 'Keys', table: keysSettings },
    { title: 'Redis, for --api-keys redis', table: redisSettings },
  ],
  run: runKeys,
}

async function runKeys(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config, positionals } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    positionals: ['ACTION', 'ID?'],
    relations: REDIS_RELATIONS,
  })
  const [action = '', id] = positionals
  const store = await openStore(config)
  try {
    await runAction(action, id, new KeyRing(store, systemClock), config, terminal)
  } finally {
    await store.close()
  }
  return ExitStatus.ok
}

async function runAction(
  action: string,
  id: string | undefined,
  keys: KeyRing,
  config: KeysConfig,
  terminal: Terminal,
): Promise<void> {
  switch (action) {
    case 'create':
      if (id !== undefined) throw misused('create takes no id')
      if (!(await keys.exist())) {
        terminal.err.write(`${config.apiKeys} has no keys yet, or lost them: this is the first\n`)
      }
      tell(
        await keys.create(tenantOf(config), config.note ?? '', config.expiresInMs),
        config,
        terminal,
      )
      return
    case 'list': {
      if (id !== undefined) throw misused('list takes no id')
      const records = await keys.list()
      terminal.out.write(
        config.json ? `${JSON.stringify(records, undefined, 2)}\n` : keyListText(records),
      )
      return
    }
    case 'revoke':
      await keys.revoke(idOf(action, id))
      terminal.err.write(`key ${idOf(action, id)} is revoked: it stops working within 30 s\n`)
      return
    case 'rotate':
      tell(await keys.rotate(idOf(action, id), config.graceMs), config, terminal)
      return
    default:
      throw misused(`unknown action ${action}: create, list, revoke or rotate`)
  }
}

/** The key alone on standard output, so that a script can take it. */
function tell(key: IssuedKey, config: KeysConfig, terminal: Terminal): void {
  if (config.json) {
    terminal.out.write(`${JSON.stringify(key)}\n`)
    return
  }
  terminal.err.write(`key ${key.id} of tenant ${key.tenant}, shown this once:\n`)
  terminal.out.write(`${key.key}\n`)
}

async function openStore(config: KeysConfig): Promise<KeyStore> {
  const { apiKeys } = config
  if (apiKeys === undefined) throw misused('--api-keys must say where the keys are')
  const logger = createLogger({ name: 'keys', level: 'silent' })
  const store = openKeyStore({ place: apiKeys, redis: config, clock: systemClock, logger })
  await answering(store, config.redisTimeoutMs)
  return store
}

/** A connection to Redis takes a moment; what is wrong for longer than that is told. */
async function answering(store: KeyStore, timeoutMs: number): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 2 * timeoutMs
  for (;;) {
    try {
      await store.exists()
      return
    } catch (error) {
      if (systemClock.monotonicMs() > deadlineMs) {
        await store.close()
        throw error
      }
    }
    await systemClock.sleep(CONNECT_POLL_MS)
  }
}

function tenantOf({ tenant }: KeysConfig): string {
  if (tenant === undefined) throw misused('create needs --tenant')
  if (tenant !== ANY_TENANT && !isTenantName(tenant)) {
    throw misused(`--tenant must match ^[a-z0-9][a-z0-9_-]{0,62}$ or be ${ANY_TENANT}`)
  }
  return tenant
}

function idOf(action: string, id: string | undefined): string {
  if (id === undefined) throw misused(`${action} needs the id of a key: see list`)
  return id
}

function misused(problem: string): AppError {
  return new AppError('invalid_config', 'flags not understood', {
    details: { problems: [problem] },
  })
}
