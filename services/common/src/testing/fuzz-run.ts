/**
 * Runs one fuzz target: case after case for FUZZ_SECONDS (default 1), from FUZZ_SEED (default
 * random), which is printed with the case that failed so that it can be run alone.
 */
import { randomInt } from 'node:crypto'

/** Calls `run` with seeds that follow from the first; at least one, at most `casesMax`. */
export function fuzz(run: (seed: number) => void, casesMax = Infinity): void {
  for (const seed of seeds(casesMax)) {
    try {
      run(seed)
    } catch (error) {
      throw new Error(`failed with FUZZ_SEED=${seed}`, { cause: error })
    }
  }
}

/** The same for a target that waits, one case after the other. */
export async function fuzzAsync(
  run: (seed: number) => Promise<void>,
  casesMax = Infinity,
): Promise<void> {
  for (const seed of seeds(casesMax)) {
    try {
      await run(seed)
    } catch (error) {
      throw new Error(`failed with FUZZ_SEED=${seed}`, { cause: error })
    }
  }
}

function* seeds(casesMax: number): Generator<number> {
  const first = Number(process.env['FUZZ_SEED'] ?? randomInt(0x7fff_ffff))
  const until = performance.now() + Number(process.env['FUZZ_SECONDS'] ?? 1) * 1000
  let count = 0
  for (; count === 0 || (count < casesMax && performance.now() < until); count++) {
    yield (first + count) >>> 0
  }
  if (process.env['FUZZ_SECONDS'] !== undefined) console.log(`${count} cases from seed ${first}`)
}
