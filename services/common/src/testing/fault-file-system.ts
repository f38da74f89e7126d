/**
 * A file system in memory with a disk below it that can fail: what no sync made durable is lost by
 * `losePower`, in any mixture of 512-byte sectors and names; calls fail, fall short or take long as
 * told. Seeded: the same calls and the same seed give the same disk.
 *
 * Model: a file has live bytes (the page cache) and durable bytes. fdatasync makes the writes since
 * the last one durable; a failed one marks them clean without that: a later sync "succeeds" and
 * changes nothing. Names are durable by `syncDirectory`; before, each change of a name survives a
 * power loss or not, by chance, but the changes of one name stay in order. Folders are always durable.
 */
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { FileHandle, FileStat, FileSystem, OpenMode } from '../file-system.ts'
import { randomSource } from './seeded-random.ts'

export type FaultOperation =
  | 'open'
  | 'write'
  | 'read'
  | 'datasync'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'link'
  | 'unlink'
  | 'syncDirectory'

export interface Fault {
  readonly operation: FaultOperation
  /** Which matching call fails, from 1; default the next one. */
  readonly nth?: number
  /** How many in a row; Infinity until `clearFaults`. Default 1. */
  readonly times?: number
  readonly path?: RegExp
  /** ENOSPC, EIO, EDQUOT, EROFS ...; undefined: the call succeeds, but a write falls short. */
  readonly code?: string
  /** Bytes of a failing or short write that still reach the file. */
  readonly partialBytes?: number
  /** How long the call takes before it fails or, without code, goes on. */
  readonly delayMs?: number
}

const SECTOR_BYTES = 512

interface PendingChange {
  readonly position: number
  /** Undefined: a truncation to `position`. */
  readonly bytes: Uint8Array | undefined
}

/** Bytes that grow by doubling: appends must not copy the file each time. */
class GrowingBytes {
  #bytes = new Uint8Array(256)
  length = 0

  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length))
      larger.set(this.#bytes.subarray(0, this.length))
      this.#bytes = larger
    }
    this.#bytes.set(bytes, position)
    if (end > this.length) this.length = end
  }

  resize(length: number): void {
    if (length > this.length) this.write(length - 1, new Uint8Array(1))
    this.#bytes.fill(0, length, this.length)
    this.length = length
  }

  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }
}

class MemoryFile {
  readonly live = new GrowingBytes()
  readonly durable = new GrowingBytes()
  pending: PendingChange[] = []

  static durable(bytes: Uint8Array): MemoryFile {
    const file = new MemoryFile()
    file.live.write(0, bytes)
    file.durable.write(0, bytes)
    return file
  }

  apply(change: PendingChange): void {
    applyChange(this.live, change)
    this.pending.push(change)
  }

  makeDurable(): void {
    for (const change of this.pending) applyChange(this.durable, change)
    this.pending = []
  }
}

interface PendingName {
  readonly path: string
  /** Undefined: the name was removed. */
  readonly file: MemoryFile | undefined
  /** A rename is one change: the old name goes when the new one comes. */
  readonly oldPath?: string
}

export class FaultFileSystem implements FileSystem {
  /** Writes beyond it fail with ENOSPC, after the part that fits. */
  capacityBytes = Infinity
  /** The chance that a write of more than one byte falls short. */
  shortWriteChance = 0
  #names = new Map<string, MemoryFile>()
  #durableNames = new Map<string, MemoryFile>()
  #pendingNames: PendingName[] = []
  readonly #directories = new Set<string>(['/'])
  #faults: { readonly fault: Fault; hits: number }[] = []
  #isDead = false
  readonly #random: () => number
  /** Calls so far, by operation: lets a test aim at each one in turn. */
  readonly calls = new Map<FaultOperation, number>()

  constructor(seed = 1) {
    this.#random = randomSource(seed)
  }

  inject(fault: Fault): void {
    this.#faults.push({ fault, hits: 0 })
  }

  clearFaults(): void {
    this.#faults = []
  }

  /**
   * The machine goes down: this file system is dead (EIO), the answer is what the next boot finds. Of
   * what was not synced, each sector and each change of a name is there with the given chance (0: the
   * strictest disk).
   */
  losePower(survivalChance = 0.5): FaultFileSystem {
    this.#isDead = true
    const names = new Map(this.#durableNames)
    const lostNames = new Set<string>()
    for (const change of this.#pendingNames) {
      const { path, oldPath = path } = change
      if (!lostNames.has(path) && !lostNames.has(oldPath) && this.#random() < survivalChance) {
        applyName(names, change)
      } else {
        lostNames.add(path).add(oldPath)
      }
    }
    const next = this.#successor()
    const copies = new Map<MemoryFile, MemoryFile>()
    for (const [path, file] of names) {
      if (!copies.has(file)) {
        this.#loseSectors(file, survivalChance)
        copies.set(file, MemoryFile.durable(file.durable.view()))
      }
      next.#names.set(path, copies.get(file)!)
    }
    next.#durableNames = new Map(next.#names)
    return next
  }

  /**
   * The process is killed, the machine goes on: this file system is dead (EIO), the answer shows the
   * same files; what was not synced is in the page cache and may still be lost later.
   */
  killProcess(): FaultFileSystem {
    this.#isDead = true
    const next = this.#successor()
    next.#names = this.#names
    next.#durableNames = this.#durableNames
    next.#pendingNames = this.#pendingNames
    return next
  }

  #successor(): FaultFileSystem {
    const next = new FaultFileSystem(Math.floor(this.#random() * 2 ** 32))
    for (const folder of this.#directories) next.#directories.add(folder)
    next.capacityBytes = this.capacityBytes
    next.shortWriteChance = this.shortWriteChance
    return next
  }

  /** Live content of a file: for tests that damage or inspect it. */
  contentOf(path: string): Uint8Array {
    return this.#file(path, 'open').live.view()
  }

  /** Puts a file on the disk as if it had always been there. */
  place(path: string, bytes: Uint8Array): void {
    const file = MemoryFile.durable(bytes)
    this.#names.set(path, file)
    this.#durableNames.set(path, file)
    this.#addDirectory(dirname(path))
  }

  remove(path: string): void {
    this.#names.delete(path)
    this.#durableNames.delete(path)
  }

  /** All files, sorted by path. */
  paths(): string[] {
    return [...this.#names.keys()].sort()
  }

  async open(path: string, mode: OpenMode): Promise<FileHandle> {
    await this.#enter('open', path)
    if (mode === 'create') {
      if (this.#names.has(path)) throw fileError('EEXIST', 'open', path)
      if (!this.#directories.has(dirname(path))) throw fileError('ENOENT', 'open', path)
      this.#setName(path, new MemoryFile())
    }
    return this.#handle(path, this.#file(path, 'open'))
  }

  async mkdir(path: string): Promise<void> {
    this.#addDirectory(path)
    await Promise.resolve()
  }

  readdir(path: string): Promise<string[]> {
    if (!this.#directories.has(path)) return Promise.reject(fileError('ENOENT', 'readdir', path))
    const files = [...this.#names.keys()].filter((name) => dirname(name) === path)
    const folders = [...this.#directories].filter((name) => dirname(name) === path && name !== '/')
    return Promise.resolve([...files, ...folders].map((name) => basename(name)))
  }

  stat(path: string): Promise<FileStat> {
    if (this.#directories.has(path)) {
      return Promise.resolve({ sizeBytes: 0, modifiedUnixMs: 0, isDirectory: true })
    }
    return Promise.resolve().then(() => statOf(this.#file(path, 'stat')))
  }

  statfs(): Promise<{ freeBytes: number; totalBytes: number }> {
    const totalBytes = Math.min(this.capacityBytes, 2 ** 50)
    const freeBytes = Math.max(0, totalBytes - this.#usedBytes())
    return Promise.resolve({ freeBytes, totalBytes })
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#enter('rename', from)
    const file = this.#file(from, 'rename')
    const change = { path: to, file, oldPath: from }
    applyName(this.#names, change)
    this.#pendingNames.push(change)
  }

  async link(existing: string, target: string): Promise<void> {
    await this.#enter('link', target)
    const file = this.#file(existing, 'link')
    if (this.#names.has(target)) throw fileError('EEXIST', 'link', target)
    this.#setName(target, file)
  }

  async unlink(path: string): Promise<void> {
    await this.#enter('unlink', path)
    this.#file(path, 'unlink')
    this.#removeName(path)
  }

  rmdir(path: string): Promise<void> {
    this.#directories.delete(path)
    return Promise.resolve()
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#enter('syncDirectory', path)
    if (!this.#directories.has(path)) throw fileError('ENOENT', 'open', path)
    const rest: PendingName[] = []
    for (const change of this.#pendingNames) {
      if (dirname(change.path) === path) applyName(this.#durableNames, change)
      else rest.push(change)
    }
    this.#pendingNames = rest
  }

  #handle(path: string, file: MemoryFile): FileHandle {
    return {
      write: async (buffers, position) => {
        const bytes = Buffer.concat(buffers)
        const fault = await this.#enterWrite(path, file, bytes, position)
        return this.#write(path, file, bytes, position, fault?.partialBytes)
      },
      read: async (buffer, position) => {
        await this.#enter('read', path)
        const bytes = file.live.view().subarray(position, position + buffer.length)
        buffer.set(bytes)
        return bytes.length
      },
      datasync: () => this.#syncFile('datasync', path, file),
      sync: () => this.#syncFile('sync', path, file),
      truncate: async (sizeBytes) => {
        await this.#enter('truncate', path)
        file.apply({ position: sizeBytes, bytes: undefined })
      },
      stat: () => Promise.resolve(statOf(file)),
      close: () => Promise.resolve(),
    }
  }

  /** A write that is to fail still leaves its first bytes behind. */
  async #enterWrite(
    path: string,
    file: MemoryFile,
    bytes: Uint8Array,
    position: number,
  ): Promise<Fault | undefined> {
    const fault = this.#due('write', path)
    if (fault?.delayMs !== undefined) await sleep(fault.delayMs)
    else await Promise.resolve()
    if (this.#isDead) throw fileError('EIO', 'write', path)
    if (fault?.code === undefined) return fault
    const partial = bytes.subarray(0, fault.partialBytes ?? 0)
    if (partial.length > 0) file.apply({ position, bytes: partial.slice() })
    throw fileError(fault.code, 'write', path)
  }

  #write(
    path: string,
    file: MemoryFile,
    bytes: Uint8Array,
    position: number,
    partialBytes: number | undefined,
  ): number {
    let length = Math.min(bytes.length, partialBytes ?? bytes.length)
    if (length > 1 && this.#random() < this.shortWriteChance) {
      length = 1 + Math.floor(this.#random() * (length - 1))
    }
    const grows = Math.max(0, position + length - file.live.length)
    const room = this.capacityBytes === Infinity ? Infinity : this.capacityBytes - this.#usedBytes()
    if (grows > room) {
      length -= grows - Math.max(0, room)
      if (length <= 0) throw fileError('ENOSPC', 'write', path)
    }
    file.apply({ position, bytes: bytes.slice(0, length) })
    return length
  }

  async #syncFile(operation: 'datasync' | 'sync', path: string, file: MemoryFile): Promise<void> {
    const fault = this.#due(operation, path)
    if (fault?.delayMs !== undefined) await sleep(fault.delayMs)
    else await Promise.resolve()
    if (fault?.code === undefined) {
      if (this.#isDead) throw fileError('EIO', operation, path)
      file.makeDurable()
      return
    }
    // fsyncgate: some pages may have reached the disk, all are clean now
    this.#loseSectors(file, 0.5)
    throw fileError(fault.code, operation, path)
  }

  /** Of the pending changes some sectors become durable, the others never. */
  #loseSectors(file: MemoryFile, survivalChance: number): void {
    for (const change of file.pending) {
      if (change.bytes === undefined) {
        if (this.#random() < survivalChance) file.durable.resize(change.position)
        continue
      }
      for (let at = 0; at < change.bytes.length;) {
        const position = change.position + at
        const sectorEnd = Math.min(
          change.bytes.length,
          at + SECTOR_BYTES - (position % SECTOR_BYTES),
        )
        if (this.#random() < survivalChance) {
          file.durable.write(position, change.bytes.subarray(at, sectorEnd))
        }
        at = sectorEnd
      }
    }
    file.pending = []
  }

  async #enter(operation: FaultOperation, path: string): Promise<Fault | undefined> {
    const fault = this.#due(operation, path)
    if (fault?.delayMs !== undefined) await sleep(fault.delayMs)
    else await Promise.resolve()
    if (this.#isDead) throw fileError('EIO', operation, path)
    if (fault?.code !== undefined) throw fileError(fault.code, operation, path)
    return fault
  }

  #due(operation: FaultOperation, path: string): Fault | undefined {
    this.calls.set(operation, (this.calls.get(operation) ?? 0) + 1)
    for (const entry of this.#faults) {
      const { fault } = entry
      if (fault.operation !== operation || fault.path?.test(path) === false) continue
      entry.hits++
      const first = fault.nth ?? 1
      if (entry.hits >= first && entry.hits < first + (fault.times ?? 1)) return fault
    }
    return undefined
  }

  #file(path: string, call: string): MemoryFile {
    const file = this.#names.get(path)
    if (file === undefined) throw fileError('ENOENT', call, path)
    return file
  }

  #setName(path: string, file: MemoryFile): void {
    this.#names.set(path, file)
    this.#pendingNames.push({ path, file })
  }

  #removeName(path: string): void {
    this.#names.delete(path)
    this.#pendingNames.push({ path, file: undefined })
  }

  #addDirectory(path: string): void {
    for (let folder = path; !this.#directories.has(folder); folder = dirname(folder)) {
      this.#directories.add(folder)
    }
  }

  #usedBytes(): number {
    let bytes = 0
    for (const file of new Set(this.#names.values())) bytes += file.live.length
    return bytes
  }
}

function applyName(names: Map<string, MemoryFile>, { path, file, oldPath }: PendingName): void {
  if (oldPath !== undefined) names.delete(oldPath)
  if (file === undefined) names.delete(path)
  else names.set(path, file)
}

function applyChange(target: GrowingBytes, change: PendingChange): void {
  if (change.bytes === undefined) target.resize(change.position)
  else target.write(change.position, change.bytes)
}

function statOf(file: MemoryFile): FileStat {
  return { sizeBytes: file.live.length, modifiedUnixMs: 0, isDirectory: false }
}

function fileError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, syscall: call, path })
}
