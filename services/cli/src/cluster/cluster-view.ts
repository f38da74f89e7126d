/**
 * What a cluster is like now: who lives and who owns what (Redis), and how each partition is (its owner
 * over gRPC, or what the owner said in its last beat where it does not answer).
 */
import type { RedisConfig } from '@tributary/common/config/redis-settings'
import { toAppError } from '@tributary/common/errors'
import { IngesterClient } from '@tributary/common/ingester-client'
import type { PartitionInfo } from '@tributary/common/ingester-service'
import { createLogger } from '@tributary/common/logger'
import type { ClusterView, Member } from '@tributary/common/metadata/cluster-metadata'
import { parseIngesterStatus } from '@tributary/common/metadata/ingester-status'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'

/** Plain JSON, as `--json` writes it. */
export interface PartitionLine {
  readonly partition: number
  /** '' where nobody owns it. */
  readonly owner: string
  readonly epoch: number
  /** unowned, or as the owner says. */
  readonly state: string
  readonly lagOffsets: number
  readonly lagSeconds: number
  readonly oldestUnflushedSeconds: number
  /** Undefined where the owner could not be asked. */
  readonly unflushedRows?: number
  /** RFC 3339; '' while it is not known. */
  readonly validThrough: string
  /** Why nothing is fetched, or nothing moves. */
  readonly reason: string
}

export interface ClusterReport {
  readonly members: readonly Pick<Member, 'name' | 'role' | 'address' | 'isDraining'>[]
  readonly partitions: readonly PartitionLine[]
  /** Names of ingesters that did not answer; what is said of their partitions is as old as a beat. */
  readonly silent: readonly string[]
}

/** Connecting takes a few of these at most; a sentinel is asked first. */
const READY_TIMEOUTS = 5
const ASK_TIMEOUT_MS = 3000

export class ClusterAccess {
  readonly #connection: RedisConnection
  readonly #metadata: RedisClusterMetadata
  readonly #timeoutMs: number
  readonly #hasTls: boolean
  readonly #clients = new Map<string, IngesterClient>()

  private constructor(config: RedisConfig, hasTls: boolean) {
    this.#timeoutMs = config.redisTimeoutMs
    this.#connection = new RedisConnection({
      address: redisAddress(config),
      name: 'tributary-cli',
      timeoutMs: config.redisTimeoutMs,
      logger: createLogger({ name: 'tributary', level: 'silent' }),
    })
    const parts = { connection: this.#connection, prefix: config.redisPrefix }
    this.#metadata = new RedisClusterMetadata(parts)
    this.#hasTls = hasTls
  }

  /** @throws AppError metadata_unavailable, invalid_config */
  static async open(config: RedisConfig, hasTls: boolean): Promise<ClusterAccess> {
    const access = new ClusterAccess(config, hasTls)
    try {
      await access.#connection.untilReady(READY_TIMEOUTS * access.#timeoutMs)
      return access
    } catch (error) {
      access.close()
      throw error
    }
  }

  /** @throws AppError metadata_unavailable */
  view(): Promise<ClusterView> {
    return this.#metadata.view()
  }

  /** One client for each address, until all is closed. */
  clientOf(address: string): IngesterClient {
    const known = this.#clients.get(address)
    if (known !== undefined) return known
    const client = new IngesterClient({ address, hasTls: this.#hasTls })
    this.#clients.set(address, client)
    return client
  }

  /** How many partitions the topic has, as the first ingester to answer says; 0: none does. */
  async partitionCount({ members }: ClusterView): Promise<number> {
    const asked = members
      .filter(({ role }) => role === 'ingester')
      .map(({ address }) => this.clientOf(address).listPartitions(ASK_TIMEOUT_MS))
    try {
      return (await Promise.any(asked)).partitionCount
    } catch {
      // each failure is that of an ingester, and the partitions of those are asked for one by one
      return 0
    }
  }

  /** @throws AppError metadata_unavailable */
  async report(): Promise<ClusterReport> {
    const view = await this.view()
    const ingesters = view.members.filter(({ role }) => role === 'ingester')
    const answers = await Promise.all(ingesters.map((member) => this.#ask(member)))
    const infos = new Map(ingesters.map(({ id }, at) => [id, answers[at]]))
    return {
      members: view.members.map(({ name, role, address, isDraining }) => {
        return { name, role, address, isDraining }
      }),
      partitions: linesOf(view, infos),
      silent: ingesters.filter(({ id }) => infos.get(id) === undefined).map(({ name }) => name),
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
    this.#connection.close()
  }

  async #ask({ address }: Member): Promise<readonly PartitionInfo[] | undefined> {
    try {
      return (await this.clientOf(address).listPartitions(ASK_TIMEOUT_MS)).partitions
    } catch (error) {
      if (toAppError(error).code !== 'not_ready') throw error
      return undefined
    }
  }
}

type Infos = ReadonlyMap<string, readonly PartitionInfo[] | undefined>

function linesOf(view: ClusterView, infos: Infos): readonly PartitionLine[] {
  const members = new Map(view.members.map((member) => [member.id, member]))
  return [...view.leases.values()]
    .toSorted((left, right) => left.partition - right.partition)
    .map(({ partition, owner, epoch }) => {
      const member = members.get(owner)
      if (member === undefined) return unownedLine(partition, epoch)
      const head = { partition, owner: member.name, epoch }
      const info = infos.get(owner)?.find((each) => each.partition === partition)
      return info === undefined ? beatenLine(head, member.status) : toldLine(head, info)
    })
}

type LineHead = Pick<PartitionLine, 'partition' | 'owner' | 'epoch'>

const NOTHING = { lagOffsets: 0, lagSeconds: 0, oldestUnflushedSeconds: 0, validThrough: '' }

function unownedLine(partition: number, epoch: number): PartitionLine {
  const reason = 'nobody lives who owns it'
  return { partition, owner: '', epoch, state: 'unowned', ...NOTHING, reason }
}

function toldLine(head: LineHead, info: PartitionInfo): PartitionLine {
  return {
    ...head,
    state: info.state,
    lagOffsets: Number(info.lagOffsets),
    lagSeconds: info.lagSeconds,
    oldestUnflushedSeconds: info.oldestUnflushedSeconds,
    unflushedRows: Number(info.unflushedRows),
    validThrough: timeText(Number(info.validThroughUnixMs)),
    reason: info.haltReason === '' ? info.holds.join(', ') : info.haltReason,
  }
}

/** As the owner's last beat said it. */
function beatenLine(head: LineHead, status: string): PartitionLine {
  const beaten = parseIngesterStatus(status).find(({ partition }) => partition === head.partition)
  if (beaten === undefined) return { ...head, state: 'unknown', ...NOTHING, reason: '' }
  const { state, lagOffsets, lagSeconds, oldestSeconds, validThroughUnixMs } = beaten
  return {
    ...head,
    ...{ state, lagOffsets, lagSeconds, oldestUnflushedSeconds: oldestSeconds },
    validThrough: timeText(validThroughUnixMs),
    reason: '',
  }
}

function timeText(unixMs: number): string {
  return unixMs === 0 ? '' : new Date(unixMs).toISOString()
}
