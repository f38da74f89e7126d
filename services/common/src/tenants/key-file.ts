/**
 * API keys in a JSON file, for a process without Redis: `{"format": 1, "keys": [record, ...]}`,
 * readable to its owner alone. It is read again whenever it changed. A file that is gone or broken
 * answers nothing: what was known before stays known to the cache above for a while, and an unknown
 * key may stand in the version that can not be read. Writers take turns by a lock file, and replace
 * the file as a whole.
 */
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Clock } from '../clock.ts'
import { AppError } from '../errors.ts'
import { errorCode } from '../file-system.ts'
import { JsonReader } from '../object-store/json-reader.ts'
import { readKeyRecord, type KeyRecord } from './key-record.ts'
import { KEYS_MAX, mergedRecords, type FoundKeys, type KeyStore } from './key-store.ts'

const FORMAT = 1
const FILE_BYTES_MAX = 16 * 1024 * 1024
const OWNER_ALONE = 0o600
const LOCK_TRIES_MAX = 100
const LOCK_PAUSE_MS = 50

export class KeyFile implements KeyStore {
  readonly absenceRevokes = true
  readonly #path: string
  readonly #clock: Clock
  /** What the file looked like when it was read: size, inode and time of change. */
  #version = ''
  #records: ReadonlyMap<string, KeyRecord> = new Map()

  constructor(path: string, clock: Clock) {
    this.#path = resolve(path)
    this.#clock = clock
  }

  async find(ids: readonly string[]): Promise<FoundKeys> {
    await this.#refresh()
    const found = new Map<string, KeyRecord>()
    for (const id of ids) {
      const record = this.#records.get(id)
      if (record !== undefined) found.set(id, record)
    }
    return found
  }

  async list(): Promise<readonly KeyRecord[]> {
    await this.#refresh()
    return mergedRecords([...this.#records.values()], [], this.#clock.nowUnixMs())
  }

  async put(records: readonly KeyRecord[]): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true })
    const lock = `${this.#path}.lock`
    await this.#lock(lock)
    try {
      const old = (await this.exists()) ? await this.list() : []
      const merged = mergedRecords(old, records, this.#clock.nowUnixMs())
      if (merged.length > KEYS_MAX) {
        throw new AppError('invalid_config', 'too many keys', { details: { keysMax: KEYS_MAX } })
      }
      await this.#replace(`${JSON.stringify({ format: FORMAT, keys: merged }, undefined, 2)}\n`)
    } finally {
      await rm(lock, { force: true })
    }
  }

  async exists(): Promise<boolean> {
    try {
      await stat(this.#path)
      return true
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false
      throw error
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  async #refresh(): Promise<void> {
    try {
      const { size, ino, mtimeNs } = await stat(this.#path, { bigint: true })
      const version = `${String(size)}/${String(ino)}/${String(mtimeNs)}`
      if (version === this.#version) return
      if (size > FILE_BYTES_MAX) throw new Error(`over ${String(FILE_BYTES_MAX)} bytes`)
      this.#records = parse(await readFile(this.#path))
      this.#version = version
    } catch (cause) {
      throw new AppError('credentials_unavailable', 'file of API keys can not be read', {
        cause,
        details: { path: this.#path },
      })
    }
  }

  async #lock(path: string): Promise<void> {
    for (let tries = 0; tries < LOCK_TRIES_MAX; tries++) {
      try {
        await (await open(path, 'wx', OWNER_ALONE)).close()
        return
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error
      }
      await sleep(LOCK_PAUSE_MS)
    }
    throw new AppError(
      'credentials_unavailable',
      'another command writes keys, or died: see lock',
      {
        details: { lock: path },
      },
    )
  }

  async #replace(text: string): Promise<void> {
    const temporary = `${this.#path}.new`
    const file = await open(temporary, 'w', OWNER_ALONE)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, this.#path)
    const folder = await open(dirname(this.#path), 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }
}

function parse(bytes: Uint8Array): ReadonlyMap<string, KeyRecord> {
  const reader = JsonReader.parse(bytes, FILE_BYTES_MAX, 'credentials_unavailable')
  reader.integer('format', FORMAT, FORMAT)
  const records = reader.list('keys', KEYS_MAX).map((record) => readKeyRecord(record))
  const byId = new Map(records.map((record) => [record.id, record]))
  if (byId.size < records.length) throw reader.problem('keys', 'name one id twice')
  return byId
}
