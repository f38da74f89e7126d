/**
 * Deliberate bugs, each in one of the ports of a process: what the code would do to the outside world if
 * one of its rules were missing. They show that the simulation can see such a thing at all. They are
 * switched on by name (`--bug`) and known to nothing but the simulation.
 */
import { Buffer } from 'node:buffer'
import { parseCommitRecord } from '@tributary/common/commit/commit-record'
import { AppError } from '@tributary/common/errors'
import type { FileHandle, FileSystem, OpenMode } from '@tributary/common/file-system'
import type { LogReader, LogReaderHandler, PartitionLog } from '@tributary/common/log/partition-log'
import type {
  GetOptions,
  ObjectStore,
  PutOptions,
} from '@tributary/common/object-store/object-store'
import { COMMITS_PREFIX, DATA_PREFIX, HASHES_PREFIX } from '@tributary/common/paths'
import { DelegatingFileSystem, DelegatingLog, DelegatingStore } from './delegates.ts'
import type { PortContext, Ports } from './ports.ts'
import type { WorldKind } from './world.ts'

export interface Bug {
  /** The worlds that it shows in; default: those of the seeds. */
  readonly world?: WorldKind
  /** What the code does wrong, for the table. */
  readonly what: string
  /** For one run: what it remembers is of that run. */
  readonly ports: () => Ports
}

export const BUGS: Readonly<Record<string, Bug>> = {
  'acknowledge-before-produce': {
    what: 'a router says OK before the log has stored the batch',
    ports: () => ({ routerLog: (log) => new HastyLog(log) }),
  },
  'timeout-is-yes': {
    what: 'a router takes a produce without an answer for stored',
    ports: () => ({ routerLog: (log) => new HopefulLog(log) }),
  },
  'skip-the-epoch': {
    what: 'an owner does not look at the epochs of the commits before its own',
    ports: () => ({ store: (store) => new EpochBlindStore(store) }),
  },
  'ignore-412': {
    what: 'an owner takes the refusal of a create-only commit for success',
    ports: () => ({ store: (store) => new DeafStore(store) }),
  },
  'overwrite-commits': {
    what: 'commits are put without the condition that nobody else has',
    ports: () => ({ store: (store) => new UnconditionalStore(store) }),
  },
  'commit-before-upload': {
    what: 'the commit does not wait for the uploads of its files',
    ports: () => ({ store: (store, context) => new EagerStore(store, context) }),
  },
  'forget-sidecars': {
    what: 'a new owner does not know what the commits before it stored',
    ports: () => ({ store: (store) => new SidecarBlindStore(store) }),
  },
  'no-retry-removal': {
    what: 'chunks that a client sent again are stored again',
    ports: () => ({ settings: { retryRemoval: false } }),
  },
  'encode-suppressed-rows': {
    what: 'the encoder writes rows that were stored before',
    ports: () => ({
      encoder: (encoder) => ({
        run: ({ entries, ...job }, signal) => {
          const all = entries.map((entry) => ({ ...entry, suppressed: new Int32Array(0) }))
          return encoder.run({ ...job, entries: all }, signal)
        },
        close: () => encoder.close(),
      }),
    }),
  },
  'start-at-group-offset': {
    what: 'reading begins where the group has read to, not where the chain ends',
    ports: () => {
      const offsets = new Map<number, bigint>()
      return { log: (log) => new GroupLog(log, offsets) }
    },
  },
  'sweep-the-unreferenced': {
    what: 'the orphan sweep does not ask whether a commit may still come',
    ports: () => ({ sweep: sweepUnreferenced }),
  },
  'forget-the-index': {
    what: 'commits are not told to the file index, while it is believed that they are',
    ports: () => ({
      index: (index) => ({
        state: () => index.state(),
        scan: (generation, selection) => index.scan(generation, selection),
        lookup: (generation, files) => index.lookup(generation, files),
        reset: (generation) => index.reset(generation),
        build: () => index.build(),
        apply: () => Promise.resolve({ kind: 'applied' }),
        applyAll: (spans) => Promise.resolve(spans.map(() => ({ kind: 'applied' }))),
      }),
    }),
  },
  'truncate-before-commit': {
    what: 'the WAL is cut when the flush begins, before its commit',
    world: 'standalone',
    ports: () => ({
      encoder: (encoder, { truncateLog }) => ({
        run: async (job, signal) => {
          await truncateLog?.(BigInt(job.end))
          return encoder.run(job, signal)
        },
        close: () => encoder.close(),
      }),
    }),
  },
  'acknowledge-before-sync': {
    what: 'a client hears OK when the WAL is written and not yet synced',
    world: 'standalone',
    ports: () => ({ fs: (fs) => new HandleBugs(fs, { datasync: () => Promise.resolve() }) }),
  },
  'sync-again-after-failure': {
    what: 'a sync that failed is tried again on the same file, and succeeds',
    world: 'standalone',
    ports: () => ({ fs: (fs) => new HandleBugs(fs, { datasync: syncTwice }) }),
  },
  'ignore-short-writes': {
    what: 'a write that stored a part only counts as whole',
    world: 'standalone',
    ports: () => ({ fs: (fs) => new HandleBugs(fs, { write: writeOnce }) }),
  },
  'forget-the-folder': {
    what: 'the name of a new file of the WAL is not synced',
    world: 'standalone',
    ports: () => ({ fs: (fs) => new FolderBlind(fs) }),
  },
}

class HastyLog extends DelegatingLog {
  override produce(
    partition: number,
    values: readonly Uint8Array[],
    timeoutMs: number,
  ): Promise<bigint> {
    this.inner.produce(partition, values, timeoutMs).catch(() => undefined)
    return Promise.resolve(0n)
  }
}

class HopefulLog extends DelegatingLog {
  override async produce(
    partition: number,
    values: readonly Uint8Array[],
    timeoutMs: number,
  ): Promise<bigint> {
    try {
      return await this.inner.produce(partition, values, timeoutMs)
    } catch {
      return 0n
    }
  }
}

class EpochBlindStore extends DelegatingStore {
  override async get(key: string, options?: GetOptions): Promise<Uint8Array> {
    const body = await this.inner.get(key, options)
    return key.startsWith(COMMITS_PREFIX) ? withCommit(body, { epoch: 0 }) : body
  }
}

class DeafStore extends DelegatingStore {
  override async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<void> {
    try {
      await this.inner.put(key, body, options)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'object_exists') throw error
    }
  }
}

class UnconditionalStore extends DelegatingStore {
  override put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<void> {
    return this.inner.put(key, body, { ...options, onlyIfAbsent: false })
  }
}

/** Longest time between the commit and the upload that it should have waited for. */
const EAGER_MS_MAX = 1000

class EagerStore extends DelegatingStore {
  readonly #context: PortContext

  constructor(inner: ObjectStore, context: PortContext) {
    super(inner)
    this.#context = context
  }

  override putFile(key: string, path: string, bytes: number, sha256: string): Promise<void> {
    const { process, random } = this.#context
    void process.clock
      .sleep(random.below(EAGER_MS_MAX))
      .then(() => this.inner.putFile(key, path, bytes, sha256))
      .catch(() => undefined)
    return Promise.resolve()
  }
}

class SidecarBlindStore extends DelegatingStore {
  override get(key: string, options?: GetOptions): Promise<Uint8Array> {
    if (!key.startsWith(HASHES_PREFIX)) return this.inner.get(key, options)
    return Promise.reject(new AppError('object_missing', 'not looked for'))
  }
}

/** One group for all: how far any of its members has read. */
class GroupLog extends DelegatingLog {
  readonly #offsets: Map<number, bigint>

  constructor(inner: PartitionLog, offsets: Map<number, bigint>) {
    super(inner)
    this.#offsets = offsets
  }

  override async openReader(handler: LogReaderHandler): Promise<LogReader> {
    const reader = await this.inner.openReader({
      ...handler,
      records: (partition, records) => {
        const last = records.at(-1)
        if (last !== undefined) this.#offsets.set(partition, last.offset + 1n)
        handler.records(partition, records)
      },
    })
    return {
      resume: (partition, from) => {
        const offset = this.#offsets.get(partition) ?? 0n
        reader.resume(partition, offset > from ? offset : from)
      },
      pause: (partition) => {
        reader.pause(partition)
      },
      close: () => reader.close(),
    }
  }
}

/** The commit with some members of it changed. */
function withCommit(body: Uint8Array, changed: Readonly<Record<string, unknown>>): Uint8Array {
  const record = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>
  return Buffer.from(JSON.stringify({ ...record, ...changed }))
}

async function sweepUnreferenced(store: ObjectStore): Promise<void> {
  const named = new Set<string>()
  for await (const { key } of store.list(COMMITS_PREFIX)) {
    for (const file of parseCommitRecord(await store.get(key)).files) named.add(file.key)
  }
  for await (const { key } of store.list(DATA_PREFIX)) if (!named.has(key)) await store.delete(key)
}

interface HandleCalls {
  readonly write?: (
    handle: FileHandle,
    buffers: readonly Uint8Array[],
    position: number,
  ) => Promise<number>
  readonly datasync?: (handle: FileHandle) => Promise<void>
}

/** Files of which some calls do something else. */
class HandleBugs extends DelegatingFileSystem {
  readonly #calls: HandleCalls

  constructor(inner: FileSystem, calls: HandleCalls) {
    super(inner)
    this.#calls = calls
  }

  override async open(path: string, mode: OpenMode): Promise<FileHandle> {
    const handle = await this.inner.open(path, mode)
    const { write, datasync } = this.#calls
    return {
      ...handle,
      ...(write === undefined
        ? {}
        : { write: (buffers, position) => write(handle, buffers, position) }),
      ...(datasync === undefined ? {} : { datasync: () => datasync(handle) }),
    }
  }
}

async function syncTwice(handle: FileHandle): Promise<void> {
  try {
    await handle.datasync()
  } catch {
    await handle.datasync()
  }
}

async function writeOnce(
  handle: FileHandle,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<number> {
  await handle.write(buffers, position)
  return buffers.reduce((sum, { length }) => sum + length, 0)
}

class FolderBlind extends DelegatingFileSystem {
  override syncDirectory(): Promise<void> {
    return Promise.resolve()
  }
}
