/**
 * A disk of a few MiB for one process, so that it can be full: a tmpfs where we may mount one, else the
 * folder as it is, which can't be filled. What a process wrote survives the process, not the machine.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, writeSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

const DISK_MIB = 128
const FILLER = 'filler'
const STEP_BYTES = 1024 * 1024

export class SmallDisk {
  readonly path: string
  /** False: the process shares the disk with everybody. */
  readonly isMounted: boolean

  private constructor(path: string, isMounted: boolean) {
    this.path = path
    this.isMounted = isMounted
  }

  static async create(path: string): Promise<SmallDisk> {
    await mkdir(path, { recursive: true })
    const size = `size=${String(DISK_MIB)}m`
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', size, 'tributary-test', path])
    return new SmallDisk(path, mount.status === 0)
  }

  /** Takes all that is free. */
  fill(): void {
    const file = openSync(join(this.path, FILLER), 'a')
    try {
      for (let bytes = STEP_BYTES; bytes >= 1;) {
        try {
          writeSync(file, Buffer.alloc(bytes))
        } catch {
          bytes = Math.floor(bytes / 2)
        }
      }
    } finally {
      closeSync(file)
    }
  }

  async free(): Promise<void> {
    await rm(join(this.path, FILLER), { force: true })
  }

  /** A new disk in place of the lost one. */
  async empty(): Promise<void> {
    for (const name of await readdir(this.path)) {
      await rm(join(this.path, name), { recursive: true, force: true })
    }
  }

  unmount(): void {
    if (this.isMounted) spawnSync('umount', ['-l', this.path])
  }
}
