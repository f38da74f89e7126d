import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import { AppError } from '@tributary/common/errors'

import { ChildProgram, isInstalled } from './child-program.ts'
import { ofProgram, tryContainer, untilListening } from './dev-server.ts'
import type { DevServer, ServerSite } from './dev-server.ts'

const IMAGE = 'docker.io/library/redis:7.4-alpine'
/** Evicted keys would be lost leases. */
const SETTINGS = ['--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction']

/** A Redis of our own on the port. @throws AppError invalid_config where there is no way */
export async function startRedis(site: ServerSite, id: string, port: number): Promise<DevServer> {
  const container = await tryContainer(site, 'redis', {
    name: `tributary-up-${id}-redis`,
    image: IMAGE,
    port: [port, 6379],
    environment: {},
    dataFolder: '/data',
    words: ['redis-server', ...SETTINGS],
  })
  if (container !== undefined) return container
  if (!isInstalled('redis-server', '--version')) {
    throw new AppError('invalid_config', 'there is no Redis', {
      details: {
        remedy:
          'install it (apt-get install redis-server), start a container engine, or name one with --redis-url',
      },
    })
  }
  const folder = join(site.folder, 'redis')
  await mkdir(folder, { recursive: true })
  const words = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, ...SETTINGS]
  const program = new ChildProgram({
    name: 'redis',
    command: ['redis-server', ...words],
    environment: site.environment,
    logFile: join(site.folder, 'logs', 'redis.log'),
  })
  await untilListening('redis', port, program)
  return ofProgram('redis', `redis: redis-server of this machine, port ${port}`, program)
}
