/** Runs seeds of the simulation: each is a world of its own, and the same seed is the same run. */
import { AppError } from '@tributary/common/errors'
import { BUGS, type Bug } from './bugs.ts'
import { runCluster } from './cluster-run.ts'
import type { Judgement } from './oracle.ts'
import { runStandalone } from './standalone-run.ts'
import type { Violation } from './violations.ts'
import type { WorldKind } from './world.ts'

export interface RunOutcome extends Judgement {
  readonly seed: number
  readonly violations: readonly Violation[]
  /** Equal for equal runs. */
  readonly traceHash: string
  readonly events: number
  /** What happened, where it was asked for. */
  readonly lines: readonly string[]
  readonly virtualMs: number
  readonly faults: number
  readonly requests: number
  readonly acknowledged: number
  readonly records: number
  readonly refusedCommits: number
  /** Starts of processes. */
  readonly processes: number
}

export interface SimulateOptions {
  /** The name of a deliberate bug (bugs.ts). */
  readonly bug?: string
  readonly isTraceKept?: boolean
}

/** Runs one seed; one after the other, as failpoints are those of the process. */
export async function runSeed(seed: number, options: SimulateOptions = {}): Promise<RunOutcome> {
  const { bug, isTraceKept = false } = options
  const known = bug === undefined ? undefined : bugOf(bug)
  const rejected: unknown[] = []
  const onRejection = (error: unknown): void => {
    rejected.push(error)
  }
  process.on('unhandledRejection', onRejection)
  try {
    const kind = known?.world ?? kindOf(seed)
    const run = kind === 'cluster' ? runCluster : runStandalone
    const outcome = await run({ seed, ports: known?.ports() ?? {}, isTraceKept })
    const crashes = rejected.map((error): Violation => {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      return { invariant: 'L2', what: `a process would have ended: ${what}` }
    })
    return { ...outcome, violations: [...outcome.violations, ...crashes] }
  } finally {
    process.off('unhandledRejection', onRejection)
  }
}

/** Every fourth world is one process with a disk for a log. */
export function kindOf(seed: number): WorldKind {
  return seed % 4 === 0 ? 'standalone' : 'cluster'
}

function bugOf(name: string): Bug {
  const bug = BUGS[name]
  if (bug !== undefined) return bug
  throw new AppError('invalid_config', 'no deliberate bug of this name', {
    details: { name, known: Object.keys(BUGS) },
  })
}
