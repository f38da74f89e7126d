/**
 * The file index in Redis. A commit of many files goes in pieces: its files first, in any number of
 * calls, the end of its partition last, so that whatever is lost in between is only not counted yet.
 */
import { randomBytes } from 'node:crypto'

import type { CommitFile } from '../commit/commit-record.ts'
import type { RedisArgument, RedisCommand } from '../metadata/redis-connection.ts'
import type { RedisConnection, RedisReply } from '../metadata/redis-connection.ts'
import type { ApplyOutcome, FileIndex, FileSelection, IndexBuild } from './file-index.ts'
import type { IndexPage, IndexSpan, IndexState, IndexedChain, SpanTarget } from './file-index.ts'
import type { IndexPart } from '../metadata/redis-keys.ts'
import { indexKey, RedisKeyKind, redisKey } from '../metadata/redis-keys.ts'
import { parseOffset, partitionPath } from '../paths.ts'
import { entryName, entryValue, hourMember, isMemberSelected } from './index-entry.ts'
import { memberRanges, parseChain, parseEntry } from './index-entry.ts'
import { APPLY_SCRIPT, BUILD_SCRIPT, OPEN_SCRIPT } from './index-scripts.ts'
import { PUBLISH_SCRIPT, RESET_SCRIPT } from './index-scripts.ts'

/** Files of one call: a script of 500 holds the server for 2 ms. */
const FILES_PER_CALL_MAX = 500
/** Calls of one round trip. */
const CALLS_PER_BATCH_MAX = 16
const MEMBERS_PER_PAGE = 64
/** Entries that one HSCAN looks at. */
const SCAN_COUNT = 1000
/** Keys that one UNLINK takes. */
const UNLINK_MAX = 500

export interface RedisFileIndexOptions {
  /** The caller's to close; better not the one of the leases, which must never wait. */
  readonly connection: RedisConnection
  readonly prefix: string
  /** Of the object store (store.json): the index of another store is thrown away. */
  readonly storeId: string
}

export class RedisFileIndex implements FileIndex {
  readonly #options: RedisFileIndexOptions
  #generation: string | undefined

  constructor(options: RedisFileIndexOptions) {
    this.#options = options
  }

  async apply(span: IndexSpan): Promise<ApplyOutcome> {
    const [outcome] = await this.applyAll([span])
    return outcome!
  }

  async applyAll(spans: readonly IndexSpan[]): Promise<readonly ApplyOutcome[]> {
    this.#generation ??= await this.#open()
    const outcomes = await this.#target(this.#generation).applyAll(spans)
    if (!outcomes.some(({ kind }) => kind === 'replaced')) return outcomes
    // once more, with the generation of today
    this.#generation = await this.#open()
    return this.#target(this.#generation).applyAll(spans)
  }

  async state(): Promise<IndexState> {
    const generation = await this.#open()
    this.#generation = generation
    const { connection } = this.#options
    const flat = asTexts(await connection.command('HGETALL', this.#key(generation, 'ends')))
    const chains = new Map<string, IndexedChain>()
    for (let at = 0; at + 1 < flat.length; at += 2) {
      const chain = parseChain(flat[at]!, flat[at + 1]!)
      if (chain !== undefined) chains.set(flat[at]!, chain)
    }
    return { generation, chains }
  }

  async *scan(generation: string, selection: FileSelection): AsyncGenerator<IndexPage> {
    for await (const members of this.#members(generation, selection)) {
      const selected = members.filter((member) => isMemberSelected(member, selection))
      let open = selected.map((member) => ({ member, cursor: '0', seen: new Set<string>() }))
      while (open.length > 0) {
        const replies = await this.#options.connection.commandAll(
          open.map(({ member, cursor }): RedisCommand => {
            const key = this.#key(generation, `files:${member}`)
            return ['HSCAN', key, cursor, 'COUNT', SCAN_COUNT]
          }),
        )
        for (const [at, reply] of replies.entries()) yield readPage(open[at]!, reply)
        open = open
          .map((one, at) => ({ ...one, cursor: String(asList(replies[at])[0] ?? '0') }))
          .filter(({ cursor }) => cursor !== '0')
      }
    }
  }

  async lookup(
    generation: string,
    files: readonly CommitFile[],
  ): Promise<readonly (CommitFile | undefined)[]> {
    const commands = files.map((file): RedisCommand => {
      const key = this.#key(generation, `files:${hourMember(file)}`)
      return ['HGET', key, entryName(file)]
    })
    const found: RedisReply[] = []
    for (let at = 0; at < commands.length; at += FILES_PER_CALL_MAX) {
      const group = commands.slice(at, at + FILES_PER_CALL_MAX)
      found.push(...(await this.#options.connection.commandAll(group)))
    }
    return files.map((file, at) => {
      const value = found[at]
      if (typeof value !== 'string') return undefined
      return parseEntry(hourMember(file), entryName(file), value)
    })
  }

  async reset(generation: string): Promise<void> {
    const { connection } = this.#options
    await connection.run(RESET_SCRIPT, this.#headKeys(), [generation, newGeneration()])
    this.#generation = undefined
    await this.#sweep()
  }

  async build(): Promise<IndexBuild> {
    await this.#open()
    await this.#sweep()
    const { connection, prefix, storeId } = this.#options
    const generation = newGeneration()
    await connection.run(BUILD_SCRIPT, this.#headKeys(), [generation])
    const target = this.#target(generation)
    return {
      generation,
      apply: async (span) => (await target.applyAll([span]))[0]!,
      applyAll: (spans) => target.applyAll(spans),
      chainOf: async (id) => {
        const path = partitionPath(id)
        const value = await connection.command('HGET', indexKey(prefix, generation, 'ends'), path)
        return typeof value === 'string' ? parseChain(path, value) : undefined
      },
      publish: async () => {
        const args = [generation, storeId]
        const isOurs = (await connection.run(PUBLISH_SCRIPT, this.#headKeys(), args)) === 1
        this.#generation = undefined
        await this.#sweep()
        return isOurs
      },
    }
  }

  async #open(): Promise<string> {
    const { connection, storeId } = this.#options
    return String(await connection.run(OPEN_SCRIPT, this.#headKeys(), [storeId, newGeneration()]))
  }

  #target(generation: string): Pick<SpanTarget, 'applyAll'> {
    return {
      applyAll: async (spans) => {
        const calls = spans.flatMap((span) => this.#callsOf(generation, span))
        const outcomes: ApplyOutcome[] = []
        for (let at = 0; at < calls.length; at += CALLS_PER_BATCH_MAX) {
          const group = calls.slice(at, at + CALLS_PER_BATCH_MAX)
          const replies = await this.#options.connection.runAll(APPLY_SCRIPT, group)
          for (const [index, { isLast }] of group.entries()) {
            if (isLast) outcomes.push(readOutcome(replies[index]))
          }
        }
        return outcomes
      },
    }
  }

  /** The calls of one span: pieces of its files, the last of which moves the end. */
  #callsOf(generation: string, { id, start, end, lastStart, files }: IndexSpan) {
    const { prefix } = this.#options
    const calls: { keys: string[]; args: RedisArgument[]; isLast: boolean }[] = []
    for (let at = 0; at === 0 || at < files.length; at += FILES_PER_CALL_MAX) {
      const piece = files.slice(at, at + FILES_PER_CALL_MAX)
      const isLast = at + FILES_PER_CALL_MAX >= files.length
      const members = [...new Set(piece.map(hourMember))]
      const numbers = new Map(members.map((member, index) => [member, index + 1]))
      const parts = [
        'ends',
        'hours',
        ...members.map((member) => `files:${member}` as const),
      ] as const
      const keys = [
        redisKey(prefix, RedisKeyKind.index),
        ...parts.map((part) => indexKey(prefix, generation, part)),
      ]
      const range = [start, end, lastStart].map(String)
      const head = [generation, partitionPath(id), ...range, isLast ? 1 : 0]
      const entries = piece.flatMap((file) => {
        const member = hourMember(file)
        return [numbers.get(member)!, member, entryName(file), entryValue(file)]
      })
      calls.push({ keys, args: [...head, ...entries], isLast })
    }
    return calls
  }

  /** Members of the hours of a generation that may belong to the selection, page by page. */
  async *#members(generation: string, selection: FileSelection): AsyncGenerator<readonly string[]> {
    const key = this.#key(generation, 'hours')
    for (const [first, last] of memberRanges(selection)) {
      for (let from = `[${first}`; ;) {
        const limit = ['LIMIT', 0, MEMBERS_PER_PAGE] as const
        const page = asTexts(
          await this.#options.connection.command('ZRANGEBYLEX', key, from, `[${last}`, ...limit),
        )
        if (page.length > 0) yield page
        if (page.length < MEMBERS_PER_PAGE) break
        from = `(${page.at(-1)!}`
      }
    }
  }

  /** Deletes what nobody reads any more; what a crash leaves is for the next one. */
  async #sweep(): Promise<void> {
    const { connection, prefix } = this.#options
    const [, retiredKey] = this.#headKeys()
    for (const generation of asTexts(await connection.command('SMEMBERS', retiredKey!))) {
      const hoursKey = indexKey(prefix, generation, 'hours')
      for (;;) {
        const members = asTexts(await connection.command('ZRANGE', hoursKey, 0, UNLINK_MAX - 1))
        if (members.length === 0) break
        const keys = members.map((member) => indexKey(prefix, generation, `files:${member}`))
        await connection.commandAll([
          ['UNLINK', ...keys],
          ['ZREM', hoursKey, ...members],
        ])
      }
      await connection.command('UNLINK', hoursKey, indexKey(prefix, generation, 'ends'))
      await connection.command('SREM', retiredKey!, generation)
    }
  }

  #headKeys(): string[] {
    const { prefix } = this.#options
    return [redisKey(prefix, RedisKeyKind.index), redisKey(prefix, RedisKeyKind.retired)]
  }

  #key(generation: string, part: IndexPart): string {
    return indexKey(this.#options.prefix, generation, part)
  }
}

interface HourScan {
  readonly member: string
  /** Names that came already: a hash that grows meanwhile may give some of them twice. */
  readonly seen: Set<string>
}

function readPage({ member, seen }: HourScan, reply: RedisReply | undefined): IndexPage {
  const flat = asTexts(asList(reply)[1])
  const files: CommitFile[] = []
  let unreadable = 0
  for (let at = 0; at + 1 < flat.length; at += 2) {
    if (seen.has(flat[at]!)) continue
    seen.add(flat[at]!)
    const file = parseEntry(member, flat[at]!, flat[at + 1]!)
    if (file === undefined) unreadable++
    else files.push(file)
  }
  return { files, unreadable }
}

function readOutcome(reply: RedisReply | undefined): ApplyOutcome {
  const [kind, end] = asTexts(reply)
  if (kind === 'applied' || kind === 'known' || kind === 'replaced') return { kind }
  return { kind: 'behind', end: parseOffset(end) ?? 0n }
}

function newGeneration(): string {
  return randomBytes(8).toString('hex')
}

function asList(reply: RedisReply | undefined): readonly RedisReply[] {
  return Array.isArray(reply) ? (reply as readonly RedisReply[]) : []
}

function asTexts(reply: RedisReply | undefined): readonly string[] {
  return asList(reply).map(String)
}
