/** What happened in a run, in order: a hash that two runs of one seed must share, and the last lines. */
const FNV_PRIME = 0x0100_0193
/** A line is what somebody reads after a violation: no more than fits a screen or two. */
const LINES_KEPT = 4000

export class Trace {
  readonly #nowMs: () => number
  readonly #isKept: boolean
  #low = 0x811c_9dc5
  #high = 0x9e37_79b9
  #count = 0
  readonly lines: string[] = []

  /** @param isKept keeps the lines themselves, for a person */
  constructor(nowMs: () => number, isKept: boolean) {
    this.#nowMs = nowMs
    this.#isKept = isKept
  }

  get count(): number {
    return this.#count
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    return [this.#high, this.#low]
      .map((half) => (half >>> 0).toString(16).padStart(8, '0'))
      .join('')
  }

  note(what: string): void {
    this.#count++
    this.#add(Math.round(this.#nowMs() * 8))
    for (let index = 0; index < what.length; index++) this.#add(what.charCodeAt(index))
    if (!this.#isKept) return
    this.lines.push(`${this.#nowMs().toFixed(0).padStart(7)} ${what}`)
    if (this.lines.length > LINES_KEPT) this.lines.shift()
  }

  #add(code: number): void {
    this.#low = Math.imul(this.#low ^ code, FNV_PRIME)
    this.#high = Math.imul(this.#high ^ this.#low ^ (code << 7), 0x85eb_ca6b)
  }
}
