/**
 * A finished Parquet file on the local disk before it is published: written in pieces as row groups
 * come, hashed on the way, durable when finish() returns. Spool files of a dead process are removed
 * at start; nothing refers to them.
 */
import { createHash, randomUUID } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { AppError } from '@tributary/common/errors'

export interface SpooledFile {
  readonly path: string
  readonly bytes: number
  /** Lower-case hex. */
  readonly sha256: string
}

export class SpoolFile {
  readonly #path: string
  readonly #descriptor: number
  readonly #hash = createHash('sha256')
  bytes = 0

  constructor(directory: string) {
    this.#path = join(directory, `${randomUUID()}.parquet`)
    this.#descriptor = this.#orUnavailable(() => openSync(this.#path, 'wx'))
  }

  write(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    let written = 0
    while (written < bytes.length) {
      const from = written
      written += this.#orUnavailable(() =>
        writeSync(this.#descriptor, bytes, from, bytes.length - from),
      )
    }
    this.bytes += bytes.length
  }

  finish(): SpooledFile {
    this.#orUnavailable(() => {
      fdatasyncSync(this.#descriptor)
    })
    closeSync(this.#descriptor)
    return { path: this.#path, bytes: this.bytes, sha256: this.#hash.digest('hex') }
  }

  /** Removes the file after a failure. */
  discard(): void {
    closeSync(this.#descriptor)
    unlinkSync(this.#path)
  }

  /** A full or failing disk passes: the flush is tried again with a new file. */
  #orUnavailable<T>(action: () => T): T {
    try {
      return action()
    } catch (cause) {
      throw new AppError('store_unavailable', 'spool file can not be written', {
        cause,
        details: { path: this.#path },
      })
    }
  }
}

/** Removes finished files that nobody will publish. */
export function removeSpooled(files: readonly SpooledFile[]): void {
  for (const { path } of files) unlinkSync(path)
}
