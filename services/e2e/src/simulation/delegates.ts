/** Ports that pass everything on: what a deliberate bug overrides one call of. */
import type { FileHandle, FileStat, FileSystem, OpenMode } from '@tributary/common/file-system'
import type { OffsetBounds, LogReader, LogReaderHandler } from '@tributary/common/log/partition-log'
import type { PartitionLog } from '@tributary/common/log/partition-log'
import type {
  GetOptions,
  ObjectEntry,
  ObjectStore,
  PutOptions,
} from '@tributary/common/object-store/object-store'

export class DelegatingStore implements ObjectStore {
  protected readonly inner: ObjectStore

  constructor(inner: ObjectStore) {
    this.inner = inner
  }

  get url(): string {
    return this.inner.url
  }

  put(key: string, body: Uint8Array, options?: PutOptions): Promise<void> {
    return this.inner.put(key, body, options)
  }

  putFile(key: string, path: string, bytes: number, sha256: string): Promise<void> {
    return this.inner.putFile(key, path, bytes, sha256)
  }

  get(key: string, options?: GetOptions): Promise<Uint8Array> {
    return this.inner.get(key, options)
  }

  getToFile(key: string, path: string): Promise<void> {
    return this.inner.getToFile(key, path)
  }

  head(key: string): Promise<{ bytes: number } | undefined> {
    return this.inner.head(key)
  }

  list(prefix: string, startAfter?: string): AsyncIterable<ObjectEntry> {
    return this.inner.list(prefix, startAfter)
  }

  delete(key: string): Promise<void> {
    return this.inner.delete(key)
  }

  settle(prefix: string): Promise<void> {
    return this.inner.settle(prefix)
  }

  probe(): Promise<void> {
    return this.inner.probe()
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}

export class DelegatingLog implements PartitionLog {
  protected readonly inner: PartitionLog

  constructor(inner: PartitionLog) {
    this.inner = inner
  }

  get logId(): string {
    return this.inner.logId
  }

  get topic(): string {
    return this.inner.topic
  }

  get time(): PartitionLog['time'] {
    return this.inner.time
  }

  get partitionCount(): number {
    return this.inner.partitionCount
  }

  get recordBytesMax(): number {
    return this.inner.recordBytesMax
  }

  leaderOf(partition: number): string | undefined {
    return this.inner.leaderOf(partition)
  }

  produce(partition: number, values: readonly Uint8Array[], timeoutMs: number): Promise<bigint> {
    return this.inner.produce(partition, values, timeoutMs)
  }

  bounds(): Promise<ReadonlyMap<number, OffsetBounds>> {
    return this.inner.bounds()
  }

  openReader(handler: LogReaderHandler): Promise<LogReader> {
    return this.inner.openReader(handler)
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}

export class DelegatingFileSystem implements FileSystem {
  protected readonly inner: FileSystem

  constructor(inner: FileSystem) {
    this.inner = inner
  }

  open(path: string, mode: OpenMode): Promise<FileHandle> {
    return this.inner.open(path, mode)
  }

  mkdir(path: string): Promise<void> {
    return this.inner.mkdir(path)
  }

  readdir(path: string): Promise<string[]> {
    return this.inner.readdir(path)
  }

  stat(path: string): Promise<FileStat> {
    return this.inner.stat(path)
  }

  statfs(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    return this.inner.statfs(path)
  }

  rename(from: string, to: string): Promise<void> {
    return this.inner.rename(from, to)
  }

  link(existing: string, target: string): Promise<void> {
    return this.inner.link(existing, target)
  }

  unlink(path: string): Promise<void> {
    return this.inner.unlink(path)
  }

  rmdir(path: string): Promise<void> {
    return this.inner.rmdir(path)
  }

  syncDirectory(path: string): Promise<void> {
    return this.inner.syncDirectory(path)
  }
}
