/**
 * Bounds what all partitions of a process hold in memory and in the WAL. Kafka is the buffer: above a
 * mark fetching stops, below a lower one it goes on.
 *
 *   memory  0 ─────── 1/2: flush the fullest ─────── 3/4: stop those above their share ─────── 1: stop all
 *           and go on again below 1/2
 *
 * A reader hands over what it has fetched in one go, so the bound is passed by at most one fetch.
 */
export interface GatedOwner {
  /** All that lies in memory. */
  readonly bytes: number
  /** Of these, what the next flush would take. */
  readonly activeBytes: number
  readonly walBytes: number
  hold(reason: 'memory' | 'disk'): void
  letGo(reason: 'memory' | 'disk'): void
  flushSoon(): void
}

export interface FetchGateOptions {
  readonly memoryBytesMax: number
  readonly walBytesMax: number
}

const LOW_MARK = 0.5
const HIGH_MARK = 0.75
/** Truncation frees whole files: going on again just below the bound would stop at once. */
const WAL_LOW_MARK = 0.8

export class FetchGate {
  readonly #options: FetchGateOptions
  readonly #owners = new Set<GatedOwner>()

  constructor(options: FetchGateOptions) {
    this.#options = options
  }

  get memoryBytes(): number {
    return this.#sumOf('bytes')
  }

  get walBytes(): number {
    return this.#sumOf('walBytes')
  }

  /** Whether memory takes more without a flush. */
  get hasRoom(): boolean {
    return this.memoryBytes < this.#options.memoryBytesMax * HIGH_MARK
  }

  add(owner: GatedOwner): void {
    this.#owners.add(owner)
    this.changed()
  }

  remove(owner: GatedOwner): void {
    this.#owners.delete(owner)
    this.changed()
  }

  /** Bytes of some owner changed. */
  changed(): void {
    this.#checkMemory()
    this.#checkWal()
  }

  #checkMemory(): void {
    const { memoryBytesMax } = this.#options
    const bytes = this.memoryBytes
    if (bytes < memoryBytesMax * LOW_MARK) {
      for (const owner of this.#owners) owner.letGo('memory')
      return
    }
    if (this.#sumOf('activeBytes') >= memoryBytesMax * LOW_MARK) this.#flushFullest()
    if (bytes < memoryBytesMax * HIGH_MARK) return
    const isFull = bytes >= memoryBytesMax
    const share = (memoryBytesMax * HIGH_MARK) / this.#owners.size
    for (const owner of this.#owners) {
      if (isFull || owner.bytes >= share) owner.hold('memory')
    }
    // nothing may wait for its age while nothing more comes in
    this.#flushFullest()
  }

  #checkWal(): void {
    const { walBytesMax } = this.#options
    const bytes = this.walBytes
    if (bytes < walBytesMax * WAL_LOW_MARK) {
      for (const owner of this.#owners) owner.letGo('disk')
    } else if (bytes >= walBytesMax) {
      for (const owner of this.#owners) owner.hold('disk')
      this.#flushFullest()
    }
  }

  #flushFullest(): void {
    let fullest: GatedOwner | undefined
    for (const owner of this.#owners) {
      if (fullest === undefined || owner.activeBytes > fullest.activeBytes) fullest = owner
    }
    if (fullest !== undefined && fullest.activeBytes > 0) fullest.flushSoon()
  }

  #sumOf(key: 'bytes' | 'activeBytes' | 'walBytes'): number {
    let sum = 0
    for (const owner of this.#owners) sum += owner[key]
    return sum
  }
}
