import { readFile } from 'node:fs/promises'

import { systemClock } from '@tributary/common/clock'
import { processEnvironment } from '@tributary/common/config/config'
import { REDIS_RELATIONS, redisSettings } from '@tributary/common/config/redis-settings'
import { parseSettings, type ConfigOf } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { REDIS_PLACE } from '@tributary/common/tenants/key-place'
import { openTenantDocument } from '@tributary/common/tenants/tenant-document'
import { defaultPolicy, parseTenantPolicies } from '@tributary/common/tenants/tenant-policy'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import type { Terminal } from '../terminal.ts'

const CONNECT_POLL_MS = 20

export const tenantsCommand: Command = {
  synopsis: 'check FILE|set FILE|show [flags]',
  description:
    'Checks a document with settings of tenants, puts it into the Redis of a cluster, or shows what\n' +
    'is there. Its members: docs/configuration.md. Running processes follow within 5 s.',
  sections: [{ title: 'Redis', table: redisSettings }],
  run: runTenants,
}

async function runTenants(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config, positionals } = parseSettings(redisSettings, {
    args,
    environment: processEnvironment(),
    relations: REDIS_RELATIONS,
    positionals: ['ACTION', 'FILE?'],
  })
  const [action = '', file] = positionals
  if (action === 'show' && file === undefined) {
    terminal.out.write(`${await show(config)}\n`)
  } else if ((action === 'check' || action === 'set') && file !== undefined) {
    const text = await readFile(file, 'utf8')
    parseTenantPolicies(text, defaultPolicy())
    if (action === 'set') await set(text, config)
    terminal.err.write(action === 'set' ? 'set\n' : 'nothing is wrong with it\n')
  } else {
    throw new AppError('invalid_config', 'flags not understood', {
      details: { problems: ['check FILE, set FILE or show'] },
    })
  }
  return ExitStatus.ok
}

async function show(config: ConfigOf<typeof redisSettings>): Promise<string> {
  const document = documentOf(config)
  try {
    return await answered(() => document.read(), config.redisTimeoutMs)
  } finally {
    document.close()
  }
}

async function set(text: string, config: ConfigOf<typeof redisSettings>): Promise<void> {
  const document = documentOf(config)
  try {
    await answered(() => document.write(text), config.redisTimeoutMs)
  } finally {
    document.close()
  }
}

function documentOf(redis: ConfigOf<typeof redisSettings>) {
  const logger = createLogger({ name: 'tenants', level: 'silent' })
  return openTenantDocument({ place: REDIS_PLACE, redis, logger })
}

/** A connection to Redis takes a moment; what is wrong for longer than that is told. */
async function answered<T>(ask: () => Promise<T>, timeoutMs: number): Promise<T> {
  const deadlineMs = systemClock.monotonicMs() + 2 * timeoutMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (systemClock.monotonicMs() > deadlineMs) throw error
    }
    await systemClock.sleep(CONNECT_POLL_MS)
  }
}
