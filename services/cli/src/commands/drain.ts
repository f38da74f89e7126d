import { setTimeout as sleep } from 'node:timers/promises'

import { processEnvironment } from '@tributary/common/config/config'
import { REDIS_RELATIONS, redisSettings } from '@tributary/common/config/redis-settings'
import { boolean, duration } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import type { Relation } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'
import type { ClusterView, Member } from '@tributary/common/metadata/cluster-metadata'

import { adminAccessSettings } from '../cluster/cluster-options.ts'
import { ClusterAccess } from '../cluster/cluster-view.ts'
import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import type { Terminal } from '../terminal.ts'

const drainSettings = {
  timeoutMs: duration({
    default: 120_000,
    min: 100,
    max: 86_400_000,
    sentence: 'How long to wait until all partitions have other owners.',
  }),
  last: boolean({
    default: false,
    sentence:
      'Also where no other ingester is there to take the partitions: they wait in Kafka then.',
  }),
  resume: boolean({
    default: false,
    sentence: 'Ends a drain instead: the ingester takes its share of partitions again.',
  }),
  ...adminAccessSettings,
}
const settings = { ...drainSettings, ...redisSettings }

const POLL_MS = 250

const RELATIONS: readonly Relation<typeof settings>[] = [
  ...REDIS_RELATIONS,
  (config) =>
    config.resume && config.last ? '--last is for a drain, --resume ends one' : undefined,
]

export const drainCommand: Command = {
  synopsis: '[flags] INGESTER',
  description:
    'Makes an ingester give all of its partitions away: it stops fetching, flushes, commits and releases\n' +
    'them, and takes none from then on. Waits until others own them. The process goes on, idle, until\n' +
    'it is stopped; a restart or --resume makes it take part again (one that the controller drains is\n' +
    'drained again while that wants it). INGESTER is its name, its id or its address.',
  sections: [
    { title: 'Drain', table: drainSettings },
    { title: 'Redis', table: redisSettings },
  ],
  run: runDrain,
}

async function runDrain(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config, positionals } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    relations: RELATIONS,
    positionals: ['INGESTER'],
  })
  const access = await ClusterAccess.open(config, config.adminTls)
  try {
    const view = await access.view()
    const member = findIngester(view, positionals[0]!)
    if (config.resume) {
      terminal.out.write(`${await resume(access, member, config.timeoutMs)}\n`)
      return ExitStatus.ok
    }
    const others = view.members.filter(
      ({ id, role, isDraining }) => role === 'ingester' && id !== member.id && !isDraining,
    )
    if (others.length === 0 && !config.last) {
      throw new AppError('invalid_config', 'no other ingester takes the partitions', {
        details: { ingester: member.name, remedy: 'start another one, or say --last' },
      })
    }
    const given = ownedBy(view, member)
    terminal.err.write(`${member.name} gives ${given.length} partitions away\n`)
    const deadlineMs = performance.now() + config.timeoutMs
    const isDrained = access.clientOf(member.address).drain(config.timeoutMs)
    const count = await follow(access, { member, given, deadlineMs, isDrained }, (text) => {
      terminal.err.write(`${text}\n`)
    })
    const kept = others.length === 0 ? ', nobody owns them' : ', others own them'
    terminal.out.write(`drained ${member.name}: ${count} partitions${kept}\n`)
    return ExitStatus.ok
  } finally {
    access.close()
  }
}

/**
 * Ends a drain and waits until others see it: partitions come to it from then on.
 * @returns what became of it, for people @throws AppError not_ready
 */
async function resume(access: ClusterAccess, member: Member, timeoutMs: number): Promise<string> {
  const deadlineMs = performance.now() + timeoutMs
  const client = access.clientOf(member.address)
  // a beat may be older than its drain
  const { isDraining } = await client.listPartitions(timeoutMs)
  await client.resume(timeoutMs)
  if (!isDraining) return `${member.name} was not drained`
  for (;;) {
    const { members } = await access.view()
    const seen = members.find(({ id }) => id === member.id)
    if (seen?.isDraining === false) return `resumed ${member.name}: it takes its share again`
    if (performance.now() > deadlineMs) {
      throw new AppError('not_ready', 'the ingester does not take part yet', {
        details: { ingester: member.name, state: seen === undefined ? 'gone' : 'draining' },
      })
    }
    await sleep(POLL_MS)
  }
}

/** @throws AppError object_missing, with those that are there */
function findIngester(view: ClusterView, wanted: string): Member {
  const ingesters = view.members.filter(({ role }) => role === 'ingester')
  const found = ingesters.filter(({ id, name, address }) => [id, name, address].includes(wanted))
  if (found.length === 1) return found[0]!
  // a process that was killed lives on for a while beside the next one of its name
  throw new AppError('object_missing', found.length === 0 ? 'no such ingester' : 'several are it', {
    details: {
      ingester: wanted,
      known: (found.length === 0 ? ingesters : found).map(({ name, id }) => `${name} (${id})`),
    },
  })
}

function ownedBy(view: ClusterView, { id }: Member): number[] {
  return [...view.leases.values()].flatMap(({ partition, owner }) =>
    owner === id ? partition : [],
  )
}

interface Draining {
  readonly member: Member
  readonly given: readonly number[]
  readonly deadlineMs: number
  readonly isDrained: Promise<void>
}

/**
 * Tells of every change until the member owns nothing, and others own what it gave away where there are
 * some.
 * @returns how many it gave away @throws AppError not_ready
 */
async function follow(
  access: ClusterAccess,
  { member, given, deadlineMs, isDrained }: Draining,
  tell: (text: string) => void,
): Promise<number> {
  let isOver = false
  let failure: Error | undefined
  const ended = isDrained.then(
    () => {
      isOver = true
    },
    (error: unknown) => {
      failure = error instanceof Error ? error : new Error(String(error))
      isOver = true
    },
  )
  const seen = new Set(given)
  for (let told = ''; ;) {
    const view = await access.view()
    const left = ownedBy(view, member)
    for (const partition of left) seen.add(partition)
    const hasHeirs = view.members.some(
      ({ id, role, isDraining }) => role === 'ingester' && id !== member.id && !isDraining,
    )
    const orphans = [...seen].filter((partition) => view.leases.get(partition)?.owner === '')
    const text = `${left.length} left, ${hasHeirs ? orphans.length : 0} wait for an owner`
    if (text !== told) tell(text)
    told = text
    if (failure !== undefined) throw failure
    if (isOver && left.length === 0 && (orphans.length === 0 || !hasHeirs)) return seen.size
    if (performance.now() > deadlineMs) {
      throw new AppError('not_ready', 'not done in time, it goes on', { details: { state: text } })
    }
    await Promise.race([sleep(POLL_MS), ...(isOver ? [] : [ended])])
  }
}
