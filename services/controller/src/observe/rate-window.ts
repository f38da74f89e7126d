/**
 * Rates from counters that others keep: how much a counter grew within the last seconds. A counter
 * that went back (another process, or another owner that reads again) counts from where it is now.
 */

interface Sample {
  readonly atMs: number
  readonly value: number
}

export class RateWindow {
  readonly #windowMs: number
  readonly #counters = new Map<string, Sample[]>()

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  note(counter: string, value: number, atMs: number): void {
    const samples = this.#counters.get(counter) ?? []
    if (samples.length > 0 && value < samples.at(-1)!.value) samples.length = 0
    samples.push({ atMs, value })
    // one at or before the beginning of the window stays
    while (samples.length > 2 && samples[1]!.atMs <= atMs - this.#windowMs) samples.shift()
    this.#counters.set(counter, samples)
  }

  /** A second; undefined before the second sample. */
  perSecond(counter: string): number | undefined {
    const samples = this.#counters.get(counter)
    const [first, last] = [samples?.[0], samples?.at(-1)]
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined
    return (1000 * (last.value - first.value)) / (last.atMs - first.atMs)
  }

  /** Forgets counters that were not noted at this time. */
  keepOnly(atMs: number): void {
    for (const [counter, samples] of this.#counters) {
      if (samples.at(-1)!.atMs < atMs) this.#counters.delete(counter)
    }
  }
}
