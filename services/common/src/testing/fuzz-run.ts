/**
 * Runs one fuzz target: case after case for FUZZ_SECONDS (default 1), from FUZZ_SEED (default
 * random), which is printed with the case that failed so that it can be run alone.
 */
import { randomInt } from 'node:crypto'

/** Calls `run` with seeds that follow from the first; at least one, at most `casesMax`. */
export function fuzz(run: (seed: number) => void, casesMax = Infinity): void {
  const first = Number(process.env['FUZZ_SEED'] ?? randomInt(0x7fff_ffff))
  const until = performance.now() + Number(process.env['FUZZ_SECONDS'] ?? 1) * 1000
  let seed = first
  let count = 0
  for (; count === 0 || (count < casesMax && performance.now() < until); count++) {
    seed = (first + count) >>> 0
    try {
      run(seed)
    } catch (error) {
      throw new Error(`failed with FUZZ_SEED=${seed}`, { cause: error })
    }
  }
  if (process.env['FUZZ_SECONDS'] !== undefined) console.log(`${count} cases from seed ${first}`)
}
