/**
 * A control group that gives a process so much more memory and then kills it, as a container's bound
 * does. What the process holds already is not charged to the new group (version 1 and 2 alike).
 */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const V2_ROOT = '/sys/fs/cgroup'
const V1_ROOT = '/sys/fs/cgroup/memory'

export class MemoryGroup {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** undefined: this system or this user can't make one. */
  static create(name: string, bytes: number): MemoryGroup | undefined {
    const isV2 = existsSync(join(V2_ROOT, 'cgroup.controllers'))
    const folder = join(isV2 ? V2_ROOT : V1_ROOT, `tributary-${name}`)
    try {
      mkdirSync(folder)
      writeFileSync(join(folder, isV2 ? 'memory.max' : 'memory.limit_in_bytes'), String(bytes))
      return new MemoryGroup(folder)
    } catch {
      return undefined
    }
  }

  take(pid: number): void {
    writeFileSync(join(this.#folder, 'cgroup.procs'), String(pid))
  }

  /** When nobody is in it any more. */
  remove(): void {
    rmdirSync(this.#folder)
  }
}
